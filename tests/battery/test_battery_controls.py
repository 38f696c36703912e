"""Masks of equal area, orders and partners: exact, seeded by image, independent of the batch."""

import numpy as np
import pandas as pd
import pytest
import torch

from ifambench.battery import controls
from ifambench.battery.fills import from_patches, noise_images, pixels_of, to_patches
from ifambench.battery.partners import Partners
from ifambench.models.base import DataConfig

IDS = [f"i{k}" for k in range(6)]
GRID = (3, 4)
AREA = np.array([0, 1, 4, 6, 11, 12])


@pytest.mark.parametrize("make", [controls.centre_masks, lambda *a: controls.random_masks(*a, 1)])
def test_equal_area_and_no_batch(make):
    masks = make(AREA, GRID, IDS, 3)
    assert masks.sum(axis=(1, 2)).tolist() == AREA.tolist()
    for k in range(len(IDS)):
        one = make(AREA[k : k + 1], GRID, IDS[k : k + 1], 3)
        np.testing.assert_array_equal(one[0], masks[k])


def test_the_centre_is_in_the_middle():
    masks = controls.centre_masks(np.array([4, 12]), (4, 4), ["a", "b"], 0)
    assert masks[0, 1:3, 1:3].all()
    corners = np.ix_([0, 3], [0, 3])
    assert not masks[1][corners].any()


def test_draws_and_images_differ():
    areas = np.full(6, 6)
    one, two = (controls.random_masks(areas, GRID, IDS, 0, draw) for draw in range(2))
    assert (one != two).any()
    assert len(np.unique(one.reshape(6, -1), axis=0)) > 1


def test_ranks_are_descending_with_ties_at_random():
    values = np.array([[0.0, 2.0, 1.0, 1.0, 1.0, 1.0]])
    ranks = [controls.patch_ranks(values, [f"{k}"], 0)[0] for k in range(20)]
    assert all(rank[1] == 0 and rank[0] == 5 for rank in ranks)
    assert len({tuple(rank) for rank in ranks}) > 5


def test_cut_keeps_the_strongest_of_the_mask():
    masks = np.array([[[True, True], [True, False]]])
    strength = np.array([[[0.1, 0.9], [0.5, 1.0]]])
    cut = controls.cut_masks(masks, strength, np.array([2]), ["a"], 0)
    assert cut.tolist() == [[[False, True], [True, False]]]
    wide = controls.cut_masks(masks, strength, np.array([4]), ["a"], 0)
    assert wide.tolist() == masks.tolist()


def test_cut_keeps_all_of_a_small_mask_however_weak():
    masks = np.array([[[True, False, True, False, False, False]]])
    weak = np.array([[[-np.inf, 9.0, -5.0, np.inf, -np.inf, -np.inf]]])
    for name in IDS:
        wide = controls.cut_masks(masks, weak, np.array([2]), [name], 0)
        assert wide.tolist() == masks.tolist()


def test_ranks_put_some_patches_first():
    values = np.array([[5.0, np.inf, 1.0, -np.inf]])
    first = np.array([[False, False, True, True]])
    assert controls.patch_ranks(values, ["a"], 0, first=first).tolist() == [[3, 2, 0, 1]]


def test_overlap():
    one = np.array([[[True, True]], [[False, False]], [[True, False]]])
    two = np.array([[[True, False]], [[False, False]], [[False, True]]])
    assert controls.overlap(one, two).tolist() == [0.5, 1.0, 0.0]


def test_shift_keeps_the_area_and_moves():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, 0] = True
    assert np.argwhere(controls.shifted_masks(mask)[0]).tolist() == [[2, 2]]


def rows(n: int = 9) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"x{k}" for k in range(n)], "y": np.arange(n) % 3})


def test_partners():
    table = rows()
    label = dict(zip(table["id"], table["y"], strict=True))
    drawn = Partners(table, 0)
    shuffled = Partners(table.sample(frac=1, random_state=1), 0)
    for kind in ("other", "same", "rand", "any_class"):
        for name, y in label.items():
            found = drawn.of(kind, name, y)
            assert found != name
            assert found == shuffled.of(kind, name, y)
            assert kind != "same" or label[found] == y
            assert kind != "rand" or label[found] != y
    assert {drawn.of("other", f"new{k}", 0) for k in range(200)} == set(label)
    assert {label[drawn.of("any_class", f"new{k}", 0)] for k in range(50)} == {0, 1, 2}


def test_no_partner():
    alone = Partners(rows(1), 0)
    assert [alone.of(kind, "x0", 0) for kind in ("other", "same", "rand", "any_class")] == [
        None
    ] * 4
    three = Partners(rows(3), 0)
    assert three.of("same", "x0", 0) is None
    assert {three.of("any_class", f"x{k}", k) for k in range(3)} <= {"x0", "x1", "x2"}
    assert all(three.of("any_class", f"x{k}", k) != f"x{k}" for k in range(3))


def test_patches_and_back():
    images = torch.randn(2, 3, 6, 8)
    patches = to_patches(images, (3, 4))
    assert patches.shape == (2, 12, 3, 2, 2)
    torch.testing.assert_close(patches[1, 5], images[1, :, 2:4, 2:4], rtol=0, atol=0)
    torch.testing.assert_close(from_patches(patches, (3, 4)), images, rtol=0, atol=0)


def test_pixels_of_a_patch_mask():
    keep = torch.tensor([[[True, False], [False, True]]])
    found = pixels_of(keep, torch.zeros(1, 3, 4, 6))
    assert found.shape == (1, 1, 4, 6)
    assert found[0, 0, :2, :3].all()
    assert found.sum() == 12


def test_noise_is_colours_and_belongs_to_the_image():
    config = DataConfig(8, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    noise = noise_images(["a", "b"], config, 0)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (config.mean, config.std))
    colours = noise * std + mean
    assert -1e-6 < colours.min() < 0.1
    assert 0.9 < colours.max() < 1 + 1e-6
    torch.testing.assert_close(noise_images(["b"], config, 0)[0], noise[1], rtol=0, atol=0)
    assert not torch.equal(noise_images(["b"], config, 1)[0], noise[1])
