"""What a run measures of its trained model beside predictions: explanations, checks, masks, noise.

Each phase is resumable: its finished parts are in a journal whose key holds what one part depends
on, but not which other parts there are. So a run that was stopped can go on with more explainers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ifambench.data.manifest import SuiteData
from ifambench.explain.measure import (
    ExplainResult,
    ExplainSettings,
    choose_images,
    explain_rows,
    nothing_explained,
)
from ifambench.models.base import Classifier
from ifambench.plan import RunPlan
from ifambench.predict.journal import Journal
from ifambench.progress import Progress
from ifambench.records.clock import Clock
from ifambench.records.key import digest

if TYPE_CHECKING:
    from ifambench.battery import BatteryResult


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        model: On the device, in eval mode.
        data: Where pixels and masks are.
        predictions: The prediction table of the run.
        key: Digest of model, data and everything else that no explanation decides.
    """

    model: Classifier
    data: SuiteData
    predictions: pd.DataFrame
    key: str


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        explained: Curves, localisation and maps; empty when no image is explained.
        sanity: Checks of the explainers, or None when they are not asked for.
        battery: Tests of the model's own mask, or None when they are not asked for.
        mask_samples: Predictions under noisy masks, or None when they are not asked for.
    """

    explained: ExplainResult
    sanity: pd.DataFrame | None
    battery: BatteryResult | None
    mask_samples: pd.DataFrame | None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables to store, by name."""
        found = {
            "explanations": self.explained.explanations,
            "sanity": self.sanity,
            "mask_samples": self.mask_samples,
        }
        if self.battery is not None:
            found |= {"battery": self.battery.table, "selections": self.battery.selections}
        return {name: table for name, table in found.items() if table is not None}

    def facts(self, plan: RunPlan) -> dict[str, Any]:
        """How it was measured, for the record; empty when nothing was."""
        asked = plan.explain
        drawn: dict[str, Any] = {}
        if asked.mask_samples:
            drawn = {"mask_samples": {"samples": asked.mask_samples, "seed": plan.request.seed}}
        if not asked.explainers and not asked.battery:
            return drawn
        number = {"images": _images(self.explained.explanations), "sanity": _images(self.sanity)}
        number["battery"] = None if self.battery is None else _images(self.battery.table)
        how = {"operators": list(asked.operators), "precision": asked.precision}
        return {
            "protocol": how | {name: n for name, n in number.items() if n is not None},
            "explainers": {
                label: {what: round(value, 3) for what, value in cost.items()}
                for label, cost in self.explained.costs.items()
            },
            "left_out": dict(asked.left_out),
            **self._battery_facts(),
            **drawn,
        }

    def _battery_facts(self) -> dict[str, Any]:
        if self.battery is None:
            return {}
        found = self.battery
        return {"battery": dict(found.settings), "not_measured": dict(found.not_measured)}


def measure(
    plan: RunPlan, subject: Subject, work: Path, clock: Clock, progress: Progress
) -> Measured:
    """Explain, check the explanations, and test the model's own mask, as far as asked for.

    Args:
        plan: What to measure.
        subject: Of what.
        work: Folder of the journals.
        clock: Told what each phase costs.
        progress: Told about each part.
    """

    def journal(name: str) -> Journal:
        return Journal(
            work / f"{name}.jsonl", digest([subject.key, name, plan.explain.settings_key()])
        )

    with clock.phase("explain"):
        explained = _explain(plan, subject, journal, progress)
    clock.count("explain", explained.n_forwards)
    sanity = battery = None
    if plan.explain.sanity:
        with clock.phase("sanity"):
            sanity = _sanity(plan, subject, journal, progress)
        clock.count("sanity", _images(sanity) or 0)
    if plan.explain.battery:
        with clock.phase("battery"):
            battery = _battery(plan, subject, journal, progress)
        clock.count("battery", battery.n_forwards)
    noisy = None
    if plan.explain.mask_samples:
        with clock.phase("masks"):
            noisy = _mask_samples(plan, subject, journal("masks"), progress)
        clock.count("masks", len(noisy))
    return Measured(explained, sanity, battery, noisy)


def _explain(
    plan: RunPlan, subject: Subject, journal: Callable[[str], Journal], progress: Progress
) -> ExplainResult:
    asked = plan.explain
    if asked.settings.images == 0:
        return nothing_explained()
    rows = _chosen(plan, subject, asked.settings.images)
    return explain_rows(
        subject.model,
        subject.data,
        rows,
        subject.predictions,
        asked.explainers,
        _settings(plan),
        journal("explanations"),
        progress,
    )


def _sanity(
    plan: RunPlan, subject: Subject, journal: Callable[[str], Journal], progress: Progress
) -> pd.DataFrame:
    from ifambench.explain import sanity

    rows, names = _chosen(plan, subject, plan.explain.sanity), plan.explain.explainers
    passes = len(rows) * sanity.forwards_ahead(subject.model, names)
    progress.message(
        f"sanity: explainers {len(names)}, images {len(rows):,}, forward passes about {passes:,}"
    )
    return sanity.sanity_rows(
        subject.model,
        subject.data,
        rows,
        subject.predictions,
        names,
        _settings(plan),
        journal("sanity"),
        progress,
    )


def _battery(
    plan: RunPlan, subject: Subject, journal: Callable[[str], Journal], progress: Progress
) -> BatteryResult:
    from ifambench.battery import BatterySettings, run_battery

    settings = BatterySettings(
        seed=plan.explain.settings.seed, batch_size=plan.request.images_at_once, device=plan.device
    )
    return run_battery(
        subject.model,
        subject.data,
        _chosen(plan, subject, plan.explain.battery),
        subject.predictions,
        settings,
        journal("battery"),
        progress,
    )


def _mask_samples(
    plan: RunPlan, subject: Subject, journal: Journal, progress: Progress
) -> pd.DataFrame:
    from ifambench.predict.mask_samples import sample_masks

    return sample_masks(
        subject.model,
        subject.data,
        subject.data.rows(plan.protocol.eval_split),
        samples=plan.explain.mask_samples,
        seed=plan.request.seed,
        batch_size=plan.request.images_at_once,
        device=plan.device,
        journal=journal,
        progress=progress,
    )


def _chosen(plan: RunPlan, subject: Subject, images: int) -> pd.DataFrame:
    rows = subject.data.rows(plan.protocol.eval_split)
    return choose_images(rows, images, subject.data.suite.groups.names, plan.explain.settings.seed)


def _settings(plan: RunPlan) -> ExplainSettings:
    asked = plan.explain.settings
    return ExplainSettings(
        steps=asked.steps,
        random_draws=asked.random_draws,
        seed=asked.seed,
        batch_size=plan.request.batch_size,
        device=plan.device,
        operators=plan.explain.operators,
        target=asked.target,
        precision=plan.explain.precision,
    )


def _images(table: pd.DataFrame | None) -> int | None:
    """How many images a table is of, or None where there is no table."""
    return None if table is None else int(table["id"].nunique())
