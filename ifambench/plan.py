"""What a run request means: which suite, model, recipe, weights, protocol and folder.

A plan is made before any work starts, from files alone. Its `key` holds a digest of everything
that can change a number; a stored run is reused only when the whole key is equal.
"""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ifambench import __version__
from ifambench.errors import UsageError
from ifambench.models.catalog import ModelChoice, choose_model
from ifambench.models.weights import Backbone, find_backbone
from ifambench.records.key import digest
from ifambench.records.store import run_folder
from ifambench.suites.catalog import SuiteFile, load_suite
from ifambench.suites.spec import Explain, Protocol, protocol_of
from ifambench.train.recipes import Recipe, recipe_for

_NUMBERS_COME_FROM = ("data", "metrics", "models", "predict", "explain", "train")


@dataclass(frozen=True)
class RunRequest:
    """What the user asks for.

    Attributes:
        suite: Name of a suite, or path of a suite file.
        model: `model` or `model+method`.
        output: Folder below which the run folder lies.
        protocol: Protocol of the suite, or None for its default.
        seed: Training seed.
        explainers: Explainer names; empty for the model's defaults.
        images: Explained images, or None for the protocol's number.
        steps: Steps of the curves, or None for the protocol's number.
        size: `default`, or the number of training images.
        batch_size: Images per forward pass; changes no result.
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
        choice: Model and method.
        recipe: How it is trained.
        backbone: Where it starts, or None.
        folder: The run folder.
    """

    request: RunRequest
    file: SuiteFile
    protocol_name: str
    protocol: Protocol
    explain: Explain
    choice: ModelChoice
    recipe: Recipe
    backbone: Backbone | None
    folder: Path

    def key(self) -> dict[str, str]:
        """Digests of everything that can change a number, by part."""
        return {
            "suite": self.file.digest,
            "size": self.request.size,
            "model": self.choice.label,
            "recipe": digest(self.recipe.as_dict()),
            "pretrained": "none" if self.backbone is None else self.backbone.sha256,
            "protocol": digest(self.protocol.model_dump(mode="json")),
            "explain": digest(
                [self.explain.model_dump(mode="json"), list(self.request.explainers)]
            ),
            "seed": str(self.request.seed),
            "code": code_digest(),
        }

    def command(self) -> str:
        """A command line that repeats the run."""
        asked = self.request
        words = ["ifambench", "run", asked.suite, "--model", self.choice.label]
        for name in asked.explainers:
            words += ["--explainer", name]
        options = {
            "--protocol": asked.protocol,
            "--seed": asked.seed,
            "--size": None if asked.size == "default" else asked.size,
            "--images": asked.images,
            "--steps": asked.steps,
            "--pretrained": asked.pretrained,
            "--threads": asked.threads,
            "--device": None if asked.device == "auto" else asked.device,
            "--output": asked.output,
        }
        for option, value in options.items():
            if value is not None:
                words += [option, str(value)]
        return shlex.join(words)


def make_plan(request: RunRequest) -> RunPlan:
    """Check a request against the catalogues and files.

    Raises:
        UsageError: If a name, number or option is not valid.
        EnvironmentProblem: If a weights file is damaged.
    """
    if request.seed < 0 or request.batch_size < 1:
        raise UsageError(
            "the seed must be at least 0 and the batch size at least 1",
            where=f"seed {request.seed}, batch size {request.batch_size}",
        )
    file = load_suite(request.suite)
    name, protocol = protocol_of(file.suite, request.protocol)
    choice = choose_model(request.model)
    recipe = recipe_for(file.suite, choice.family)
    return RunPlan(
        request=request,
        file=file,
        protocol_name=name,
        protocol=protocol,
        explain=_explain(protocol, request),
        choice=choice,
        recipe=recipe,
        backbone=_backbone(choice, recipe, request),
        folder=run_folder(
            request.output, file.suite.id, file.suite.major, choice.label, name, request.seed
        ),
    )


@cache
def code_digest() -> str:
    """sha256 of the package's version and of the source files that make numbers."""
    found = hashlib.sha256(__version__.encode())
    root = Path(__file__).parent
    for package in _NUMBERS_COME_FROM:
        for path in sorted((root / package).rglob("*.py")):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _explain(protocol: Protocol, request: RunRequest) -> Explain:
    given = {"images": request.images, "steps": request.steps}
    for name, value in given.items():
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, is {value}")
    return protocol.explain.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


def _backbone(choice: ModelChoice, recipe: Recipe, request: RunRequest) -> Backbone | None:
    needed = choice.family.startswith("ifam") or recipe.init == "pretrained"
    if not needed:
        return None
    return find_backbone(str(request.pretrained or choice.entry.info["pretrained"]))
