"""Measure explainers on images: faithfulness curves, localisation and the maps themselves.

The work is cut into parts of a few images; what one explainer gave on one part is kept in the
journal. Images and the empty end are shared by all explainers, the intact end is the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.explain.base import EXPLAINER_REGISTRY, ExplainContext, check_needs, relevance_of
from ifambench.explain.choose import choose_images
from ifambench.explain.curves import Curves, patch_curves, step_counts
from ifambench.explain.images import ExplainSettings, Part, Work, parts_of
from ifambench.explain.ranking import PROTOCOL, join_orders, patch_orders, tied_patches
from ifambench.metrics.deletion import FLOOR, curve_auc
from ifambench.metrics.localization import mask_scores, relevance_mass
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating, refuse_non_finite
from ifambench.predict.journal import Journal, Row, chunk_name, finished
from ifambench.progress import Progress
from ifambench.records.store import EXPLANATION_COLUMNS

__all__ = ["ExplainResult", "ExplainSettings", "choose_images", "explain_rows"]

_SELECTION = ("mask_iou", "mask_precision", "mask_recall", "area")


@dataclass(frozen=True)
class ExplainResult:
    """What was measured.

    Attributes:
        explanations: One row per explainer and image, the columns `EXPLANATION_COLUMNS`.
        curves: Mean curves: explainer, group (`all` first), fraction, deletion, insertion, n.
        maps: (N, h, w) float32 relevance per explainer, in the order of the explained rows.
        n_forwards: Inputs evaluated for curves, those of the journal included.
    """

    explanations: pd.DataFrame
    curves: pd.DataFrame
    maps: dict[str, NDArray[np.float32]]
    n_forwards: int


def nothing_explained() -> ExplainResult:
    """The result of explaining no image."""
    curves = ("explainer", "group", "fraction", "deletion", "insertion", "n")
    return ExplainResult(
        explanations=pd.DataFrame(columns=list(EXPLANATION_COLUMNS)),
        curves=pd.DataFrame(columns=list(curves)),
        maps={},
        n_forwards=0,
    )


def explain_rows(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    explainers: Sequence[str],
    settings: ExplainSettings,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> ExplainResult:
    """Measure the explainers on the images of some manifest rows.

    Args:
        model: On the device already; left in the mode it was in.
        data: Where pixels and masks are.
        rows: Manifest rows of one variant.
        predictions: The prediction table; it must hold these images.
        explainers: Names; the random floor is added where it is missing.
        settings: How to measure.
        journal: Finished parts are read from it and added to it.
        progress: Told about each part; one step is one image of one explainer.

    Raises:
        UsageError: If an explainer is unknown or needs what the model lacks.
        EnvironmentProblem: If relevance or scores are not finite; the message names the image.
    """
    names = list(dict.fromkeys([*explainers, FLOOR]))
    for name in names:
        check_needs(name, model)
    progress = progress or Progress()
    progress.start("explain", len(names) * len(rows))
    found: dict[str, list[Row]] = {name: [] for name in names}
    with evaluating(model):
        for part in parts_of(Work(model, data, settings), rows, predictions):
            for name in names:
                chunk = chunk_name(f"{PROTOCOL}/{name}", part.rows)
                found[name] += finished(journal, chunk, partial(_measure, part, name))
                progress.advance(len(part.rows), name)
    every = [row for part in found.values() for row in part]
    counts = step_counts(int(np.prod(model.patch_grid)), settings.steps)
    return ExplainResult(
        explanations=pd.DataFrame(every, columns=list(EXPLANATION_COLUMNS)),
        curves=_mean_curves(every, counts / counts[-1], data.suite.groups.names),
        maps={name: _maps(part, model.patch_grid) for name, part in found.items()},
        n_forwards=sum(row["_forwards"] for row in every),
    )


def _measure(part: Part, name: str) -> list[Row]:
    """Maps, curves and localisation of one explainer on one part.

    Keys with an underscore are no columns of the table: the curves, the map, and the number of
    forward passes (of the whole part, at its first image).
    """
    settings = part.work.settings
    info = EXPLAINER_REGISTRY.entry(name).info
    draws = range(settings.random_draws if info.get("draws") else 1)
    maps = np.stack([_relevance(part, name, draw) for draw in draws])  # (D, N, h, w)
    orders = join_orders(patch_orders(draw, part.ids) for draw in maps)
    curves = patch_curves(part.scored, orders, settings.steps, settings.batch_size)
    refuse_non_finite(curves.deletion + curves.insertion, part.ids, f"the scores of {name} are")
    columns = {
        **{key: part.rows[key] for key in ("id", "group", "y", "y_pred")},
        "target": part.targets,
        "score_full": part.scored.full,
        "score_empty": part.scored.empty,
        **_areas(curves),
        **_localisation(maps, part.coverage, binary=bool(info.get("binary"))),
        "n_ties": tied_patches(maps[0]),
        "constant_map": np.ptp(maps[0], axis=(1, 2)) == 0,
        "_map": maps[0].reshape(len(part.ids), -1),
    }
    return _rows(columns, {"explainer": name, "operator": settings.operator})


def _areas(curves: Curves) -> dict[str, Any]:
    deletion = curve_auc(curves.fractions, curves.deletion)
    insertion = curve_auc(curves.fractions, curves.insertion)
    return {
        "deletion_auc": deletion,
        "insertion_auc": insertion,
        "srg": insertion - deletion,
        "_deletion": curves.deletion,
        "_insertion": curves.insertion,
        "_forwards": [curves.n_forwards] + [0] * (len(deletion) - 1),
    }


def _relevance(part: Part, name: str, draw: int) -> NDArray[np.float32]:
    """(N, h, w) relevance of one draw, in batches."""
    settings, model = part.work.settings, part.work.model
    images, masks = part.batch
    targets = torch.from_numpy(part.targets).to(images.device)
    found = []
    for start in range(0, len(images), settings.batch_size):
        chosen = slice(start, start + settings.batch_size)
        keep = None if masks is None else masks[chosen]
        context = ExplainContext(part.ids[chosen], settings.seed, keep, draw)
        found.append(relevance_of(name, model, images[chosen], targets[chosen], context))
    return np.asarray(torch.cat(found).cpu().numpy(), dtype=np.float32)


def _localisation(
    maps: NDArray[np.float32], coverage: NDArray[np.float64], *, binary: bool
) -> dict[str, NDArray[np.float64]]:
    """Columns of localisation; those of a selection for binary maps alone."""
    mass = np.mean([relevance_mass(draw, coverage) for draw in maps], axis=0)
    if not binary:
        undefined = np.full(len(mass), np.nan)
        return {"relevance_mass": mass} | dict.fromkeys(_SELECTION, undefined)
    selected = maps[0] > 0
    scores = mask_scores(selected, coverage)
    area = selected.mean(axis=(1, 2))
    return {"relevance_mass": mass} | dict(zip(_SELECTION, (*scores, area), strict=True))


def _rows(columns: dict[str, Any], common: Row) -> list[Row]:
    """Plain JSON rows; undefined values are None."""
    lists = [np.asarray(column).tolist() for column in columns.values()]
    return [
        {key: _defined(value) for key, value in zip(columns, row, strict=True)} | common
        for row in zip(*lists, strict=True)
    ]


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _maps(rows: list[Row], grid: tuple[int, int]) -> NDArray[np.float32]:
    return np.array([row["_map"] for row in rows], dtype=np.float32).reshape(-1, *grid)


def _mean_curves(
    rows: list[Row], fractions: NDArray[np.float64], groups: Sequence[str]
) -> pd.DataFrame:
    """Mean curves per explainer, over all images and per group that has any."""
    keys = [(row["explainer"], row["group"]) for row in rows]
    found = []
    for name in dict.fromkeys(explainer for explainer, _ in keys):
        for group in ("all", *groups):
            members = [k for k, (e, g) in enumerate(keys) if e == name and group in ("all", g)]
            if members:
                part = {"explainer": name, "group": group, "fraction": fractions}
                for kind in ("deletion", "insertion"):
                    part[kind] = np.mean([rows[k][f"_{kind}"] for k in members], axis=0)
                found.append(pd.DataFrame(part | {"n": len(members)}))
    return pd.concat(found, ignore_index=True)
