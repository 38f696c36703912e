"""T5, closure: is the explanation enough to find itself?

The image is replaced by what the mask shows, R(x, M, z), and the whole model runs again. `iou` is
that of the new mask with the old one, `agrees` is 1 where the label stays. A mask that is found
because of what is around it fails here although T1 passes: 1 - iou is the mask's dependence on
context. That is no bug, but nothing else shows it.
"""

from __future__ import annotations

from ifambench.battery.controls import overlap
from ifambench.battery.part import Part, Value, to_numpy
from ifambench.explain.fills import fill_patches

_FILLS = ("mean", "noise", "blur")


def closure(part: Part) -> list[Value]:
    """T5: `iou` and `agrees`, per fill."""
    return [value for name in _FILLS for value in _closed(part, name)]


def _closed(part: Part, fill: str) -> list[Value]:
    masked = part.masked
    shown = fill_patches(part.images, part.own.mask, part.fill(fill).content)
    again = masked.select(shown, part.batch.masks)
    label = masked.predicted(masked.under(shown, again))
    return [
        Value("iou", fill, overlap(part.own_mask, to_numpy(again.mask))),
        Value("agrees", fill, (label == part.predicted).astype(float)),
    ]
