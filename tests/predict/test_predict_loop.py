import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.errors import EnvironmentProblem
from ifambench.metrics.localization import patch_coverage
from ifambench.models.base import Classifier
from ifambench.predict import loop
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.predict.oracle import oracle_patches
from ifambench.progress import Progress
from tests.models.small_models import GRID, KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.manifest
NUMBERS = ["prob_true", "prob_pred", "margin"]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Classifier:
    return KINDS[request.param]()


def run(model: Classifier, rows: pd.DataFrame = ROWS, batch_size: int = 8, **more) -> pd.DataFrame:
    return predict(model, DATA, rows, batch_size=batch_size, device="cpu", **more)


def close(one: pd.DataFrame, two: pd.DataFrame) -> None:
    exact = [name for name in one.columns if name not in NUMBERS]
    pd.testing.assert_frame_equal(one[exact], two[exact])
    np.testing.assert_allclose(one[NUMBERS], two[NUMBERS], atol=1e-5)


def test_columns_and_order(model: Classifier) -> None:
    table = run(model)
    selects = ["n_selected"] if "selection" in model.capabilities else []
    given = ["id", "split", "variant", "group", "y", "a_place"]
    assert list(table.columns) == [*given, "y_pred", *NUMBERS, *selects]
    pd.testing.assert_frame_equal(table[given], ROWS[given])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batch_size_changes_nothing(model: Classifier, batch_size: int) -> None:
    close(run(model, batch_size=batch_size), run(model))


def test_order_changes_nothing(model: Classifier) -> None:
    mixed = ROWS.sample(frac=1, random_state=3)
    key = ["id", "variant"]
    found = run(model, mixed).sort_values(key, ignore_index=True)
    close(found, run(model).sort_values(key, ignore_index=True))


def test_values_follow_from_the_logits() -> None:
    model = KINDS["plain"]()
    table = run(model)
    with torch.no_grad():
        logits = model.logits(model.data_config.normalise(DATA.pixels.images(ROWS)))
    prob, y = logits.softmax(1).numpy(), ROWS["y"].to_numpy()
    every = np.arange(len(y))
    assert (table["y_pred"] == prob.argmax(1)).all()
    np.testing.assert_allclose(table["prob_true"], prob[every, y], atol=1e-5)
    np.testing.assert_allclose(table["prob_pred"], prob.max(1), atol=1e-5)
    assert ((table["margin"] > 0) == (table["y_pred"] == table["y"])).all()
    others = [max(v for k, v in enumerate(row) if k != t) for row, t in zip(logits, y, strict=True)]
    np.testing.assert_allclose(table["margin"], logits.numpy()[every, y] - others, atol=1e-5)


def test_selected_patches_are_counted_and_stage_1_runs_once() -> None:
    model = KINDS["ifam"]()
    calls = []
    model.stage_1.vit.patch_embed.register_forward_hook(lambda *_: calls.append(1))
    counts = run(model, batch_size=8)["n_selected"]
    assert len(calls) == 3
    with torch.no_grad():
        mask = model.select(model.data_config.normalise(DATA.pixels.images(ROWS))).mask
    assert counts.tolist() == mask.flatten(1).sum(1).tolist()


def test_oracle_sees_the_true_masks() -> None:
    model = KINDS["oracle"]()
    masks = DATA.pixels.masks(ROWS)
    keep = oracle_patches(model, masks)
    assert torch.equal(keep, torch.from_numpy(patch_coverage(masks, GRID) > 0.5))
    with torch.no_grad():
        logits = model.logits(model.data_config.normalise(DATA.pixels.images(ROWS)), keep)
    np.testing.assert_allclose(run(model)["prob_pred"], logits.softmax(1).amax(1), atol=1e-5)


def test_names_the_image_with_a_non_finite_logit() -> None:
    model = KINDS["plain"]()
    whole = model.logits

    def broken(images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        logits = whole(images)
        logits[3, 1] = torch.nan
        return logits

    model.logits = broken
    with pytest.raises(EnvironmentProblem, match=r"image test-00003 \(original\)"):
        run(model)


def test_mode_is_restored() -> None:
    model = KINDS["plain"]().train()
    run(model)
    assert model.training


def test_goes_on_with_another_batch_size(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "CHUNK", 10)
    model = KINDS["plain"]()
    whole = run(model)
    run(model, ROWS[:20], journal=Journal(tmp_path / "j", "key"))
    seen = []
    model.patch = model.vit.patch_embed.register_forward_hook(lambda _, x, __: seen.append(x[0]))
    resumed = run(model, batch_size=3, journal=Journal(tmp_path / "j", "key"))
    assert sum(len(x) for x in seen) == 4  # the last, unfinished chunk alone
    close(resumed, whole)
    pd.testing.assert_frame_equal(resumed[:20], run(model, ROWS[:20]))


def test_progress_ends_at_the_total(tmp_path, monkeypatch) -> None:
    class Counter(Progress):
        total = done = 0

        def start(self, phase: str, total: int) -> None:
            self.total, self.done = total, 0

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.done += steps

    monkeypatch.setattr(loop, "CHUNK", 10)
    counter = Counter()
    for _ in range(2):  # fresh, then from the journal
        run(KINDS["plain"](), journal=Journal(tmp_path / "j", "key"), progress=counter)
        assert counter.done == counter.total == len(ROWS)


def test_no_rows() -> None:
    assert run(KINDS["ifam"](), ROWS[:0]).empty


def test_a_soft_mask_stays_soft() -> None:
    model = KINDS["ifam"]()
    hard = run(model)["prob_true"]
    model.mask_gradient = "soft"
    with torch.no_grad():
        logits = model.logits(model.data_config.normalise(DATA.pixels.images(ROWS)))
    expected = logits.softmax(1)[torch.arange(len(ROWS)), torch.tensor(ROWS["y"].tolist())]
    soft = run(model)["prob_true"]
    np.testing.assert_allclose(soft, expected, atol=1e-6)
    assert np.abs(soft - hard).max() > 1e-3
