import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.explain import images as parts
from ifambench.explain.base import default_explainers
from ifambench.explain.measure import ExplainResult, ExplainSettings, choose_images, explain_rows
from ifambench.metrics.deletion import curve_auc
from ifambench.metrics.localization import mask_scores, patch_coverage, relevance_mass
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.records.store import EXPLANATION_COLUMNS
from tests.explain.toy_models import OnePatch
from tests.models.small_models import GRID, KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")
SETTINGS = ExplainSettings(steps=5, batch_size=16)
MODELS = {kind: build() for kind, build in KINDS.items()}
PREDICTIONS = {
    kind: predict(model, DATA, DATA.manifest, batch_size=8, device="cpu")
    for kind, model in MODELS.items()
}


def run(kind: str, explainers=None, rows=ROWS, settings=SETTINGS, **more) -> ExplainResult:
    model = MODELS[kind]
    names = default_explainers(model) if explainers is None else explainers
    return explain_rows(model, DATA, rows, PREDICTIONS[kind], names, settings, **more)


def same(one: ExplainResult, two: ExplainResult, atol: float = 1e-5) -> None:
    for a, b in ((one.explanations, two.explanations), (one.curves, two.curves)):
        pd.testing.assert_frame_equal(a, b, check_exact=False, atol=atol, rtol=0)
    assert one.maps.keys() == two.maps.keys()
    for name, maps in one.maps.items():
        np.testing.assert_allclose(maps, two.maps[name], atol=atol)


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
        *("explainer", "group", "fraction", "deletion", "insertion", "n")
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


def test_goes_on_where_it_was(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parts, "CHUNK", 4)
    whole = run("ifam")
    first = run("ifam", journal=Journal(tmp_path / "j", "key"))
    same(first, whole, atol=0)
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 3 * 4
    (tmp_path / "j").write_bytes(b"".join(lines[:8]) + lines[8][:99])
    model = MODELS["ifam"]
    seen: list[int] = []
    hook = model.stage_2.register_forward_hook(lambda _, x, __: seen.append(len(x[0])))
    try:
        resumed = run(
            "ifam",
            journal=Journal(tmp_path / "j", "key"),
            settings=ExplainSettings(steps=5, batch_size=7),
        )
    finally:
        hook.remove()
    same(resumed, whole)
    assert 0 < sum(seen) < whole.n_forwards
    assert resumed.n_forwards == whole.n_forwards


def test_a_finished_journal_needs_no_pixels(tmp_path) -> None:
    whole = run("plain", journal=Journal(tmp_path / "j", "key"))
    model = MODELS["plain"]
    hook = model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    blind = SuiteData(DATA.suite, DATA.manifest, None, DATA.digest, DATA.size)
    names = default_explainers(model)
    journal = Journal(tmp_path / "j", "key")
    again = explain_rows(model, blind, ROWS, PREDICTIONS["plain"], names, SETTINGS, journal)
    hook.remove()
    same(again, whole, atol=0)


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


def test_choice_is_even_over_groups() -> None:
    rows = pd.DataFrame(
        {"id": [f"i{k:03d}" for k in range(110)], "group": ["a"] * 90 + ["b"] * 15 + ["c"] * 5}
    )
    counts = choose_images(rows, 30, ["a", "b", "c"], 0)["group"].value_counts()
    assert counts.to_dict() == {"a": 13, "b": 12, "c": 5}
    assert len(choose_images(rows, 999, ["a", "b", "c"], 0)) == 110


def test_choice_depends_on_ids_and_seed_alone() -> None:
    groups = DATA.suite.groups.names
    chosen = choose_images(ROWS, 8, groups, 0)
    assert chosen["id"].is_monotonic_increasing
    assert list(chosen.columns) == list(ROWS.columns)
    pd.testing.assert_frame_equal(choose_images(ROWS[::-1], 8, groups, 0), chosen)
    assert set(choose_images(ROWS, 4, groups, 0)["id"]) < set(chosen["id"])
    seeds = [tuple(choose_images(ROWS, 4, groups, seed)["id"]) for seed in range(5)]
    assert len(set(seeds)) > 1
