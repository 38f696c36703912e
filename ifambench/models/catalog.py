"""Names on the command line become models: `vit-micro`, `vit-micro+groupdro`, `ifam-vit-micro`.

A model name stands for an architecture with its own training method; `+method` picks another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ifambench.errors import unknown_name
from ifambench.registry import Entry, Registry
from ifambench.suites.spec import Suite

if TYPE_CHECKING:
    from ifambench.models.base import Classifier

MODEL_REGISTRY = Registry("model", "ifambench.models", "MODELS")

#: Group labels each training method uses beyond the class labels.
LABELS_NEEDED = {"erm": "none", "ifam": "none", "groupdro": "train", "dfr": "val"}


@dataclass(frozen=True)
class ModelChoice:
    """A model and the method that trains it.

    Attributes:
        entry: The catalogue entry of the architecture.
        method: The training method.
    """

    entry: Entry
    method: str

    @property
    def label(self) -> str:
        """The name in folders and tables; the method only when it is not the model's own."""
        own = self.entry.info["method"] == self.method
        return self.entry.name if own else f"{self.entry.name}+{self.method}"

    @property
    def family(self) -> str:
        """The recipe family: `vit`, `oracle`, `ifam`; with `+method` as in `label`."""
        family = str(self.entry.info["family"])
        return family + self.label.removeprefix(self.entry.name)

    @property
    def labels_needed(self) -> str:
        """Group labels or true masks the choice uses beyond the class labels."""
        own = str(self.entry.info["labels_needed"])
        return own if own != "none" else LABELS_NEEDED[self.method]


def choose_model(name: str) -> ModelChoice:
    """Parse `model` or `model+method`.

    Raises:
        UsageError: If there is no such model, or the model has no such method.
    """
    base, plus, method = name.partition("+")
    entry = MODEL_REGISTRY.entry(base)
    methods = list(entry.info["methods"])
    if plus and method not in methods:
        raise unknown_name(
            f"method of {base}", method, methods, list_command=f"ifambench show {base}"
        )
    return ModelChoice(entry, method or str(entry.info["method"]))


def model_labels() -> list[str]:
    """Every model, with every method it can be trained by, as written on the command line."""
    return [
        ModelChoice(entry, method).label
        for entry in MODEL_REGISTRY.entries().values()
        for method in entry.info["methods"]
    ]


def build_model(choice: ModelChoice, suite: Suite, options: dict[str, Any]) -> Classifier:
    """The untrained model for a suite; `options` are the recipe's architecture options."""
    model: Classifier = choice.entry.load()(
        num_classes=len(suite.labels), image_size=suite.image_size, **options
    )
    return model
