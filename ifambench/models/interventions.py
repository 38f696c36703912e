"""What an evaluation can change in the selection of a two-stage model: parts and weak patches.

`remove_parts` turns patches of the given parts into background. `thresholds` takes a part away
from a patch whose dot product with the part's prototype is below the part's threshold, usually a
low quantile over the training images (`part_thresholds`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ifambench.errors import UsageError

if TYPE_CHECKING:
    from ifambench.models.ifam import Ifam

_NEVER = float("-inf")


@dataclass(frozen=True, eq=False)
class Interventions:
    """What is changed.

    Attributes:
        remove_parts: Parts whose patches become background, 0 to K - 1.
        thresholds: (K,) smallest dot product of a patch with each part; None: no thresholds.
        compat: `official` replaces all scores by dot products when there are thresholds, as the
            published code does; `none` keeps the model's own scores (distances).
    """

    remove_parts: tuple[int, ...] = ()
    thresholds: Tensor | None = None
    compat: str = "none"

    def check(self, num_parts: int) -> None:
        """Refuse what does not fit a model of K parts.

        Raises:
            UsageError: If there is no such part, or another number of thresholds.
        """
        wrong = [part for part in self.remove_parts if not 0 <= part < num_parts]
        if wrong:
            raise UsageError(
                f"the model has no part {wrong[0]}",
                where="--remove-parts",
                choices=[str(k) for k in range(num_parts)],
            )
        if self.thresholds is not None and tuple(self.thresholds.shape) != (num_parts,):
            raise UsageError(f"the model has {num_parts} parts, one threshold each")
        if self.compat not in ("none", "official"):
            raise UsageError(f'no compat "{self.compat}"', choices=["none", "official"])


NOTHING = Interventions()


def intervene(what: Interventions, scores: Tensor, maps: Tensor, dots: Tensor) -> Tensor:
    """The scores that the selection is made from instead, (B, K + 1, h, w).

    Args:
        what: What to change.
        scores: (B, K + 1, h, w) of the model.
        maps: (B, K + 1, h, w) part probabilities, which say what part a patch belongs to.
        dots: (B, K + 1, h, w) dot products with the prototypes.

    Raises:
        UsageError: If the intervention does not fit the number of parts.
    """
    what.check(scores.shape[1] - 1)
    if what.thresholds is not None:
        limits = what.thresholds.to(dots).view(1, -1, 1, 1)
        weak = _with_background(dots[:, :-1] < limits)
        chosen = dots if what.compat == "official" else scores
        scores = chosen.masked_fill(weak, _NEVER)
    if what.remove_parts:
        removed = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        removed[list(what.remove_parts)] = True
        member = removed[maps.argmax(dim=1)]  # (B, h, w) patches of a removed part
        gone = member[:, None] | removed[None, :-1, None, None]  # (B, K, h, w)
        scores = scores.masked_fill(_with_background(gone), _NEVER)
    return scores


def remove_parts(model: Any, parts: Iterable[int]) -> None:
    """Remove parts from the selection of a two-stage model, from now on.

    Raises:
        UsageError: If the model selects no parts, or has no such part.
    """
    inner = getattr(model, "unmapped", model)
    current = getattr(inner, "interventions", None)
    if not isinstance(current, Interventions):
        raise UsageError(
            "only a two-stage model has parts that can be removed",
            where="--remove-parts",
            next_step="ifambench list models",
        )
    changed = replace(current, remove_parts=tuple(parts))
    changed.check(inner.stage_1.num_parts)
    inner.interventions = changed


@torch.no_grad()
def part_thresholds(model: Ifam, batches: Iterable[Tensor], quantile: float) -> Tensor:
    """Per part, the quantile of the dot products of the patches that belong to it, (K,).

    A part without any patch gets -inf: it has no threshold.

    Args:
        model: The two-stage model.
        batches: Normalised training images, (B, 3, H, W) each.
        quantile: In [0, 1]; published: 0.01, 0.03, 0.05 and 0.1.

    Raises:
        UsageError: If the quantile is not in [0, 1].
    """
    if not 0 <= quantile <= 1:
        raise UsageError(f"the quantile is {quantile}", choices=["0 <= quantile <= 1"])
    num_parts = model.stage_1.num_parts
    found: list[list[np.ndarray]] = [[] for _ in range(num_parts)]
    for images in batches:
        tokens = model.stage_1.tokens(images)
        owner = model.stage_1.scores(tokens).argmax(dim=1)  # (B, h, w)
        dots = model.stage_1.dots(tokens)  # (B, K + 1, h, w)
        for part in range(num_parts):
            found[part].append(dots[:, part][owner == part].cpu().numpy())
    values = [np.concatenate(part) if part else np.empty(0) for part in found]
    limits = [float(np.quantile(v, quantile)) if v.size else _NEVER for v in values]
    return torch.tensor(limits)


def _with_background(parts: Tensor) -> Tensor:
    """(B, K, h, w) bool -> (B, K + 1, h, w), False at the background."""
    return torch.cat([parts, torch.zeros_like(parts[:, :1])], dim=1)
