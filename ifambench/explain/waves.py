"""Which curves are evaluated together, and how many forward passes that is, told beforehand.

A *label* is one name in the tables: an explainer under an operator. A *wave* is a few labels of one
operator whose curves are evaluated together and then kept in the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ifambench.explain.base import EXPLAINER_REGISTRY, map_passes
from ifambench.explain.curves import Asked, step_counts
from ifambench.explain.images import ExplainSettings, Part, Work
from ifambench.explain.ranking import expected_orders
from ifambench.progress import Progress

WAVE = 64
"""Batches after which what is measured is kept in the journal, at the latest after one explainer:
few enough to lose minutes when a run is killed, many enough for the last batch not to matter."""


@dataclass(frozen=True)
class Label:
    """One name in the tables.

    Attributes:
        name: As it stands there, `NAME` or `NAME@OPERATOR`.
        explainer: Its explainer.
        operator: What a removed patch becomes.
    """

    name: str
    explainer: str
    operator: str

    @property
    def info(self) -> dict[str, Any]:
        """What the explainer's file says of it."""
        return dict(EXPLAINER_REGISTRY.entry(self.explainer).info)

    def draws(self, settings: ExplainSettings) -> int:
        """Orders per image, but for those of ties."""
        return settings.random_draws if self.info.get("draws") else 1


def waves_of(part: Part, labels: Sequence[Label]) -> Iterator[list[Label]]:
    """Labels of one operator at a time, together up to `WAVE` batches."""
    model = part.work.model
    whole = int(np.prod(model.patch_grid)) + model.num_prefix_tokens
    limit = WAVE * max(1, part.work.budget // whole)
    wave: list[Label] = []
    planned = 0
    for label in labels:
        size = steps_of(part.work, label) * len(part.rows)
        if wave and (planned + size > limit or label.operator != wave[0].operator):
            yield wave
            wave, planned = [], 0
        wave.append(label)
        planned += size
    if wave:
        yield wave


def steps_of(work: Work, label: Label) -> int:
    """Forward passes of one image, as planned; maps are made once, for the headline."""
    made = label.operator == work.settings.headline
    return planned_inputs(work, label) + (passes_of_map(work, label.explainer) if made else 0)


def planned_inputs(work: Work, label: Label) -> int:
    """Inputs of the curves of one image, with the ties that are certain; at least one."""
    orders = expected_orders(label.explainer, work.model.capabilities)
    return max(1, _inner(work) * label.draws(work.settings) * orders)


def passes_of_map(work: Work, explainer: str) -> int:
    """Forward passes of one map of one image, as the explainer states them."""
    return map_passes(explainer, int(np.prod(work.model.patch_grid)))


def _inner(work: Work) -> int:
    """Points of both curves of one order, without the ends."""
    return 2 * (len(step_counts(int(np.prod(work.model.patch_grid)), work.settings.steps)) - 2)


def inputs_of(part: Part, asked: Sequence[Asked]) -> int:
    """Inputs of some orders if none were equal; at least one."""
    orders = sum(len(one.orders.image) for one in asked)
    return max(1, _inner(part.work) * orders)


def wave_note(wave: Sequence[Label]) -> str:
    """A note that stays short, whatever is measured together."""
    what = wave[0].explainer if len(wave) == 1 else f"{len(wave)} explainers"
    return f"curves of {what}, {wave[0].operator}"


class Ticks:
    """Turns evaluated inputs into planned ones, so that a phase ends exactly at its total."""

    def __init__(self, progress: Progress, planned: int, expected: int) -> None:
        self._progress, self._planned, self._expected = progress, planned, expected
        self._told = self._done = 0

    def __call__(self, inputs: int) -> None:
        """Some inputs were evaluated."""
        self._done += inputs
        share = min(1.0, self._done / self._expected)
        self._tell(int(share * self._planned), f"{self._done:,} inputs")

    def finish(self, note: str) -> None:
        """All are done, whatever their number was."""
        self._tell(self._planned, note)

    def _tell(self, reached: int, note: str) -> None:
        if reached > self._told:
            self._progress.advance(reached - self._told, note)
            self._told = reached
