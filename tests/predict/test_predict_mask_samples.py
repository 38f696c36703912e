import math

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.predict import mask_samples
from ifambench.predict.forward import load_batch
from ifambench.predict.journal import Journal
from ifambench.predict.loop import predict
from ifambench.predict.mask_samples import image_noise, sample_masks
from tests.models.small_models import KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")


@pytest.fixture(scope="module")
def model():
    """Small prototypes: every patch is a close call, so noise matters."""
    found = KINDS["ifam"]()
    with torch.no_grad():
        found.stage_1.fc_landmarks.weight.mul_(0.1)
    return found


def sampled(model, rows=ROWS, samples=3, seed=0, batch_size=5, **more) -> pd.DataFrame:
    return sample_masks(
        model, DATA, rows, samples=samples, seed=seed, batch_size=batch_size, device="cpu", **more
    )


def column(table, name) -> np.ndarray:
    """(N, S + 1) values, images by id."""
    return table.pivot(index="id", columns="sample", values=name).to_numpy()


def test_a_row_per_image_and_mask(model):
    found = sampled(model, samples=2)
    assert found["sample"].tolist() == [0, 1, 2] * len(ROWS)
    given = ["id", "split", "variant", "group", "y"]
    for sample in range(3):
        part = found[found["sample"] == sample].reset_index(drop=True)
        pd.testing.assert_frame_equal(part[given], ROWS[given].reset_index(drop=True))


def test_without_noise_it_is_the_stored_prediction(model):
    stored = predict(model, DATA, ROWS, batch_size=8, device="cpu")
    free = sampled(model).query("sample == 0").reset_index(drop=True)
    names = ["id", "group", "y", "y_pred", "n_selected"]
    pd.testing.assert_frame_equal(free[names], stored[names])
    assert (free["patch_flips"] == 0).all()


def test_independent_of_batch_size_and_order(model):
    one, other = sampled(model, batch_size=5), sampled(model, ROWS[::-1], batch_size=1)
    order = ["id", "sample"]
    one, other = (table.sort_values(order, ignore_index=True) for table in (one, other))
    pd.testing.assert_frame_equal(one, other)


def test_more_samples_begin_with_the_fewer_and_a_seed_changes_them(model):
    few, many = sampled(model, samples=2), sampled(model, samples=3)
    changes = ["sample", "n_selected", "patch_flips", "y_pred"]
    both = many[many["sample"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(few[changes], both[changes])
    masks = column(many, "patch_flips").T.tolist()
    assert len({tuple(each) for each in masks}) == 4
    other = sampled(model, samples=2, seed=1)
    assert not np.array_equal(few["patch_flips"], other["patch_flips"])


@pytest.mark.parametrize("mapped", [False, True])
def test_the_averaged_prediction_is_that_of_the_mean_probability(model, mapped):
    asked = Mapped(model, LabelMap(((1,), (0, 2)), "all")) if mapped else model
    with torch.no_grad():
        images = model.data_config.normalise(DATA.pixels.images(ROWS))
        tokens = model.stage_1.tokens(images)
        shape = (model.stage_1.num_parts + 1, *model.patch_grid)
        noises = [image_noise(list(ROWS["id"]), shape, sample, 0) for sample in range(3)]
        prob = [
            model.logits_under(images, model.select_from(tokens, noise)).softmax(1)
            for noise in noises
        ]
    mean = torch.stack(prob).mean(0)
    if mapped:  # a label is as probable as its classes together
        mean = torch.stack([mean[:, 1], mean[:, 0] + mean[:, 2]], dim=1)
    expected = mean.argmax(1).tolist()
    found = column(sampled(asked), "y_pred_averaged")
    assert (found == np.array(expected)[np.argsort(ROWS["id"])][:, None]).all()
    assert len(set(expected)) == asked.num_classes


def test_finished_chunks_are_taken_from_the_journal(model, tmp_path, monkeypatch):
    monkeypatch.setattr(mask_samples, "CHUNK", 4)
    whole, key = sampled(model), "k"
    sampled(model, ROWS[:4], journal=Journal(tmp_path / "j", key))
    passes = []
    monkeypatch.setattr(
        mask_samples, "load_batch", lambda *args: passes.append(len(args[2])) or load_batch(*args)
    )
    found = sampled(model, journal=Journal(tmp_path / "j", key))
    pd.testing.assert_frame_equal(found, whole)
    assert sum(passes) == len(ROWS) - 4
    passes.clear()
    sampled(model, samples=2, journal=Journal(tmp_path / "j", key))
    assert sum(passes) == len(ROWS)  # other masks are other work


def test_classes_that_are_mapped_to_labels_have_the_noise_of_the_model(model):
    mapped = Mapped(model, LabelMap(((1,), (0, 2)), "all"))
    found, own = sampled(mapped), sampled(model)
    assert np.array_equal(found["n_selected"], own["n_selected"])
    assert np.array_equal(found["y_pred"], np.array([1, 0, 1])[own["y_pred"]])


def test_noise_is_a_standard_gumbel_draw():
    noise = image_noise([f"i{k}" for k in range(40)], (5, 16, 16), sample=0, seed=0)
    assert noise.shape == (40, 5, 16, 16)
    values = noise.double()
    assert values.mean().item() == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert values.var().item() == pytest.approx(math.pi**2 / 6, abs=0.05)


def test_a_patch_is_kept_with_its_foreground_probability(model):
    found = column(sampled(model, samples=200), "n_selected")
    rows = ROWS.sort_values("id")
    with torch.no_grad():
        images = model.data_config.normalise(DATA.pixels.images(rows))
        expected = model.select(images).foreground.flatten(1).sum(1)
    error = found[:, 1:].mean(axis=1) - expected.numpy()
    assert np.abs(error).max() < 5 * math.sqrt(16 / 4 / 200)  # 16 patches, variance below 1/4 each


def test_other_models_have_no_noise():
    with pytest.raises(UsageError, match="two-stage"):
        sampled(KINDS["plain"]())
