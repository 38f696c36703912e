"""Names on the command line become models.

vit-b                         an architecture with its own training method
vit-b+groupdro                another method
ifam-vit-b@num_parts=8        with recipe fields replaced (`,` between several)
ifam-vit-b.waterbirds-k8      published weights (`PUBLISHED`)
ckpt:PATH, hf-hub:OWNER/REPO  given weights; the architecture is read from the tensors
timm:ARCHITECTURE.TAG         a classifier off the shelf, as timm publishes it
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ifambench.errors import UsageError, unknown_name
from ifambench.models.sizes import SIZES, nearest_tiled
from ifambench.registry import Entry, Registry
from ifambench.suites.spec import Suite

if TYPE_CHECKING:
    from ifambench.models.base import Classifier
    from ifambench.models.label_map import LabelScope

MODEL_REGISTRY = Registry("model", "ifambench.models", "MODELS")

#: Group labels each training method uses beyond the class labels.
LABELS_NEEDED = {
    "erm": "none",
    "ifam": "none",
    "parts": "none",
    "probe": "none",
    "mixup": "none",
    "jtt": "none",
    "rwg": "train",
    "groupdro": "train",
    "dfr": "val",
}

#: Published checkpoints of the two-stage model, all ViT-B/14 with 4 registers (siim: RAD-DINO).
PUBLISHED = {
    f"ifam-vit-b.{tag}": f"hf-hub:ananthu-aniraj/ifam-{tag}"
    for tag in ("waterbirds-k4", "waterbirds-k8", "cub-k8", "metashift-k8", "siim-acr-k8")
}

#: How names of given weights begin.
GIVEN = ("ckpt:", "hf-hub:", "timm:")
GIVEN_ENTRY = Entry(
    name="given",
    module="ifambench.models.checkpoints",
    build="build_given",
    info={
        "family": "given",
        "method": "given",
        "methods": ["given"],
        "labels_needed": "unknown",
        "summary": "given weights, not trained here",
    },
)


@dataclass(frozen=True)
class ModelChoice:
    """A model and how it comes to its weights.

    Attributes:
        entry: The catalogue entry of the architecture.
        method: The training method; `given` when the weights are.
        overrides: Recipe fields given in the name, as text.
        source: `ckpt:...`, `hf-hub:...` or `timm:...` for given weights, else None.
        name: As on the command line, without overrides and method.
    """

    entry: Entry
    method: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    name: str = ""

    @property
    def base_label(self) -> str:
        """The name in recipes: the method only when it is not the model's own."""
        own = self.entry.info["method"] == self.method
        return self.entry.name if own else f"{self.entry.name}+{self.method}"

    @property
    def label(self) -> str:
        """The name in commands and tables."""
        if self.source is not None:
            return self.name
        pairs = ",".join(f"{key}={value}" for key, value in sorted(self.overrides.items()))
        return f"{self.base_label}@{pairs}" if pairs else self.base_label

    @property
    def folder(self) -> str:
        """The label as one path component."""
        if self.source is None or self.name in PUBLISHED:
            return self.label
        scheme, _, rest = self.source.partition(":")
        # with the folder, because published files are called snapshot_best.pt one and all
        path = PurePath(rest)
        shown = [path.parent.name, path.stem if scheme == "ckpt" else path.name]
        return re.sub(r"[^A-Za-z0-9._@=+-]", "_", f"{scheme}-{'--'.join(filter(None, shown))}")

    @property
    def family(self) -> str:
        """The recipe family: `vit`, `oracle`, `ifam`; with `+method` as in `base_label`."""
        family = str(self.entry.info["family"])
        return family + self.base_label.removeprefix(self.entry.name)

    @property
    def pretrained(self) -> str | None:
        """What training starts from unless another backbone is asked for."""
        size = self.entry.info.get("size")
        return SIZES[size].pretrained if size else self.entry.info.get("pretrained")

    @property
    def labels_needed(self) -> str:
        """Group labels or true masks the choice uses beyond the class labels."""
        own = str(self.entry.info["labels_needed"])
        return own if own != "none" else LABELS_NEEDED[self.method]


def choose_model(name: str) -> ModelChoice:
    """Parse a model name; see the module docstring.

    Raises:
        UsageError: If there is no such model, or the model has no such method.
    """
    if name in PUBLISHED or name.startswith(GIVEN):
        return ModelChoice(GIVEN_ENTRY, "given", source=PUBLISHED.get(name, name), name=name)
    whole, _, given = name.partition("@")
    base, plus, method = whole.partition("+")
    if base in PUBLISHED:
        raise UsageError(
            f"{base} has its weights: it is not trained, so it takes no method and no recipe field",
            where=f"--model {name}",
        )
    entry = _entry(base)
    methods = list(entry.info["methods"])
    if plus and method not in methods:
        raise unknown_name(
            f"method of {base}", method, methods, list_command=f"ifambench show {base}"
        )
    overrides = _overrides(given, name) if given or whole != name else {}
    return ModelChoice(entry, method or str(entry.info["method"]), overrides, name=base)


def _entry(name: str) -> Entry:
    """The architecture of that name; there are too many to list every size in an error."""
    entries = MODEL_REGISTRY.entries()
    if name in entries:
        return entries[name]
    names = [*entries, *PUBLISHED]
    error = unknown_name("model", name, names, list_command="ifambench list models")
    error.choices = tuple(dict.fromkeys(family_name(entry) for entry in entries.values()))
    if Path(name).exists():
        error.next_step = f"weights are named with their scheme: ckpt:{name}"
    raise error


def family_name(entry: Entry) -> str:
    """The name of an entry, with SIZE in the place of the size if there are several."""
    return str(entry.info.get("template", entry.name)).format(size="SIZE")


def _overrides(text: str, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        # the value becomes part of a folder's name
        if not (re.fullmatch(r"[a-z0-9_.]+", key) and re.fullmatch(r"[\w.+-]+", value)):
            raise UsageError(
                f'"{part}" is not KEY=VALUE with a recipe field as key',
                where=f"--model {name}",
                next_step="for instance ifam-vit-ti@num_parts=8,mask_gradient=soft",
            )
        if key in found:
            raise UsageError(f"{key} is given twice", where=f"--model {name}")
        found[key] = value
    return found


def builder_options(entry: Entry) -> frozenset[str] | None:
    """The options that shape an architecture; None for a plug-in, which may take any."""
    if not entry.module.startswith("ifambench."):
        return None
    named = inspect.signature(entry.load()).parameters.values()
    options = {p.name for p in named if p.kind is not p.VAR_KEYWORD}
    return frozenset(options - {"num_classes", "size"})


def trained_as(label: str) -> str | None:
    """The model, with its method, whose trained weights another one uses; None if it has its own.

    >>> trained_as("gradcam-vit-ti+dfr"), trained_as("vit-ti")
    ('vit-ti+dfr', None)
    """
    name, plus, method = label.partition("+")
    entry = MODEL_REGISTRY.entries().get(name)
    if entry is None or "trained_as" not in entry.info:
        return None
    return f"{entry.info['trained_as']}-{entry.info['size']}{plus}{method}"


def model_labels() -> list[str]:
    """Every model, with every method it can be trained by, as written on the command line."""
    return [
        ModelChoice(entry, method).label
        for entry in MODEL_REGISTRY.entries().values()
        for method in entry.info["methods"]
    ]


def check_trainable(choice: ModelChoice, suite: Suite) -> None:
    """Refuse what would have to be trained on a suite without training images.

    Raises:
        UsageError: Naming what can be evaluated.
    """
    if choice.source is None and not suite.has_training:
        raise UsageError(
            f"{suite.id} has no training images: {choice.label} cannot be trained on it",
            where=f"--model {choice.label}",
            choices=["timm:ARCHITECTURE.TAG", "ckpt:PATH", "hf-hub:OWNER/REPO"],
            next_step=f"ifambench run {suite.id} --model timm:resnet50.a1_in1k",
        )


def build_model(
    choice: ModelChoice, suite: Suite, options: dict[str, Any], label_scope: LabelScope = "all"
) -> Classifier:
    """The model for a suite, untrained unless its weights are given.

    Args:
        choice: Which model.
        suite: Gives the classes and, unless the weights do, the image size.
        options: The recipe's architecture options; `image_size` replaces the suite's. One that the
            model's name does not give is taken to the nearest that the patches tile.
        label_scope: Of the protocol, for suites that map the classes of ImageNet.

    Raises:
        UsageError: If the image size does not fit, or given weights have other classes.
        EnvironmentProblem: If given weights are missing or damaged.
    """
    if choice.source is not None:
        from ifambench.models.label_map import as_labels

        given = choice.entry.load()(num_classes=None, source=choice.source, **options)
        return as_labels(given, suite, label_scope, choice.source)
    shape: dict[str, Any] = {"num_classes": len(suite.labels), "image_size": suite.image_size}
    size = choice.entry.info.get("size")
    shape |= options if size is None else options | {"size": size}
    if size is not None and "image_size" not in choice.overrides:
        shape["image_size"] = nearest_tiled(shape["image_size"], SIZES[size].patch_size)
    model: Classifier = choice.entry.load()(**shape)
    return model
