"""The table, its journal, and what does not change it."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.battery import TESTS, BatterySettings, part, run_battery
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.predict.journal import Journal
from ifambench.progress import Progress
from tests.battery.battery_support import DATA, ROWS, battery, predictions, values
from tests.battery.leaky import honest
from tests.models.small_ifam import tiny_ifam
from tests.models.small_models import vit

MODEL = honest()
WHOLE = battery(MODEL, *TESTS)
QUICK = ("T1", "T4", "T6", "T10")


def same(one, two, atol=0.0):
    pd.testing.assert_frame_equal(one.table, two.table, check_exact=not atol, atol=atol, rtol=0)
    pd.testing.assert_frame_equal(one.selections, two.selections)


def test_table():
    assert list(WHOLE.table.columns) == [
        *("id", "group", "y", "a_place", "test", "quantity", "condition", "value")
    ]
    assert list(dict.fromkeys(WHOLE.table["test"])) == list(TESTS)
    assert not WHOLE.table.isna().any(axis=None)
    assert not WHOLE.table.duplicated(["id", "test", "quantity", "condition"]).any()
    given = WHOLE.table.merge(ROWS, on="id", suffixes=("", "_given"))
    assert (given["group"] == given["group_given"]).all()
    assert (given["a_place"] == given["a_place_given"]).all()
    assert not WHOLE.not_measured
    assert WHOLE.settings.keys() == {"steps", "draws", "attack_steps", "attack_epsilon"}


def test_passes_are_counted():
    """T1 with one fill: mask, prediction, fill, images alone, and a gradient that counts as three.

    The masks of the swapped variant are stored, too.
    """
    found = battery(honest(), "T1", fills=("zero",))
    assert found.n_forwards == len(ROWS) * (1 + 1 + 1 + 1 + 3 + 1)


def test_the_same_again():
    same(battery(honest(), *TESTS), WHOLE)


def test_seed():
    other = battery(MODEL, "T7", seed=1).table["value"]
    assert (other != battery(MODEL, "T7").table["value"]).any()


def test_batches_change_nothing():
    tests = [name for name in TESTS if name not in ("T1", "T9")]
    same(battery(MODEL, *tests, batch_size=5), battery(MODEL, *tests), atol=1e-5)


def test_parts_and_order_change_nothing(monkeypatch):
    expected = battery(MODEL, *QUICK)
    monkeypatch.setattr(part, "CHUNK", 5)
    parts = battery(MODEL, *QUICK)
    same(parts, expected, atol=1e-5)
    turned = battery(MODEL, *QUICK, rows=ROWS.iloc[::-1].reset_index(drop=True))
    key = ["test", "quantity", "condition", "id"]
    one, two = (r.table.sort_values(key, ignore_index=True) for r in (turned, expected))
    pd.testing.assert_frame_equal(one, two, check_exact=False, atol=1e-5, rtol=0)


def test_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(part, "CHUNK", 5)
    path = tmp_path / "journal"
    expected = battery(MODEL, *QUICK, journal=Journal(path, "k"))
    lines = path.read_bytes().splitlines(keepends=True)
    for line in lines:
        json.loads(line, parse_constant=lambda name: pytest.fail(name))
    path.write_bytes(b"".join(lines[:7]) + lines[7][:9])  # killed while writing
    same(battery(MODEL, *QUICK, journal=Journal(path, "k")), expected)


def test_a_whole_journal_computes_nothing(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal", "k")
    expected = battery(MODEL, *QUICK, journal=journal)
    known = predictions(MODEL)
    monkeypatch.setattr(type(MODEL), "select", lambda *a: pytest.fail("computed"))
    settings = BatterySettings(tests=QUICK, draws=2, attack_steps=3)
    again = run_battery(MODEL, DATA, ROWS, known, settings, journal)
    same(again, expected)
    assert again.n_forwards == expected.n_forwards


def test_other_images_are_other_partners(tmp_path):
    journal = Journal(tmp_path / "journal", "k")
    battery(MODEL, "T6", journal=journal)
    rows = ROWS.iloc[:6]
    same(battery(MODEL, "T6", rows=rows, journal=journal), battery(MODEL, "T6", rows=rows))


def test_progress():
    class Counted(Progress):
        total, done = 0, 0

        def start(self, phase, total):
            self.total = total

        def advance(self, steps=1, note=""):
            self.done += steps

    progress = Counted()
    battery(MODEL, "T2", "T5", progress=progress)
    assert progress.done == progress.total == 3 * len(ROWS)


def test_the_model_stays_in_its_mode():
    model = honest().train()
    battery(model, "T2")
    assert model.training


def test_classes_that_are_the_labels():
    mapped = Mapped(MODEL, LabelMap(((0,), (1,)), "all"))
    same(battery(mapped, *QUICK, "T9"), battery(MODEL, *QUICK, "T9"), atol=1e-6)


def test_labels_of_several_classes():
    inner = tiny_ifam(classes=4)
    mapped = Mapped(inner, LabelMap(((0, 3), (1, 2)), "all"))
    found = battery(mapped, "T7")
    with torch.no_grad():
        pixels = DATA.pixels.images(ROWS)
        raw = inner.logits(inner.data_config.normalise(pixels)).double()
    label = torch.tensor([0, 1, 1, 0])[raw.argmax(1)]
    both = raw.softmax(1)[:, [[0, 3], [1, 2]]].sum(2)
    score = both.gather(1, label[:, None])[:, 0]
    np.testing.assert_allclose(values(found, "T7", "score", "own"), score, rtol=0, atol=1e-6)
    correct = label.numpy() == ROWS["y"].to_numpy()
    np.testing.assert_array_equal(values(found, "T7", "correct", "own"), correct)


def test_a_model_without_a_mask():
    with pytest.raises(UsageError) as caught:
        battery(vit(), "T1")
    assert any("ifam-vit" in choice for choice in caught.value.choices)


def test_unknown_names():
    with pytest.raises(UsageError, match="T12") as caught:
        battery(MODEL, "T12")
    assert list(caught.value.choices) == list(TESTS)
    with pytest.raises(UsageError, match="pink"):
        battery(MODEL, "T1", fills=("pink",))


def test_an_image_without_a_prediction():
    with pytest.raises(ValueError, match=ROWS["id"].max()):
        run_battery(MODEL, DATA, ROWS, predictions(MODEL)[: len(ROWS) - 1], BatterySettings())


def test_logits_that_are_no_numbers():
    model = honest()
    known = predictions(model)
    with torch.no_grad():
        model.stage_2.head.weight.fill_(float("nan"))
    with pytest.raises(EnvironmentProblem, match=ROWS["id"].iloc[0]):
        run_battery(model, DATA, ROWS, known, BatterySettings(tests=("T1",)))


def test_one_patch_one_class_one_image():
    model, known = tiny_ifam(classes=1, patch_size=32), ROWS.assign(y_pred=0)
    found = run_battery(model, DATA, ROWS[:1], known, BatterySettings(attack_steps=3))
    assert np.isfinite(found.table["value"]).all()
    assert set(found.table["test"]) == set(TESTS)
    conditions = set(found.table["condition"])
    assert not conditions & {"other", "other_same", "other_rand", "texture", "same_class"}
    assert conditions >= {"mean", "noise", "mixed_rand", "constant", "none", "drop"}
    assert found.selections["mask"].isin(["00", "80"]).all()
