"""Classifiers of ImageNet-1k on suites with other labels: which classes make up a label.

The prediction is the label of the largest of all class logits, as in the published evaluations: the
logit of a label is the largest one of its classes, so that the argmax over labels is the label of
the argmax over classes. The probability of a label is the sum over its classes of the softmax over
all of them, which is what the model itself says; where one label has many classes of middling
probability, it need not be the largest one.

With `label_scope = "all"` the classes of no label make up one more, the last, which is never right.
With `"members"` they are left out, from the logits and from the softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.models.base import Classifier, Selection, Trace
from ifambench.suites.checks import IMAGENET_CLASSES, imagenet_members
from ifambench.suites.labels import IMAGENET, label_set
from ifambench.suites.spec import Suite

LabelScope = Literal["all", "members"]


@dataclass(frozen=True)
class LabelMap:
    """Which classes make up each label.

    Attributes:
        members: Class indices of each label; with scope `all`, those of no label come last.
        scope: See the module docstring.
    """

    members: tuple[tuple[int, ...], ...]
    scope: LabelScope

    def logits(self, raw: Tensor) -> Tensor:
        """The largest logit of each label, (B, C) -> (B, L)."""
        return torch.stack([raw[:, list(part)].amax(dim=1) for part in self.members], dim=1)

    def scores(self, raw: Tensor) -> Tensor:
        """Logits whose softmax are the summed probabilities, (B, C) -> (B, L)."""
        return torch.stack([raw[:, list(part)].logsumexp(dim=1) for part in self.members], dim=1)


def label_map(suite: Suite, scope: LabelScope) -> LabelMap | None:
    """The map of a suite with `[imagenet]`, else None."""
    found = imagenet_members(suite)
    if not found:
        return None
    members = [tuple(part) for part in found.values()]
    rest = tuple(sorted(set(range(IMAGENET_CLASSES)) - {index for m in members for index in m}))
    return LabelMap((*members, *([rest] if rest and scope == "all" else [])), scope)


class Mapped(Classifier):
    """A classifier of ImageNet-1k as one of the labels of a suite.

    Args:
        model: Any classifier of 1,000 classes; what it can do, this one can.
        to_labels: The labels.
    """

    label_map: LabelMap

    def __init__(self, model: Classifier, to_labels: LabelMap) -> None:
        super().__init__()
        self.model = model
        self.label_map = to_labels
        self.capabilities = model.capabilities  # type: ignore[misc]  # here they are the model's
        self.data_config = model.data_config
        self.num_classes = len(to_labels.members)
        self.patch_grid = model.patch_grid
        self.num_prefix_tokens = model.num_prefix_tokens
        self.mask_coverage = model.mask_coverage

    @property
    def unmapped(self) -> Classifier:
        """The classifier of 1,000 classes."""
        return self.model

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """The largest logit of each label, (B, L)."""
        return self.label_map.logits(self.model.logits(images, masks))

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        """As `logits`, from the kept patches alone."""
        return self.label_map.logits(self.model.logits_from_patches(images, keep))

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass of the model, with the logits of labels."""
        trace = self.model.trace(images, masks)
        return trace._replace(logits=self.label_map.logits(trace.logits))

    def part_votes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The part maps of the model, and each part's logits of labels."""
        maps, votes = self.model.part_votes(images)
        labels = self.label_map.logits(votes.flatten(0, 1))
        return maps, labels.reshape(*votes.shape[:2], -1)

    def conv_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The feature maps of the model, with the logits of labels."""
        features, raw = self.model.conv_features(images)
        return features, self.label_map.logits(raw)

    def select(self, images: Tensor) -> Selection:
        """The model's own selection of patches."""
        return self.model.select(images)

    def logits_under(self, images: Tensor, selection: Selection) -> Tensor:
        """As `logits`, of the second stage under a selection."""
        return self.label_map.logits(self.model.logits_under(images, selection))


def as_labels(model: Classifier, suite: Suite, scope: LabelScope, source: str) -> Classifier:
    """The model of given weights as a classifier of the labels of a suite.

    Args:
        model: With the classes of its weights.
        suite: Its labels, or `[imagenet]`, must fit them.
        scope: Of the protocol.
        source: The weights, for errors.

    Raises:
        UsageError: If the classes are others.
    """
    found, names = model.num_classes, tuple(suite.labels)
    mapped = label_map(suite, scope) if found == IMAGENET_CLASSES else None
    if mapped is not None:
        return Mapped(model, mapped)
    if source.startswith("timm:") and names != label_set(IMAGENET):
        raise UsageError(
            f"the classes of the weights are {_named(found)}, "
            f"and {suite.id} maps its {len(names)} labels to none of them",
            where=source,
            choices=['a suite with labels = "imagenet-1k" or a section [imagenet]'],
            next_step="ifambench list models, for models that are trained on the suite",
        )
    check_classes(found, len(names), source)
    return model


def check_classes(found: int, wanted: int | None, source: str) -> None:
    """Refuse weights with another number of classes; None takes any.

    Raises:
        UsageError: If the numbers differ.
    """
    if wanted not in (None, found):
        raise UsageError(
            f"the weights tell {found} classes apart, the suite has {wanted}",
            where=source,
            next_step="choose a suite with the same classes, or other weights",
        )


def _named(classes: int) -> str:
    return "those of ImageNet-1k" if classes == IMAGENET_CLASSES else f"{classes} others"
