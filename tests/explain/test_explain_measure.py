"""Tables and curves of whole runs, against definitions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.explain import images as parts
from ifambench.explain.base import (
    EXPLAINER_REGISTRY,
    ExplainContext,
    default_explainers,
    relevance_of,
)
from ifambench.explain.curves import step_counts
from ifambench.explain.measure import ExplainSettings, explain_rows
from ifambench.explain.ranking import patch_orders
from ifambench.metrics.deletion import curve_auc
from ifambench.metrics.localization import mask_scores, patch_coverage, relevance_mass
from ifambench.metrics.map_scores import map_scores
from ifambench.predict.forward import load_batch
from ifambench.predict.loop import predict
from ifambench.records.store import EXPLANATION_COLUMNS
from tests.explain.measured import DATA, MODELS, PREDICTIONS, ROWS, SETTINGS, run, same
from tests.explain.toy_models import Function, OnePatch, naive_curves
from tests.models.small_models import GRID, KINDS


@pytest.mark.parametrize("kind", MODELS)
def test_tables(kind: str) -> None:
    result = run(kind)
    names = default_explainers(MODELS[kind])
    table = result.explanations
    assert list(table.columns) == list(EXPLANATION_COLUMNS)
    assert table["explainer"].tolist() == np.repeat(names, len(ROWS)).tolist()
    assert table["id"].tolist() == list(ROWS["id"]) * len(names)
    original = PREDICTIONS[kind].query("variant == 'original'")
    assert table["target"].tolist() == list(original["y_pred"]) * len(names)
    assert table["score_full"].tolist() == list(original["prob_pred"]) * len(names)
    np.testing.assert_allclose(table["srg"], table["insertion_auc"] - table["deletion_auc"])
    assert table["deletion_auc"].between(0, 1).all()
    assert {name: maps.shape for name, maps in result.maps.items()} == dict.fromkeys(
        names, (len(ROWS), *GRID)
    )
    assert result.n_forwards > 0


def test_mean_curves_fit_the_areas() -> None:
    result = run("ifam")
    curves, table = result.curves, result.explanations
    assert list(curves.columns) == [
        *("explainer", "group", "fraction", "deletion", "insertion", "n"),
        *("deletion_se", "insertion_se"),
    ]
    for (name, group), curve in curves.groupby(["explainer", "group"]):
        part = table[table["explainer"] == name]
        part = part if group == "all" else part[part["group"] == group]
        assert (curve["n"] == len(part)).all()
        for kind in ("deletion", "insertion"):
            area = curve_auc(curve["fraction"], curve[kind])
            assert area == pytest.approx(part[f"{kind}_auc"].mean(), abs=1e-12)
    assert set(curves["group"]) == {"all", *DATA.suite.groups.names}


def test_localisation_columns() -> None:
    result = run("ifam")
    coverage = patch_coverage(DATA.pixels.masks(ROWS), GRID)
    table = result.explanations.set_index("explainer")
    selection = ["mask_iou", "mask_precision", "mask_recall", "area"]
    mask = result.maps["ifam-mask"] > 0
    expected = mask_scores(mask, coverage)
    np.testing.assert_allclose(
        table.loc["ifam-mask", selection[:3]].to_numpy(float), np.stack(expected, axis=1)
    )
    np.testing.assert_allclose(table.loc["ifam-mask", "area"].astype(float), mask.mean((1, 2)))
    assert table.drop("ifam-mask")[selection].isna().all(axis=None)
    np.testing.assert_allclose(
        table.loc["grad-cam", "relevance_mass"].to_numpy(float),
        relevance_mass(result.maps["grad-cam"], coverage),
    )


def test_images_without_a_mask_have_no_localisation() -> None:
    rows = ROWS.assign(mask=["", None, *ROWS["mask"][2:]])
    table = run("plain", rows=rows).explanations
    unknown = table["id"].isin(ROWS["id"][:2])
    assert table.loc[unknown, "relevance_mass"].isna().all()
    assert table.loc[~unknown & (table["explainer"] == "random"), "relevance_mass"].notna().all()


def test_random_floor_is_always_there_once() -> None:
    for names in ([], ["random"], ["center"]):
        found = run("plain", names).explanations["explainer"]
        assert list(dict.fromkeys(found)) == [*dict.fromkeys([*names, "random"])]
        assert (found == "random").sum() == len(ROWS)


def test_random_floor_is_a_mean_over_draws() -> None:
    one = run("plain", [], settings=ExplainSettings(steps=5, random_draws=1))
    five = run("plain", [], settings=ExplainSettings(steps=5, random_draws=5))
    assert five.n_forwards > 3 * one.n_forwards
    np.testing.assert_array_equal(one.maps["random"], five.maps["random"])
    assert five.explanations["srg"].std() < one.explanations["srg"].std()


def test_the_map_scores_of_the_random_floor_are_means_over_draws() -> None:
    settings = ExplainSettings(steps=5, random_draws=3)
    table = run("plain", [], rows=ROWS[:4], settings=settings).explanations
    coverage = patch_coverage(DATA.pixels.masks(ROWS[:4]), GRID)
    expected = []
    for draw in range(3):
        context = ExplainContext(list(ROWS["id"][:4]), draw=draw)
        images, targets = torch.zeros(4, 3, 32, 32), torch.zeros(4, dtype=torch.long)
        maps = relevance_of("random", MODELS["plain"], images, targets, context).numpy()
        expected.append(map_scores(maps, coverage, binary=False))
    for name in ("relevance_mass", "rank_accuracy", "auroc", "pointing"):
        several = np.stack([scores[name] for scores in expected])
        assert np.ptp(several, axis=0).max() > 0
        np.testing.assert_allclose(table[name], several.mean(0), rtol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_batch_size_and_parts_change_nothing(kind: str, monkeypatch) -> None:
    whole = run(kind)
    same(run(kind, settings=ExplainSettings(steps=5, batch_size=3)), whole)
    monkeypatch.setattr(parts, "CHUNK", 5)
    same(run(kind), whole)
    mixed = ROWS.sample(frac=1, random_state=0)
    key = ["explainer", "id"]
    pd.testing.assert_frame_equal(
        run(kind, rows=mixed).explanations.sort_values(key, ignore_index=True),
        whole.explanations.sort_values(key, ignore_index=True),
        atol=1e-5,
        rtol=0,
    )


class BrightPixels:
    def images(self, rows: pd.DataFrame) -> np.ndarray:
        return np.full((len(rows), 8, 8, 3), 255, np.uint8)


def on_bright_images(model: OnePatch, explainers: list[str]) -> pd.DataFrame:
    """Explanations for white images without masks."""
    rows = ROWS.assign(mask="")
    data = SuiteData(DATA.suite, rows, BrightPixels(), "digest", "default")
    predictions = predict(model, data, rows, batch_size=8, device="cpu")
    return explain_rows(model, data, rows, predictions, explainers, SETTINGS).explanations


def test_ranks_the_patch_that_matters_above_the_floor() -> None:
    model = OnePatch()
    table = on_bright_images(model, [*default_explainers(model), "attention-rollout"])
    srg = table.groupby("explainer")["srg"].mean()
    assert (srg.drop("random") > srg["random"] + 0.2).all()


def test_flags_a_constant_map() -> None:
    model = OnePatch()
    model.weight.data.zero_()
    table = on_bright_images(model, ["grad-cam"])
    flat = table[table["explainer"] == "grad-cam"]
    assert flat["constant_map"].all()
    assert (flat["n_ties"] == 16).all()
    assert (table["srg"] == 0).all()
    assert not table.loc[table["explainer"] == "random", "constant_map"].any()


def test_names_the_image_whose_score_is_not_finite() -> None:
    model = KINDS["plain"]()
    whole = model.logits

    def broken(images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        black = (images == 0).flatten(1).float().mean(1) > 0.5
        return whole(images).masked_fill(black[:, None], torch.nan)

    model.logits = broken
    with pytest.raises(
        EnvironmentProblem, match=r"the scores of random are not finite.*test-00000"
    ):
        explain_rows(model, DATA, ROWS, PREDICTIONS["plain"], [], SETTINGS)


def test_refuses_before_it_works() -> None:
    with pytest.raises(UsageError, match='"selection"'):
        run("plain", ["grad-cam", "ifam-mask"])
    with pytest.raises(ValueError, match="no prediction for test-00000"):
        explain_rows(
            MODELS["plain"],
            DATA,
            ROWS,
            PREDICTIONS["plain"].query("id != 'test-00000'"),
            [],
            SETTINGS,
        )


def test_several_operators_are_rows_of_their_own() -> None:
    names = ["grad-cam", "random"]
    both = run("plain", ["grad-cam"], settings=replace(SETTINGS, operators=("mean", "drop")))
    labels = [*names, *(f"{name}@drop" for name in names)]
    assert list(dict.fromkeys(both.explanations["explainer"])) == labels
    assert list(dict.fromkeys(both.curves["explainer"])) == labels
    assert list(both.maps) == names
    for operator in ("mean", "drop"):
        alone = run("plain", ["grad-cam"], settings=replace(SETTINGS, operators=(operator,)))
        part = both.explanations.query(f"operator == '{operator}'")
        assert set(part["operator"]) == {operator}
        pd.testing.assert_frame_equal(
            part.drop(columns="explainer").reset_index(drop=True),
            alone.explanations.drop(columns="explainer"),
            check_exact=False,
            atol=1e-6,
            rtol=0,
        )
    assert (
        both.explanations["srg"]
        .iloc[: len(ROWS)]
        .ne(both.explanations["srg"].iloc[2 * len(ROWS) : 3 * len(ROWS)].to_numpy())
        .all()
    )


@pytest.mark.parametrize("operator", ["mean", "noise", "model"])
def test_explainers_do_not_depend_on_each_other(operator: str) -> None:
    settings = replace(SETTINGS, operators=(operator,))
    names = ["ifam-mask", "grad-cam", "center", "uniform"]
    together = run("ifam", names, settings=settings)
    for name in names:
        alone = run("ifam", [name], settings=settings)
        pd.testing.assert_frame_equal(
            together.explanations.query("explainer in [@name, 'random']").reset_index(drop=True),
            alone.explanations,
            check_exact=False,
            atol=1e-6,
            rtol=0,
        )
        assert together.costs[name]["forwards"] == alone.costs[name]["forwards"]
    needed = sum(cost["forwards"] for cost in together.costs.values())
    assert together.n_forwards < needed  # the intact end of every image is shared


def test_following_the_label() -> None:
    table = run("plain", ["center"], settings=replace(SETTINGS, target="label")).explanations
    original = PREDICTIONS["plain"].query("variant == 'original'")
    center = table.query("explainer == 'center'")
    assert center["target"].tolist() == list(original["y"])
    assert center["score_full"].tolist() == list(original["prob_true"])
    predicted = run("plain", ["center"]).explanations.query("explainer == 'center'")
    right = (center["y"] == center["y_pred"]).to_numpy()
    assert 0 < right.sum() < len(right)
    gain = predicted["srg"].to_numpy()
    np.testing.assert_allclose(center["srg"][right], gain[right], atol=1e-6)


def test_a_label_that_is_no_class_is_named() -> None:
    rows = ROWS.assign(y=[0, 1, 7, *ROWS["y"][3:]])
    with pytest.raises(UsageError, match="label 7 of image test-00002 is no class of the model"):
        run("plain", [], rows=rows, settings=replace(SETTINGS, target="label"))
    assert len(run("plain", [], rows=rows).explanations) == len(rows)


def test_values_read_off_the_curves() -> None:
    """Comprehensiveness and sufficiency by hand, from curves with a point at every patch."""
    settings = ExplainSettings(steps=16, random_draws=1)
    (one,) = (
        run("plain", ["center"], rows=ROWS[:1], settings=settings)
        .explanations.query("explainer == 'center'")
        .to_dict("records")
    )
    curve = run("plain", ["center"], rows=ROWS[:1], settings=settings).curves
    curve = curve.query("explainer == 'center' and group == 'all'")
    for column, kind in (("comprehensiveness", "deletion"), ("sufficiency", "insertion")):
        y = curve[kind].to_numpy()
        # 0.16, 0.8, 1.6, 3.2 and 8 of 16 patches
        at = [
            *(y[0] + share * (y[1] - y[0]) for share in (0.16, 0.8)),
            y[1] + 0.6 * (y[2] - y[1]),
            y[3] + 0.2 * (y[4] - y[3]),
            y[8],
        ]
        assert one[column] == pytest.approx(one["score_full"] - np.mean(at), abs=1e-9)
    assert curve["deletion_se"].isna().all()  # of one image
    assert one["srg_logit"] == pytest.approx(one["insertion_auc_logit"] - one["deletion_auc_logit"])


def test_scores_of_the_mask_itself() -> None:
    table = run("ifam", settings=replace(SETTINGS, operators=("model",))).explanations
    mask = table.query("explainer == 'ifam-mask'").set_index("id")
    original = PREDICTIONS["ifam"].query("variant == 'original'").set_index("id")
    # the second stage with the mask is the prediction, with all patches it is the intact end
    kept = mask["score_full"] - mask["suff_mask"].astype(float)
    np.testing.assert_allclose(kept, original.loc[kept.index, "prob_pred"], atol=1e-6)
    assert (mask["score_full"] - original.loc[mask.index, "prob_pred"]).abs().max() > 1e-3
    others = table.query("explainer != 'ifam-mask'")
    assert others[["comp_mask", "suff_mask"]].isna().all(axis=None)


def test_standard_errors_are_over_images() -> None:
    curves, table = (run("plain", ["center"]).curves, run("plain", ["center"]).explanations)
    end = curves.query("explainer == 'center' and group == 'all' and fraction == 0").iloc[0]
    scores = table.query("explainer == 'center'")["score_full"]
    assert end["deletion_se"] == pytest.approx(scores.std(ddof=1) / np.sqrt(len(ROWS)))
    empty = table.query("explainer == 'center'")["score_empty"]
    assert end["insertion_se"] == pytest.approx(empty.std(ddof=1) / np.sqrt(len(ROWS)))


def test_costs() -> None:
    result = run("plain", ["grad-cam", "uniform"])
    assert list(result.costs) == ["grad-cam", "uniform", "random"]
    assert result.costs["grad-cam"]["forwards"] == len(ROWS) * (2 * 4 + 1)
    assert result.costs["uniform"]["forwards"] > 4 * result.costs["grad-cam"]["forwards"]
    assert all(cost["seconds"] > 0 for cost in result.costs.values())
    assert all(cost["map_seconds"] > 0 for cost in result.costs.values())


def test_an_image_of_one_patch() -> None:
    model = Function(lambda pixels: torch.stack([pixels.mean((1, 2, 3)) * k for k in (0, 3)], 1))
    model.patch_grid = (1, 1)
    table = on_bright_images(model, ["center"])
    assert (table["srg"] == 0).all()
    assert table["constant_map"].all()
    assert (table["n_ties"] == 0).all()
    # the one patch is removed in proportion: straight lines between the two ends
    gap = table["score_full"] - table["score_empty"]
    shares = np.mean([0.01, 0.05, 0.1, 0.2, 0.5])
    np.testing.assert_allclose(table["comprehensiveness"], gap * shares)
    np.testing.assert_allclose(table["sufficiency"], gap * (1 - shares))


def test_names_the_image_whose_map_is_not_finite(monkeypatch) -> None:
    def broken(model, images, targets, context):
        found = torch.zeros(len(images), *model.patch_grid)
        found[[name == "test-00003" for name in context.ids]] = torch.nan
        return found

    load = type(EXPLAINER_REGISTRY).load
    monkeypatch.setattr(
        type(EXPLAINER_REGISTRY),
        "load",
        lambda registry, name: broken if name == "center" else load(registry, name),
    )
    with pytest.raises(
        EnvironmentProblem, match=r"the relevance of center is not finite for image test-00003"
    ):
        run("plain", ["center"])


def test_explainers_are_told_masks_and_score(monkeypatch) -> None:
    told = []

    def listening(model, images, targets, context):
        keep = torch.ones(len(images), *model.patch_grid, dtype=torch.bool)
        told.append((context, context.score(torch.arange(len(images)), keep), context.ids))
        return torch.rand(len(images), *model.patch_grid)

    load = type(EXPLAINER_REGISTRY).load
    monkeypatch.setattr(
        type(EXPLAINER_REGISTRY),
        "load",
        lambda registry, name: listening if name == "center" else load(registry, name),
    )
    settings = replace(SETTINGS, batch_size=5, operators=("drop",))
    run("plain", ["center"], settings=settings)
    assert [len(ids) for _, _, ids in told] == [5, 5, 2]
    assert all(context.batch_size == 5 for context, _, _ in told)
    covered = torch.cat([context.coverage for context, _, _ in told])
    expected = patch_coverage(DATA.pixels.masks(ROWS), GRID)
    np.testing.assert_allclose(covered, expected, atol=1e-6)
    # all patches left: the prediction, image by image
    original = PREDICTIONS["plain"].query("variant == 'original'")["prob_pred"]
    np.testing.assert_allclose(torch.cat([s for _, s, _ in told]), original, atol=1e-6)


@pytest.mark.parametrize("kind", MODELS)
def test_curves_of_the_default_settings_are_the_naive_ones(kind: str) -> None:
    """The whole way to the table: `mean`, predicted class, float32, as committed records have."""
    model, names = MODELS[kind], default_explainers(MODELS[kind])
    rows = ROWS[:3]
    result, batch = run(kind, rows=rows), load_batch(model, DATA, rows, "cpu")
    targets = PREDICTIONS[kind].query("variant == 'original'")["y_pred"][:3]
    for name in names[:2]:
        if name == "random":
            continue
        orders = patch_orders(result.maps[name], list(rows["id"]))
        expected = naive_curves(
            model,
            batch.images,
            torch.zeros_like(batch.images),
            torch.tensor(targets.tolist()),
            orders,
            step_counts(16, 5),
            batch.masks,
        )
        part = result.explanations.query("explainer == @name")
        for column, curves in zip(("deletion_auc", "insertion_auc"), expected, strict=True):
            areas = curve_auc(step_counts(16, 5) / 16, curves)
            np.testing.assert_allclose(part[column], areas, atol=1e-6)
