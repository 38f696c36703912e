"""What a run request means: which suite, model, recipe, weights, protocol and folder.

A plan is made before any work starts. Whatever can be wrong with names, options and weights is
found here. Its `key` holds a digest of everything that can change a number; a stored run is reused
only when the whole key is equal.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ifambench import __version__
from ifambench.data.imagenet_map import with_imagenet_map
from ifambench.data.images import View
from ifambench.errors import UsageError
from ifambench.metrics.on_request import check_protocol
from ifambench.models.backbones import Backbone, find_backbone
from ifambench.models.base import Classifier
from ifambench.models.catalog import (
    ModelChoice,
    build_model,
    check_trainable,
    choose_model,
)
from ifambench.models.checkpoints import given_sha256
from ifambench.plan_checks import (
    check_choices,
    check_data,
    check_numbers,
    check_part_grid,
    check_parts,
    find_device,
    refuse_without_effect,
    suite_has_masks,
)
from ifambench.plan_explain import ExplainPlan, explain_plan
from ifambench.records.key import code_digest, digest
from ifambench.records.store import run_folder
from ifambench.repeat import words_of
from ifambench.request import RunRequest
from ifambench.suites.catalog import SuiteFile, load_suite
from ifambench.suites.spec import Protocol, Suite, protocol_of
from ifambench.train.fabric import check_precision
from ifambench.train.fit import start_from
from ifambench.train.recipes import Recipe, recipe_for
from ifambench.train.team import Team, check_team, find_team, share_cores

_NUMBERS_COME_FROM = ("data", "metrics", "models", "predict", "explain", "battery", "train")


@dataclass(frozen=True)
class RunPlan:
    """A checked request.

    Attributes:
        request: As asked.
        file: The suite.
        protocol_name: Name of the protocol.
        protocol: Splits, selection policy, variants.
        explain: What is explained, and how.
        choice: Model and method.
        recipe: How it is trained.
        backbone: Where it starts, or None.
        device: Where it runs.
        team: The processes that train together, and which one this is.
        view: How image files are read.
        folder: The run folder.
        weights_sha256: Of given weights, or None when the model is trained.
        warnings: What a reader of the record must know.
    """

    request: RunRequest
    file: SuiteFile
    protocol_name: str
    protocol: Protocol
    explain: ExplainPlan
    choice: ModelChoice
    recipe: Recipe
    backbone: Backbone | None
    device: torch.device
    team: Team
    view: View
    folder: Path
    weights_sha256: str | None
    warnings: tuple[str, ...]

    @property
    def label(self) -> str:
        """The model in tables, with what was removed from it."""
        return _label(self.choice.label, self.request)

    def sibling(self, label: str) -> Path:
        """The folder of the same request for another model, with all its parts."""
        whole = replace(self.request, remove_parts=())
        return _folder(whole, self.file.suite, self.protocol_name, choose_model(label))

    @property
    def compute(self) -> str:
        """Device type, processes, threads and torch version: rounding differs between them."""
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        processes = f", {self.team.world} processes" if self.team.world > 1 else ""
        return f"{self.device.type}{threads}{processes}, torch {torch.__version__}"

    def key(self) -> dict[str, str]:
        """Digests of everything that can change a number, by part."""
        return {
            "suite": self.file.digest,
            "size": self.request.size,
            "model": self.label,
            "recipe": digest(self.recipe.as_dict()),
            "pretrained": self._start(),
            "protocol": digest(self.protocol.model_dump(mode="json")),
            "explain": self.explain.key(),
            "seed": str(self.request.seed),
            "compute": self.compute,
            "code": digest([__version__, code_digest(_NUMBERS_COME_FROM)]),
            **self._table(),
        }

    def _table(self) -> dict[str, str]:
        """The table of ImageNet classes, where it comes with the data."""
        suite = self.file.suite
        has_table = suite.imagenet_file is not None and suite.imagenet
        return {"imagenet": digest(suite.imagenet)} if has_table else {}

    def _start(self) -> str:
        backbone = "none" if self.backbone is None else self.backbone.sha256
        return self.weights_sha256 or backbone

    def command(self, verb: str = "run", *more: str) -> str:
        """A command line that repeats the run."""
        return shlex.join([*words_of(self.request, self.choice.label, self.team, verb), *more])


def make_plan(request: RunRequest) -> RunPlan:
    """Check a request against the catalogues, the files and the model.

    Raises:
        UsageError: If a name, number or option is not valid, or an explainer needs what the model
            cannot do.
        EnvironmentProblem: If a weights file is damaged or the device is not there.
    """
    check_numbers(request)
    check_choices(request)
    device = find_device(request.device, request.threads)
    team = _team(request, device)
    file = load_suite(request.suite)
    name, protocol = protocol_of(file.suite, request.protocol)
    check_protocol(file.suite, name, str(file.path))
    choice = choose_model(request.model)
    check_trainable(choice, file.suite)
    file = _with_map(file, choice, request)
    recipe = _recipe(file.suite, choice, request)
    refuse_without_effect(choice)
    check_precision(device, recipe.precision)
    model = build_model(choice, file.suite, recipe.architecture(), protocol.label_scope)
    check_data(file.suite, model, request)
    backbone = _backbone(choice, model, recipe, request)
    start_from(backbone, model, recipe)
    check_part_grid(choice, model)
    check_parts(model, request)
    return RunPlan(
        request=request,
        file=file,
        protocol_name=name,
        protocol=protocol,
        explain=explain_plan(
            model, protocol, request, masks=suite_has_masks(file.suite, request.data_dir)
        ),
        choice=choice,
        recipe=recipe,
        backbone=backbone,
        device=device,
        team=team,
        view=model.data_config.view(),
        folder=_folder(request, file.suite, name, choice),
        weights_sha256=None if choice.source is None else given_sha256(choice.source),
        warnings=_warnings(file.suite, backbone),
    )


def _with_map(file: SuiteFile, choice: ModelChoice, request: RunRequest) -> SuiteFile:
    """The suite with the table of ImageNet classes that its data hold, for given weights."""
    if choice.source is None or file.suite.imagenet_file is None:
        return file
    needed = choice.source.startswith("timm:")
    return replace(file, suite=with_imagenet_map(file.suite, request.data_dir, required=needed))


def _team(request: RunRequest, device: torch.device) -> Team:
    team = find_team(request.devices, request.num_nodes)
    check_team(team, device)
    if request.threads is None:
        share_cores(team)
    return team


def _label(label: str, request: RunRequest) -> str:
    if not request.remove_parts:
        return label
    removed = "remove_parts=" + "+".join(map(str, request.remove_parts))
    return f"{label}{',' if '@' in label else '@'}{removed}"


def _folder(request: RunRequest, suite: Suite, protocol: str, choice: ModelChoice) -> Path:
    label = _label(choice.folder, request)
    return run_folder(request.output, suite.id, suite.major, label, protocol, request.seed)


def _recipe(suite: Suite, choice: ModelChoice, request: RunRequest) -> Recipe:
    recipe = recipe_for(suite, choice.family, choice.base_label, choice.overrides)
    return recipe if request.precision is None else replace(recipe, precision=request.precision)


def _backbone(
    choice: ModelChoice, model: Classifier, recipe: Recipe, request: RunRequest
) -> Backbone | None:
    if choice.source is not None or not model.backbones(recipe.init):
        if request.pretrained is not None:
            raise UsageError(
                f"{choice.label} does not start from a backbone on this suite",
                where="--pretrained",
            )
        return None
    return find_backbone(str(request.pretrained or choice.pretrained or "none for this model"))


def _warnings(suite: Suite, backbone: Backbone | None) -> tuple[str, ...]:
    if backbone is None or suite.generation is None:
        return ()
    if backbone.generation_seed in (None, suite.generation.seed):
        return ()
    return (
        f"the backbone {backbone.name} was pretrained on images of generation seed "
        f"{backbone.generation_seed}, the suite has {suite.generation.seed}: it may have seen "
        "digits and textures of the test split",
    )
