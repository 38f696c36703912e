"""All checks of several explainers on some images, as one long table.

The work is cut into parts of a few images, kept in the journal like the curves are. First come the
checks of the model as it is; then each randomised copy of it, one at a time, so that no more than
two models are in memory. The scores of the random subsets are shared by all explainers.

Per image and explainer: 10 explanations (9 where the class does not matter), and one for each depth
of the randomisation; beside, 129 forward passes per image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ifambench.data.manifest import SuiteData
from ifambench.explain.base import check_needs, map_passes, stable_hash
from ifambench.explain.images import ExplainSettings, Part, Work, parts_of
from ifambench.explain.operators import check_operator
from ifambench.explain.sanity.agreement import spearman
from ifambench.explain.sanity.nearby import (
    NOISES,
    SAMPLES,
    max_sensitivity,
    random_logit,
    stability,
)
from ifambench.explain.sanity.randomise import depths, randomised
from ifambench.explain.sanity.subject import PROTOCOL, subject_of
from ifambench.explain.sanity.subsets import SUBSETS, subset_checks, subset_scores, subsets_of
from ifambench.metrics.sanity import COLUMNS, RANDOMISATION
from ifambench.models.base import Classifier
from ifambench.predict.forward import evaluating
from ifambench.predict.journal import Journal, Row, chunk_name, finished
from ifambench.progress import Progress

Maps = dict[str, NDArray[np.float32]]
"""Image id -> (n,) relevance."""


def forwards_ahead(model: Classifier, explainers: Sequence[str]) -> int:
    """About how many forward passes the checks of one image need."""
    maps = 2 + NOISES + SAMPLES + len(depths(model))  # as it is, another class, new pixels, weights
    patches = int(np.prod(model.patch_grid))
    return 1 + SUBSETS + maps * sum(map_passes(name, patches) for name in explainers)


def sanity_rows(
    model: Classifier,
    data: SuiteData,
    rows: pd.DataFrame,
    predictions: pd.DataFrame,
    explainers: Sequence[str],
    settings: ExplainSettings,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Check the explainers on the images of some manifest rows.

    Args:
        model: On the device already; left as it was.
        data: Where pixels and masks are.
        rows: Manifest rows of one variant.
        predictions: The prediction table; it must hold these images.
        explainers: Names.
        settings: Seed, target, headline operator, batch size, device and precision.
        journal: Finished parts are read from it and added to it.
        progress: Told about each part; one step is one image of one explainer and one model.

    Returns:
        One row per image, explainer and check: `id, group, explainer, check, value`. The check is
        the name of a metric, that of randomisation followed by its depth
        (`randomisation_similarity:last_block`); the value is NaN where it is undefined.

    Raises:
        UsageError: If an explainer or the operator is unknown or needs what the model lacks, or a
            target is no class of the model.
        EnvironmentProblem: If relevance or scores are not finite; the message names the image.
    """
    names = list(dict.fromkeys(explainers))
    for name in names:
        check_needs(name, model)
    check_operator(settings.headline, model)
    run = _Run(Work(model, data, settings), rows, predictions, names, journal, progress)
    with evaluating(model):
        found = run.plain()
        maps = {name: _maps_of(part) for name, part in found.items()}
        values = {name: list(_values(part)) for name, part in found.items()}
        for name in names:
            values[name] += _other_images(maps[name], settings.seed)
        for depth, parameters in depths(model).items():
            for name, again in run.randomised(depth, parameters).items():
                values[name] += _similarities(maps[name], _maps_of(again), depth)
    return _table(values, rows)


_Value = tuple[str, str, float]
"""Image id, check, value."""


class _Copy:
    """A randomised copy, made when the first part needs it."""

    def __init__(self, model: Classifier, parameters: list[str], seed: int) -> None:
        self._made_of = (model, parameters, seed)

    @cached_property
    def model(self) -> Classifier:
        return randomised(*self._made_of)


class _Run:
    """What all parts share; see `sanity_rows`."""

    def __init__(
        self,
        work: Work,
        rows: pd.DataFrame,
        predictions: pd.DataFrame,
        names: list[str],
        journal: Journal | None,
        progress: Progress | None,
    ) -> None:
        self._work, self._rows, self._predictions = work, rows, predictions
        self._names, self._journal = names, journal
        self._progress = progress or Progress()
        models = 1 + len(depths(work.model))
        self._progress.start("sanity", len(names) * len(rows) * models)

    def plain(self) -> dict[str, list[Row]]:
        """Per explainer the rows of the images: maps, and checks of the model as it is."""
        found: dict[str, list[Row]] = {name: [] for name in self._names}
        for part in self._parts():
            scores = self._finished("subsets", part, partial(_scores, part))
            for name in self._names:
                make = partial(_plain, part, name, scores)
                found[name] += self._finished(f"plain/{name}", part, make)
                self._progress.advance(len(part.rows), name)
        return found

    def randomised(self, depth: str, parameters: list[str]) -> dict[str, list[Row]]:
        """Per explainer the maps under a model with these parameters drawn anew."""
        changed = _Copy(self._work.model, parameters, self._work.settings.seed)
        found: dict[str, list[Row]] = {name: [] for name in self._names}
        for part in self._parts():
            for name in self._names:
                make = partial(_explained, part, name, changed)
                found[name] += self._finished(f"{depth}/{name}", part, make)
                self._progress.advance(len(part.rows), f"{name}, {depth}")
        return found

    def _parts(self) -> Iterator[Part]:
        return parts_of(self._work, self._rows, self._predictions)

    def _finished(self, what: str, part: Part, make: partial[list[Row]]) -> list[Row]:
        prefix = f"{PROTOCOL}/{self._work.settings.headline}/{what}"
        return finished(self._journal, chunk_name(prefix, part.rows), make)


def _scores(part: Part) -> list[Row]:
    return subset_scores(subject_of(part))


def _plain(part: Part, name: str, scores: list[Row]) -> list[Row]:
    subject = subject_of(part)
    maps = subject.relevance(name)
    checks = subset_checks(maps, subsets_of(subject), scores) | {
        "random_logit_similarity": random_logit(subject, name, maps),
        "stability": stability(subject, name, maps),
        "max_sensitivity": max_sensitivity(subject, name, maps),
    }
    return [
        {"id": key, "_map": maps[k].ravel().tolist()}
        | {check: _defined(values[k]) for check, values in checks.items()}
        for k, key in enumerate(part.ids)
    ]


def _explained(part: Part, name: str, changed: _Copy) -> list[Row]:
    maps = subject_of(part, changed.model).relevance(name)
    return [
        {"id": key, "_map": relevance.ravel().tolist()}
        for key, relevance in zip(part.ids, maps, strict=True)
    ]


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _maps_of(rows: list[Row]) -> Maps:
    return {row["id"]: np.array(row["_map"], dtype=np.float32) for row in rows}


def _values(rows: list[Row]) -> Iterator[_Value]:
    for row in rows:
        for check, value in row.items():
            if check not in ("id", "_map"):
                yield row["id"], check, math.nan if value is None else value


def _other_images(maps: Maps, seed: int) -> list[_Value]:
    """Similarity of the maps of two images: each with the next one of a random circle of all."""
    circle = sorted(maps, key=lambda name: stable_hash(PROTOCOL, "circle", name, seed))
    if len(circle) < 2:
        return [(name, "other_image_similarity", math.nan) for name in circle]
    pairs = dict(zip(circle, circle[1:] + circle[:1], strict=True))
    others = {name: maps[pairs[name]] for name in maps}
    return _similarities(maps, others, check="other_image_similarity")


def _similarities(
    maps: Maps, others: Maps, depth: str = "", check: str = RANDOMISATION
) -> list[_Value]:
    if not maps:
        return []
    name = f"{check}:{depth}" if depth else check
    found = spearman(list(maps.values()), [others[key] for key in maps])
    return [(key, name, float(value)) for key, value in zip(maps, found, strict=True)]


def _table(values: dict[str, list[_Value]], rows: pd.DataFrame) -> pd.DataFrame:
    groups = dict(zip(rows["id"], rows["group"], strict=True))
    found = [
        (key, groups[key], name, check, value)
        for name, several in values.items()
        for key, check, value in several
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))
