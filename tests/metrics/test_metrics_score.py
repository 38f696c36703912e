from __future__ import annotations

import ast
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from battery_frames import GRID, battery, selections
from full_tables import RICH, rich_predictions
from metrics_support import explanations, mask_samples, sanity, tables

import ifambench.metrics
from ifambench.metrics.base import Tables, to_frame
from ifambench.metrics.score import METRIC_REGISTRY, score_tables

HERE = replace(RICH, patch_grid=GRID)
UNITS = {"fraction", "probability", "logit", "correlation", "embedding"}
UNITS |= {"nats", "ratio", "squared probability"}


@pytest.fixture(scope="module")
def whole():
    """Tables that make every metric appear."""
    rng = np.random.default_rng(0)
    frame = rich_predictions()
    frame["n_selected"] = rng.integers(0, 5, len(frame))
    columns = ["mask_iou", "mask_precision", "mask_recall", "area", "relevance_mass"]
    columns += ["deletion_auc_logit", "insertion_auc_logit", "srg_logit"]
    columns += ["comprehensiveness", "sufficiency", "comp_mask", "suff_mask"]
    columns += ["pointing", "rank_accuracy", "auroc", "gini", "entropy"]
    maps = explanations("ifam_mask", 1)
    maps = maps.assign(**{name: rng.random(len(maps)) for name in columns})
    both = pd.concat([maps, explanations("random", 2)], ignore_index=True)
    more = {"battery": battery(), "selections": selections(), "sanity": sanity(maps)}
    more["mask_samples"] = mask_samples(frame[frame["variant"] == "original"])
    return replace(tables(frame, both), **more)


def test_every_row_is_declared_with_its_direction_unit_and_version(whole):
    entries = METRIC_REGISTRY.entries()
    for row in score_tables(whole, HERE):
        info = entries[row.metric].info
        assert row.higher_is_better is info["higher_is_better"], row.metric
        assert (row.unit, row.version) == (info["unit"], info["version"]), row.metric


def test_every_declared_metric_appears(whole):
    assert {row.metric for row in score_tables(whole, HERE)} == set(METRIC_REGISTRY.names())


def test_each_number_appears_once(whole):
    frame = to_frame(score_tables(whole, HERE))
    assert not frame.duplicated(["metric", "group", "variant", "explainer"]).any()


def test_the_order_of_the_rows_changes_no_bit(whole):
    expected = score_tables(whole, HERE)
    for seed in range(3):
        names = [item.name for item in fields(Tables) if getattr(whole, item.name) is not None]
        mixed = {name: getattr(whole, name).sample(frac=1, random_state=seed) for name in names}
        assert score_tables(Tables(**mixed), HERE) == expected


def test_intervals_hold_their_values_and_undefined_values_have_reasons(whole):
    rows = score_tables(whole, HERE)
    defined = [row for row in rows if row.value is not None]
    assert len(defined) > len(rows) / 2
    for row in defined:
        if row.ci_method is None:
            assert "no interval" in row.reason, row
            assert (row.ci_low, row.ci_high) == (None, None), row
            continue
        assert row.ci_low <= row.value <= row.ci_high, row
        assert row.ci_method, row
    for row in set(rows) - set(defined):
        assert row.reason, row
        assert (row.ci_low, row.ci_high, row.n) == (None, None, 0), row


def test_the_catalogue_needs_no_import_of_the_metrics():
    folder = Path(ifambench.metrics.__path__[0])
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & {"torch", "timm", "captum"}


@pytest.mark.parametrize("name", METRIC_REGISTRY.names())
def test_entries_are_complete(name):
    entry = METRIC_REGISTRY.entry(name)
    assert entry.summary
    assert callable(entry.load())
    assert entry.info["unit"] in UNITS
    assert entry.info["higher_is_better"] in {True, False, None}
    assert isinstance(entry.info["version"], int)
