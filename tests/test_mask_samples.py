import math

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.mask_samples import MaskSamples, image_noise, noise_report, sample_masks
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.predict.loop import predict
from tests.models.small_models import KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")
GROUPS = DATA.suite.groups.names


@pytest.fixture(scope="module")
def model():
    """Small prototypes: every patch is a close call, so noise matters."""
    found = KINDS["ifam"]()
    with torch.no_grad():
        found.stage_1.fc_landmarks.weight.mul_(0.1)
    return found


def sampled(model, rows=ROWS, samples=3, seed=0, batch_size=5) -> MaskSamples:
    return sample_masks(
        model, DATA, rows, samples=samples, seed=seed, batch_size=batch_size, device="cpu"
    )


def test_without_noise_it_is_the_stored_prediction(model):
    stored = predict(model, DATA, ROWS, batch_size=8, device="cpu")
    found = sampled(model)
    assert found.clean.tolist() == stored["y_pred"].tolist()
    assert found.selected[:, 0].tolist() == stored["n_selected"].tolist()


def test_independent_of_batch_size_and_order(model):
    one, other = sampled(model, batch_size=5), sampled(model, ROWS[::-1], batch_size=1)
    assert np.array_equal(one.selected, other.selected[::-1])
    assert np.array_equal(one.patch_flips, other.patch_flips[::-1])
    assert np.array_equal(one.sampled, other.sampled[::-1])


def test_more_samples_begin_with_the_fewer_and_a_seed_changes_them(model):
    few, many = sampled(model, samples=2), sampled(model, samples=3)
    assert np.array_equal(few.selected, many.selected[:, :3])
    assert len({tuple(column) for column in many.selected.T}) == 4
    assert not np.array_equal(few.selected, sampled(model, samples=2, seed=1).selected)


def test_a_declared_group_without_images_is_not_the_worst(model):
    rows = ROWS[ROWS["group"] != GROUPS[0]]
    found = sampled(model, rows)
    rates = (found.clean == found.rows["y"]).groupby(found.rows["group"]).mean()
    assert len(rates) == 3
    assert noise_report(found, GROUPS).clean[1] == rates.min()


def test_classes_that_are_mapped_to_labels_have_the_noise_of_the_model(model):
    mapped = Mapped(model, LabelMap(((1,), (0, 2)), "all"))
    found, own = sampled(mapped), sampled(model)
    assert np.array_equal(found.selected, own.selected)
    assert np.array_equal(found.sampled, np.array([1, 0, 1])[own.sampled])


def test_noise_is_a_standard_gumbel_draw():
    noise = image_noise([f"i{k}" for k in range(40)], (5, 16, 16), sample=0, seed=0)
    assert noise.shape == (40, 5, 16, 16)
    values = noise.double()
    assert values.mean().item() == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert values.var().item() == pytest.approx(math.pi**2 / 6, abs=0.05)


def test_a_patch_is_kept_with_its_foreground_probability(model):
    found = sampled(model, samples=200)
    with torch.no_grad():
        images = model.data_config.normalise(DATA.pixels.images(ROWS))
        expected = model.select(images).foreground.flatten(1).sum(1)
    error = found.selected[:, 1:].mean(axis=1) - expected.numpy()
    assert np.abs(error).max() < 5 * math.sqrt(16 / 4 / 200)  # 16 patches, variance below 1/4 each


def test_report_counts_by_hand():
    rows = pd.DataFrame({"y": [0, 0, 1, 1], "group": ["a", "a", "b", "b"]})
    found = MaskSamples(
        rows=rows,
        clean=np.array([0, 0, 1, 0]),
        sampled=np.array([[0, 0], [0, 1], [1, 1], [1, 1]]),
        averaged=np.array([0, 0, 1, 1]),
        patch_flips=np.array([[0.0, 0.5], [0.25, 0.25], [0.0, 0.0], [0.0, 0.0]]),
        selected=np.array([[1, 0, 0], [2, 2, 2], [0, 1, 1], [3, 3, 3]]),
    )
    report = noise_report(found, ["a", "b"])
    assert report.clean == (0.75, 0.5)
    assert report.averaged == (1.0, 1.0)
    accuracy, worst = report.accuracy, report.worst_group_accuracy
    assert (accuracy.mean, accuracy.low, accuracy.high) == (0.875, 0.75, 1.0)
    assert accuracy.std == pytest.approx(0.25 / math.sqrt(2))
    assert (worst.low, worst.high) == (0.5, 1.0)
    assert (report.flip_rate, report.any_flip_rate) == (3 / 8, 0.5)
    assert report.patch_flip_rate == 0.125
    assert (report.empty_rate, report.noisy_empty_rate) == (0.25, 0.25)


def test_one_sample_has_no_standard_deviation(model):
    assert noise_report(sampled(model, samples=1), GROUPS).accuracy.std is None


def test_other_models_have_no_noise():
    with pytest.raises(UsageError, match="two-stage"):
        sampled(KINDS["plain"]())
