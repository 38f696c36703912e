"""What a run request means: which suite, model, recipe, weights, protocol and folder.

A plan is made before any work starts. Whatever can be wrong with names, options and weights is
found here. Its `key` holds a digest of everything that can change a number; a stored run is reused
only when the whole key is equal.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import torch

from ifambench import __version__
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.explain.base import check_needs, default_explainers
from ifambench.metrics.deletion import FLOOR
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, build_model, choose_model
from ifambench.models.weights import Backbone, find_backbone
from ifambench.records.key import code_digest, digest
from ifambench.records.store import run_folder
from ifambench.suites.catalog import SuiteFile, load_suite
from ifambench.suites.spec import Explain, Protocol, Suite, protocol_of
from ifambench.train.fit import start_from
from ifambench.train.recipes import Recipe, recipe_for

_NUMBERS_COME_FROM = ("data", "metrics", "models", "predict", "explain", "train")
_MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class RunRequest:
    """What the user asks for.

    Attributes:
        suite: Name of a suite, or path of a suite file.
        model: `model` or `model+method`.
        output: Folder below which the run folder lies.
        protocol: Protocol of the suite, or None for its default.
        seed: Training seed.
        explainers: Explainer names; empty for the model's defaults. The floor is always added.
        images: Explained images, or None for the protocol's number.
        steps: Steps of the curves, or None for the protocol's number.
        size: `default`, or the number of training images.
        batch_size: Images per forward pass; changes no prediction, and scores by rounding only.
        device: `auto`, `cpu`, `cuda`, ...
        threads: CPU threads, or None for torch's choice.
        pretrained: Backbone file instead of the shipped one.
        fresh: Replace a stored run instead of reusing or resuming it.
    """

    suite: str
    model: str
    output: Path
    protocol: str | None = None
    seed: int = 0
    explainers: tuple[str, ...] = ()
    images: int | None = None
    steps: int | None = None
    size: str = "default"
    batch_size: int = 64
    device: str = "auto"
    threads: int | None = None
    pretrained: Path | None = None
    fresh: bool = False


@dataclass(frozen=True)
class RunPlan:
    """A checked request.

    Attributes:
        request: As asked.
        file: The suite.
        protocol_name: Name of the protocol.
        protocol: Splits, selection policy, variants.
        explain: The protocol's explanation settings with the request's numbers.
        explainers: What is measured, the floor included.
        choice: Model and method.
        recipe: How it is trained.
        backbone: Where it starts, or None.
        device: Where it runs.
        folder: The run folder.
        warnings: What a reader of the record must know.
    """

    request: RunRequest
    file: SuiteFile
    protocol_name: str
    protocol: Protocol
    explain: Explain
    explainers: tuple[str, ...]
    choice: ModelChoice
    recipe: Recipe
    backbone: Backbone | None
    device: torch.device
    folder: Path
    warnings: tuple[str, ...]

    @property
    def compute(self) -> str:
        """Device type, threads and torch version: rounding differs between them."""
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{self.device.type}{threads}, torch {torch.__version__}"

    def key(self) -> dict[str, str]:
        """Digests of everything that can change a number, by part."""
        return {
            "suite": self.file.digest,
            "size": self.request.size,
            "model": self.choice.label,
            "recipe": digest(self.recipe.as_dict()),
            "pretrained": "none" if self.backbone is None else self.backbone.sha256,
            "protocol": digest(self.protocol.model_dump(mode="json")),
            "explain": digest([self.explain.model_dump(mode="json"), sorted(self.explainers)]),
            "seed": str(self.request.seed),
            "compute": self.compute,
            "code": digest([__version__, code_digest(_NUMBERS_COME_FROM)]),
        }

    def command(self, verb: str = "run", *more: str) -> str:
        """A command line that repeats the run."""
        asked = self.request
        words = ["ifambench", verb, asked.suite, "--model", self.choice.label]
        for name in asked.explainers if verb == "run" else ():
            words += ["--explainer", name]
        measured = {"--images": asked.images, "--steps": asked.steps} if verb == "run" else {}
        options = {
            "--protocol": asked.protocol,
            "--seed": asked.seed,
            "--size": None if asked.size == "default" else asked.size,
            **measured,
            "--pretrained": asked.pretrained,
            "--threads": asked.threads,
            "--device": None if asked.device == "auto" else asked.device,
            "--output": asked.output,
        }
        for option, value in options.items():
            words += [] if value is None else [option, str(value)]
        return shlex.join([*words, *more])


def make_plan(request: RunRequest) -> RunPlan:
    """Check a request against the catalogues, the files and the model.

    Raises:
        UsageError: If a name, number or option is not valid, or an explainer needs what the model
            cannot do.
        EnvironmentProblem: If a weights file is damaged or the device is not there.
    """
    _check_numbers(request)
    device = _device(request)
    file = load_suite(request.suite)
    name, protocol = protocol_of(file.suite, request.protocol)
    choice = choose_model(request.model)
    recipe = recipe_for(file.suite, choice.family)
    model = build_model(choice, file.suite, recipe.architecture())
    backbone = _backbone(choice, model, recipe, request)
    start_from(backbone, model, recipe)
    return RunPlan(
        request=request,
        file=file,
        protocol_name=name,
        protocol=protocol,
        explain=_explain(protocol, request),
        explainers=_explainers(model, request),
        choice=choice,
        recipe=recipe,
        backbone=backbone,
        device=device,
        folder=run_folder(
            request.output, file.suite.id, file.suite.major, choice.label, name, request.seed
        ),
        warnings=_warnings(file.suite, backbone),
    )


def _check_numbers(request: RunRequest) -> None:
    lowest = {"batch_size": 1, "images": 1, "steps": 1, "threads": 1, "seed": 0}
    for name, low in lowest.items():
        value = getattr(request, name)
        if value is not None and not low <= value <= _MAX_SEED:
            raise UsageError(
                f"must be between {low} and {_MAX_SEED}, is {value}",
                where=f"--{name.replace('_', '-')}",
            )


def _device(request: RunRequest) -> torch.device:
    if request.threads:
        torch.set_num_threads(request.threads)
    if request.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(request.device)
    there = {
        "cpu": True,
        "mps": torch.backends.mps.is_available(),
        "cuda": (device.index or 0) < torch.cuda.device_count(),
    }
    if not there.get(device.type, False):
        raise EnvironmentProblem(
            f'device "{request.device}" is not available',
            where="--device",
            next_step="ifambench doctor",
        )
    return device


def _explain(protocol: Protocol, request: RunRequest) -> Explain:
    given = {"images": request.images, "steps": request.steps}
    return protocol.explain.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


def _explainers(model: Classifier, request: RunRequest) -> tuple[str, ...]:
    names = list(request.explainers) or default_explainers(model)
    for name in names:
        check_needs(name, model)
    return tuple(dict.fromkeys([*names, FLOOR]))


def _backbone(
    choice: ModelChoice, model: Classifier, recipe: Recipe, request: RunRequest
) -> Backbone | None:
    if not model.backbones(recipe.init):
        if request.pretrained is not None:
            raise UsageError(
                f"{choice.label} starts from scratch on this suite, it takes no backbone",
                where="--pretrained",
            )
        return None
    shipped = choice.entry.info.get("pretrained", "none shipped for this model")
    return find_backbone(str(request.pretrained or shipped))


def _warnings(suite: Suite, backbone: Backbone | None) -> tuple[str, ...]:
    if backbone is None or backbone.generation_seed in (None, suite.generation.seed):
        return ()
    return (
        f"the backbone {backbone.name} was pretrained on images of generation seed "
        f"{backbone.generation_seed}, the suite has {suite.generation.seed}: it may have seen "
        "digits and textures of the test split",
    )
