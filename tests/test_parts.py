from dataclasses import replace

import numpy as np
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.interventions import Interventions
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.parts import (
    Evaluation,
    intervening,
    leave_parts_out,
    parse_parts,
    selected_by_part,
    thresholds_of,
    two_stage,
)
from ifambench.predict.loop import predict
from ifambench.progress import Progress
from tests.models.small_models import KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")
ON = Evaluation(DATA, ROWS, 5, "cpu", Progress())


@pytest.fixture(scope="module")
def model():
    return KINDS["ifam"]()


@pytest.fixture(scope="module")
def report(model):
    return leave_parts_out(model, ON, [(0, 3)])


def test_a_row_for_each_part_and_each_combination(report):
    assert [item.parts for item in report.removals] == [(0,), (1,), (2,), (3,), (0, 3)]
    assert report.whole.parts == ()
    assert (report.images, report.num_parts) == (12, 4)


def test_the_whole_is_the_prediction_of_the_model(model, report):
    stored = predict(model, DATA, ROWS, batch_size=8, device="cpu")
    assert report.predictions["y_pred"].tolist() == stored["y_pred"].tolist()
    right = stored["y_pred"] == stored["y"]
    assert report.whole.accuracy == pytest.approx(right.mean())
    rates = right.groupby(stored["group"]).mean().to_dict()
    assert report.whole.groups == pytest.approx(rates)
    assert report.whole.worst_group_accuracy == min(rates.values())
    assert rates[report.whole.worst_group] == min(rates.values())
    assert report.whole.flip_rate == 0


def test_a_declared_group_without_images_has_no_accuracy(model):
    rows = ROWS[ROWS["group"] != ROWS["group"].iloc[0]]
    groups = leave_parts_out(model, replace(ON, rows=rows)).whole.groups
    assert list(groups) == [name for name in DATA.suite.groups.names if name in set(rows["group"])]
    assert len(groups) == 3


def test_classes_that_are_mapped_to_labels_have_the_parts_of_the_model(model):
    mapped = Mapped(model, LabelMap(((1,), (0, 2)), "all"))
    found = leave_parts_out(mapped, ON)
    assert found.num_parts == 4
    assert found.removals[1].empty == leave_parts_out(model, ON).removals[1].empty
    labels = predict(mapped, DATA, ROWS, batch_size=8, device="cpu")["y_pred"]
    assert found.predictions["y_pred"].tolist() == labels.tolist()
    assert two_stage(mapped) is model


def test_shares_add_up_to_the_whole_selection(model, report):
    singles = report.removals[:4]
    assert sum(item.share for item in singles) == pytest.approx(1)
    assert report.removals[4].share == pytest.approx(singles[0].share + singles[3].share)
    counts = selected_by_part(model, ON)
    assert counts.sum(axis=1).tolist() == report.predictions["n_selected"].tolist()
    assert [item.present for item in singles] == (counts > 0).sum(axis=0).tolist()


def test_a_removed_part_is_gone_from_the_mask_and_the_others_stay(model):
    counts = selected_by_part(model, ON)
    part = int(counts.sum(axis=0).argmax())
    with intervening(model, Interventions(remove_parts=(part,))):
        left = selected_by_part(model, ON)
    kept = np.delete(np.arange(4), part)
    assert not left[:, part].any()
    assert np.array_equal(left[:, kept], counts[:, kept])


def test_removing_every_part_leaves_nothing(model):
    (everything,) = leave_parts_out(model, ON, [(0, 1, 2, 3)]).removals[4:]
    assert everything.empty == 12
    assert (everything.share, everything.present) == (1, 12)
    # without a patch the prediction is the same class for every image
    assert sorted(set(everything.groups.values())) == [0.0, 1.0]


def test_what_was_removed_before_stays_removed(model):
    with intervening(model, Interventions(remove_parts=(1,))):
        report = leave_parts_out(model, ON)
    assert report.removals[1].share == 0
    assert report.removals[1].flip_rate == 0  # removed once more
    both = leave_parts_out(model, ON, [(0, 1)]).removals[4]
    assert report.removals[0].groups == both.groups


def test_the_model_is_left_as_it_was(model):
    before = model.interventions
    with pytest.raises(ZeroDivisionError), intervening(model, Interventions(remove_parts=(1,))):
        raise ZeroDivisionError
    assert model.interventions is before


@pytest.mark.parametrize("compat", ["none", "official"])
def test_a_high_quantile_leaves_fewer_patches(model, compat):
    low, high = (thresholds_of(model, ON, q, compat) for q in (0.0, 0.9))
    assert (low.thresholds <= high.thresholds).all()
    with intervening(model, high):
        fewer = selected_by_part(model, ON).sum()
    assert fewer < selected_by_part(model, ON).sum()
    assert leave_parts_out(model, ON, base=high).predictions["n_selected"].sum() == fewer


def test_a_part_that_is_not_there(model):
    with pytest.raises(UsageError, match="no part 4"):
        leave_parts_out(model, ON, [(0, 4)])


def test_an_empty_selection_has_no_shares(model):
    nothing = Interventions(thresholds=torch.full((4,), torch.inf))
    report = leave_parts_out(model, ON, base=nothing)
    assert report.whole.empty == 12
    assert all(item.share is None and item.present == 0 for item in report.removals)


def test_other_models_have_no_parts():
    with pytest.raises(UsageError, match="two-stage"):
        two_stage(KINDS["plain"]())


@pytest.mark.parametrize("text", ["", "a", "0,,1", "-1", "0;1", "1.5"])
def test_what_does_not_name_parts(text):
    with pytest.raises(UsageError, match="does not name parts"):
        parse_parts(text)


def test_parts_are_sorted_and_each_counted_once():
    assert parse_parts("3, 0,3") == (0, 3)
