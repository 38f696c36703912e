"""Which images have an object that can be cut out and a background that can be kept.

Filters in this order, in the geometry of the suite; an image that fails one has no swap variants,
unless the variant says `quality_filter = false`: then every object that can be seen has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ifambench.data.swap.shapes import Mask, bounding_box

MIN_AREA, MAX_AREA, MAX_BOX = 0.02, 0.9, 0.9
"""Shares of the image: of the object at least and at most, of its bounding box at most."""

REASONS = {
    "none": "without a mask",
    "empty": "with an empty mask",
    "small": f"with an object below {MIN_AREA:.0%} of the image",
    "large": f"with an object above {MAX_AREA:.0%} of the image",
    "box": f"with a bounding box above {MAX_BOX:.0%} of the image",
}
ABSENT = ("none", "empty")
"""Reasons that no setting can lift: there is no object."""


@dataclass(frozen=True)
class Quality:
    """The outcome for some images.

    Attributes:
        usable: Ids that pass.
        failed: Reason (a key of `REASONS`) -> ids.
    """

    usable: frozenset[str]
    failed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def described(self, *, filtered: bool = True) -> str:
        """The counts of what is left out, in words; empty when nothing is.

        Args:
            filtered: Whether objects of the wrong size are left out, or only absent ones.
        """
        left = self.failed if filtered else {name: self.failed.get(name, ()) for name in ABSENT}
        parts = [f"{len(ids)} {REASONS[name]}" for name, ids in left.items() if ids]
        n = len(self.usable) + sum(map(len, self.failed.values()))
        return f"{', '.join(parts)}, of {n:,} images" if parts else ""


def examine(masks: Iterable[tuple[str, Mask | None]]) -> Quality:
    """Sort images by what their masks allow.

    Args:
        masks: Id and (S, S) mask, or None for an image without one.
    """
    usable: list[str] = []
    failed: dict[str, list[str]] = {name: [] for name in REASONS}
    for name, mask in masks:
        reason = problem(mask)
        (usable if reason is None else failed[reason]).append(name)
    return Quality(frozenset(usable), {key: tuple(ids) for key, ids in failed.items()})


def problem(mask: Mask | None) -> str | None:
    """The first filter that a mask fails, or None."""
    if mask is None:
        return "none"
    if not mask.any():
        return "empty"
    area = mask.mean()
    if area < MIN_AREA:
        return "small"
    if area > MAX_AREA:
        return "large"
    return "box" if bounding_box(mask).area > MAX_BOX * mask.size else None
