from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ifambench.errors import UsageError
from ifambench.explain import images as parts
from ifambench.explain.images import ExplainSettings
from ifambench.explain.measure import explain_rows
from ifambench.explain.sanity import forwards_ahead, sanity_rows
from ifambench.explain.sanity import subject as subjects
from ifambench.explain.sanity.randomise import depths, randomised
from ifambench.explain.sanity.subsets import SUBSETS
from ifambench.metrics.sanity import COLUMNS, METRICS
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from tests.models.small_models import KINDS
from tests.predict.small_data import small_data

DATA = small_data(6)
ROWS = DATA.rows("test")
MODELS = {kind: KINDS[kind]() for kind in ("plain", "oracle", "ifam")}
PREDICTIONS = {
    kind: predict(model, DATA, DATA.manifest, batch_size=8, device="cpu")
    for kind, model in MODELS.items()
}
NAMES = {
    "plain": ["grad-cam", "attention-rollout", "random"],
    "oracle": ["grad-cam", "center"],
    "ifam": ["grad-cam", "ifam-mask", "ifam-soft"],
}


def run(kind: str, names=None, rows=ROWS, **more) -> pd.DataFrame:
    settings = more.pop("settings", ExplainSettings(batch_size=8))
    names = NAMES[kind] if names is None else names
    return sanity_rows(MODELS[kind], DATA, rows, PREDICTIONS[kind], names, settings, **more)


@pytest.fixture(scope="module", params=MODELS)
def kind(request) -> str:
    return request.param


FOUND: dict[str, pd.DataFrame] = {}


def once(kind: str) -> pd.DataFrame:
    if kind not in FOUND:
        FOUND[kind] = run(kind)
    return FOUND[kind]


def values(table: pd.DataFrame, explainer: str, check: str) -> np.ndarray:
    part = table[(table["explainer"] == explainer) & (table["check"] == check)]
    assert part["id"].tolist() == list(ROWS["id"])
    return part["value"].to_numpy()


def similar(one: pd.DataFrame, two: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, two, check_exact=False, atol=1e-3, rtol=1e-3)


def test_every_image_has_every_check_once(kind: str) -> None:
    table = once(kind)
    assert list(table.columns) == list(COLUMNS)
    checks = {name for name in METRICS if name != "randomisation_similarity"}
    checks |= {f"randomisation_similarity:{depth}" for depth in depths(MODELS[kind])}
    assert len(table) == len(ROWS) * len(NAMES[kind]) * len(checks)
    assert set(table["check"]) == checks
    assert not table.duplicated(["id", "explainer", "check"]).any()
    groups = table.drop_duplicates("id").set_index("id")["group"]
    assert groups.to_dict() == dict(zip(ROWS["id"], ROWS["group"], strict=True))


def test_passes_ahead_are_one_map_for_each_that_is_made(monkeypatch) -> None:
    made = []
    original = subjects.relevance_of
    monkeypatch.setattr(subjects, "relevance_of", lambda *given: made.append(1) or original(*given))
    run("plain", ["grad-cam"], ROWS[:1])
    passes = 3 * len(made)  # of Grad-CAM: a pass forward, and one backward, which counts as two
    assert forwards_ahead(MODELS["plain"], ["grad-cam"]) == 1 + SUBSETS + passes


def test_similarities_lie_between_minus_one_and_one(kind: str) -> None:
    table = once(kind)
    found = table[table["check"].str.contains("similarity|correlation|stability")]["value"]
    assert found.dropna().between(-1, 1).all()
    errors = table[table["check"].isin(["infidelity", "max_sensitivity"])]["value"]
    assert (errors.dropna() >= 0).all()


def test_the_model_and_the_random_numbers_stay_as_they_were() -> None:
    model = MODELS["plain"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    run("plain", ["grad-cam"], ROWS[:2])
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert torch.get_rng_state().equal(state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_randomisation_compares_with_the_map_of_the_randomised_model(kind: str) -> None:
    model, predictions = MODELS[kind], PREDICTIONS[kind]
    settings = ExplainSettings(steps=1, batch_size=8)
    maps = explain_rows(model, DATA, ROWS, predictions, ["grad-cam"], settings).maps["grad-cam"]
    for depth in ("head", "all"):
        other = randomised(model, depths(model)[depth], seed=0)
        again = explain_rows(other, DATA, ROWS, predictions, ["grad-cam"], settings)
        found = values(once(kind), "grad-cam", f"randomisation_similarity:{depth}")
        for k, (one, two) in enumerate(zip(maps, again.maps["grad-cam"], strict=True)):
            constant = np.ptp(one) == 0 or np.ptp(two) == 0
            rho = np.nan if constant else stats.spearmanr(one.ravel(), two.ravel()).statistic
            assert found[k] == pytest.approx(rho, abs=1e-3, nan_ok=True)


def test_what_ignores_the_weights_keeps_its_map() -> None:
    table = once("plain")
    for depth in depths(MODELS["plain"]):
        found = values(table, "random", f"randomisation_similarity:{depth}")
        np.testing.assert_allclose(found, 1)
        moved = values(table, "grad-cam", f"randomisation_similarity:{depth}")
        assert (moved < 0.999).all()


def test_the_mask_of_stage_1_changes_when_the_cascade_reaches_stage_1() -> None:
    table = once("ifam")
    for depth in ("head", "last_block", "cascading:2", "cascading:3"):
        kept = values(table, "ifam-soft", f"randomisation_similarity:{depth}")
        np.testing.assert_allclose(kept, 1)
    for depth in ("cascading:4", "all"):
        moved = values(table, "ifam-soft", f"randomisation_similarity:{depth}")
        assert (moved < 0.999).all()


def test_other_images_are_other_images() -> None:
    table, rows = once("plain"), list(ROWS["id"])
    settings = ExplainSettings(steps=1, batch_size=8)
    maps = explain_rows(MODELS["plain"], DATA, ROWS, PREDICTIONS["plain"], ["random"], settings)
    for name in ("grad-cam", "attention-rollout", "random"):
        found = values(table, name, "other_image_similarity")
        assert np.abs(found).max() < 0.9999
    ranks = maps.maps["random"].reshape(len(rows), -1)
    rho = np.array([[stats.spearmanr(a, b).statistic for b in ranks] for a in ranks])
    for k, value in enumerate(values(table, "random", "other_image_similarity")):
        others = np.flatnonzero(np.isclose(rho[k], value, atol=1e-6))
        assert len(others)
        assert k not in others


def test_explainers_without_class_say_so() -> None:
    found = values(once("plain"), "attention-rollout", "random_logit_similarity")
    np.testing.assert_array_equal(found, 1)
    assert (values(once("plain"), "grad-cam", "random_logit_similarity") < 0.999).any()


def test_faithfulness_of_a_random_map_is_about_nothing() -> None:
    found = values(once("plain"), "random", "faithfulness_correlation")
    assert abs(found.mean()) < 4 / (len(found) * 15) ** 0.5  # 15 directions of a map of 16 patches


def test_results_depend_neither_on_the_batch_nor_on_the_order(monkeypatch) -> None:
    small = run("plain", ["grad-cam"], settings=ExplainSettings(batch_size=1))
    monkeypatch.setattr(parts, "CHUNK", 4)
    turned = run("plain", ["grad-cam"], rows=ROWS[::-1])
    key = ["check", "id"]
    whole = once("plain").query("explainer == 'grad-cam'").sort_values(key, ignore_index=True)
    similar(whole, small.sort_values(key, ignore_index=True))
    similar(whole, turned.sort_values(key, ignore_index=True))


def test_the_seed_changes_what_is_random() -> None:
    other = run("plain", ["grad-cam"], settings=ExplainSettings(batch_size=8, seed=1))
    for check in ("faithfulness_correlation", "stability", "randomisation_similarity:all"):
        one, two = (values(table, "grad-cam", check) for table in (once("plain"), other))
        assert (one != two).any()


def test_a_finished_part_is_not_done_again(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "journal"
    first = run("plain", ["grad-cam"], journal=Journal(path, "key"))
    broken = replace(DATA, pixels=None)
    settings = ExplainSettings(batch_size=8)
    again = sanity_rows(
        *(MODELS["plain"], broken, ROWS, PREDICTIONS["plain"], ["grad-cam"], settings),
        journal=Journal(path, "key"),
    )
    pd.testing.assert_frame_equal(first, again)


def test_progress_ends_at_its_total() -> None:
    class Counted(Progress):
        total = done = 0

        def start(self, phase: str, total: int) -> None:
            self.total = total

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.done += steps

    seen = Counted()
    run("plain", ["grad-cam", "random"], ROWS[:2], progress=seen)
    assert seen.done == seen.total > 0


def test_no_image_and_one_image() -> None:
    nothing = run("plain", ["grad-cam"], ROWS[:0])
    assert nothing.empty
    assert list(nothing.columns) == list(COLUMNS)
    alone = run("plain", ["grad-cam"], ROWS[:1])
    assert alone.query("check == 'other_image_similarity'")["value"].isna().all()
    assert alone.query("check == 'stability'")["value"].notna().all()


def test_an_explainer_or_operator_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="selection"):
        run("plain", ["ifam-mask"])
    with pytest.raises(UsageError, match="model"):
        run("plain", ["grad-cam"], settings=ExplainSettings(operators=("model",)))


def test_the_operator_of_the_run_removes_the_patches() -> None:
    dropped = run("plain", ["grad-cam"], settings=ExplainSettings(operators=("drop",)))
    filled = once("plain")
    for check in ("faithfulness_correlation", "infidelity"):
        assert (values(dropped, "grad-cam", check) != values(filled, "grad-cam", check)).all()
    one, two = (values(table, "grad-cam", "stability") for table in (dropped, filled))
    np.testing.assert_allclose(one, two, atol=1e-6)
