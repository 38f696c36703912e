"""All tests of the battery on images of a data set: per-image quantities, resumable.

The work is cut into parts of a few images; what one test gave on one part is kept in the journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from ifambench.battery.areas import operating_point, size_controls
from ifambench.battery.attack import background_attack
from ifambench.battery.closure import closure
from ifambench.battery.locality import conditional_invariance, embedding_locality, reading_vit
from ifambench.battery.masked import masked_model
from ifambench.battery.mediation import mediation, stability
from ifambench.battery.part import Part, Value, parts_of, to_numpy
from ifambench.battery.randomise import has_stages, randomised_stages
from ifambench.battery.shapes import silhouettes
from ifambench.battery.swaps import swapped
from ifambench.battery.work import FILLS, BatterySettings, Work
from ifambench.data.manifest import SuiteData
from ifambench.errors import UsageError
from ifambench.metrics.selections import pack_masks
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating
from ifambench.predict.journal import Journal, Row, chunk_name, finished
from ifambench.progress import Progress
from ifambench.records.key import digest
from ifambench.suites.spec import ORIGINAL

PROTOCOL = "battery/1"
"""Version of everything that decides a quantity."""

TESTS: dict[str, Callable[[Part], list[Value]]] = {
    "T1": conditional_invariance,
    "T2": embedding_locality,
    "T3": mediation,
    "T4": stability,
    "T5": closure,
    "T6": silhouettes,
    "T7": size_controls,
    "T8": operating_point,
    "T9": background_attack,
    "T10": randomised_stages,
}
_SELECTIONS = "selections"


@dataclass(frozen=True)
class BatteryResult:
    """What was measured.

    Attributes:
        table: One row per image and defined quantity: `id, group, y, a_*, test, quantity,
            condition, value`.
        selections: The model's masks as packed bits, of the originals and of the suite's swapped
            variants: `id, variant, group, y, a_*, mask`.
        n_forwards: Inputs that a stage saw, those of the journal included; a gradient counts as two
            more.
        not_measured: Test -> why it, or a part of it, has no rows.
        settings: Numbers that say how the tests were made.
    """

    table: pd.DataFrame
    selections: pd.DataFrame
    n_forwards: int
    not_measured: Mapping[str, str]
    settings: Mapping[str, float]


def run_battery(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    settings: BatterySettings,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> BatteryResult:
    """Test the mask of a model.

    Args:
        model: On the device already; left in the mode it was in.
        data: Where pixels and masks are.
        rows: Manifest rows of the variant `original`. Partners are drawn among them, and rows of
            the suite's background variants are found by their ids.
        predictions: The prediction table; it must hold these images.
        settings: How to test.
        journal: Finished parts are read from it and added to it.
        progress: Told about each part; one step is one image of one test.

    Raises:
        UsageError: If the model has no mask of its own, or there is no such test or fill.
        EnvironmentProblem: If logits are not finite; the message names the image.
        ValueError: If an image has no prediction.
    """
    masked = masked_model(model, settings.batch_size)
    _check(settings)
    work = Work(masked, data, _with_predictions(rows, predictions), settings)
    impossible = _impossible(work)
    names = [name for name in settings.tests if name not in impossible]
    progress = progress or Progress()
    progress.start("battery", (len(names) + 1) * len(rows))
    prefix = f"{PROTOCOL}/{digest(sorted(rows['id']))}"
    found: dict[str, list[Row]] = {name: [] for name in (*names, _SELECTIONS)}
    with evaluating(model), torch.no_grad():
        for part in parts_of(work):
            for name in found:
                chunk = chunk_name(f"{prefix}/{name}", part.rows)
                found[name] += finished(journal, chunk, partial(_measure, part, name))
                progress.advance(len(part.rows), name)
    given = ["id", "group", "y", *(name for name in rows if str(name).startswith("a_"))]
    return BatteryResult(
        table=_table(rows[given], {name: found[name] for name in names}),
        selections=_selections_table(rows[given], found[_SELECTIONS]),
        n_forwards=sum(row["forwards"] for part in found.values() for row in part),
        not_measured={**_incomplete(work), **impossible},
        settings=settings.facts,
    )


def _check(settings: BatterySettings) -> None:
    for what, names, able in (("test", settings.tests, TESTS), ("fill", settings.fills, FILLS)):
        unknown = [name for name in names if name not in able]
        if unknown:
            raise UsageError(f'the battery has no {what} "{unknown[0]}"', choices=list(able))


def _with_predictions(rows: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows with `y_pred`."""
    known = predictions.loc[predictions["variant"] == ORIGINAL, ["id", "y_pred"]]
    merged = rows.merge(known, on="id", how="left", validate="one_to_one")
    if merged["y_pred"].isna().any():
        raise ValueError(f"no prediction for {merged.loc[merged['y_pred'].isna(), 'id'].min()}")
    return merged.astype({"y_pred": np.int64})


def _impossible(work: Work) -> dict[str, str]:
    """Tests that cannot be made at all."""
    found = {}
    if reading_vit(work.masked) is None:
        found["T2"] = "the network that reads the masked image is no vision transformer"
    if not work.has_mask.any():
        found["T3"] = "no image has a true mask, so no object can be put on another background"
    if not has_stages(work.masked.model):
        found["T10"] = "the model has one network; there are no two stages to randomise apart"
    return found


def _incomplete(work: Work) -> dict[str, str]:
    """Tests that are made in part."""
    found = {}
    if not work.masked.drops:
        found["T1"] = "nan is left out: the model does not claim to drop patches"
    if not work.has_mask.any():
        found["T4"] = "iou, recall and admission are left out: no image has a true mask"
        found["T7"] = "the control true is left out: no image has a true mask"
    return {name: reason for name, reason in found.items() if name in work.settings.tests}


def _measure(part: Part, name: str) -> list[Row]:
    """One row per image: `values`, and `forwards` of the whole part at its first image."""
    before = part.masked.n_forwards
    made = _selected(part) if name == _SELECTIONS else _quantities(part, name)
    cost = part.masked.n_forwards - before
    return [{"forwards": cost if k == 0 else 0, "values": row} for k, row in enumerate(made)]


def _quantities(part: Part, name: str) -> list[list[Any]]:
    """Per image: [quantity, condition, value] of everything that is defined."""
    made = TESTS[name](part)
    columns = [np.asarray(value.values, dtype=np.float64).tolist() for value in made]
    return [
        [
            [value.quantity, value.condition, number]
            for value, number in zip(made, row, strict=True)
            if not math.isnan(number)
        ]
        for row in zip(*columns, strict=True)
    ]


def _selected(part: Part) -> list[list[Any]]:
    """Per image: [variant, mask] of the original and of the suite's swapped variants."""
    found = [[[ORIGINAL, text]] for text in pack_masks(part.own_mask)]
    for variant in part.work.variants if part.has_mask.any() else ():
        images = swapped(part, variant)
        masks = pack_masks(to_numpy(images.selection.mask))
        for k in np.flatnonzero(images.known):
            found[k].append([variant, masks[k]])
    return found


def _table(given: pd.DataFrame, found: Mapping[str, list[Row]]) -> pd.DataFrame:
    keys = given.to_dict("records")
    rows = (
        {**key, "test": test, "quantity": quantity, "condition": condition, "value": value}
        for test, measured in found.items()
        for key, row in zip(keys, measured, strict=True)
        for quantity, condition, value in row["values"]
    )
    return _frame(rows, [*given, "test", "quantity", "condition", "value"])


def _selections_table(given: pd.DataFrame, found: list[Row]) -> pd.DataFrame:
    rows = (
        {**key, "variant": variant, "mask": mask}
        for key, row in zip(given.to_dict("records"), found, strict=True)
        for variant, mask in row["values"]
    )
    return _frame(rows, ["id", "variant", *given.columns[1:], "mask"])


def _frame(rows: Iterable[Row], columns: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=[str(name) for name in columns])
