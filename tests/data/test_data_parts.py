"""The pieces the images are drawn from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.data.draws import Draws
from ifambench.data.signs import sign
from ifambench.data.textures import TextureParams, texture
from ifambench.data.waterdigits import (
    SPLITS,
    VARIANTS,
    WaterdigitsParams,
    assign,
    pretraining_images,
    render,
)

SEED = 20260
PARAMS = WaterdigitsParams()


def test_draws_are_the_published_stream():
    """Raw PCG64 output is stable across numpy versions; these numbers must never change."""
    draws = Draws(7411, 3, 0, 5)
    assert draws.uniform(0.0, 1.0, 3).tolist() == [
        0.7108692157206883,
        0.5397088715621295,
        0.7976716815361541,
    ]
    assert draws.integer(1000) == 169
    assert draws.permutation(5).tolist() == [1, 3, 4, 2, 0]
    raw = np.random.PCG64(np.random.SeedSequence((1, 2, 3))).random_raw(1)[0]
    assert Draws(1, 2, 3).one(0.0, 1.0) == (int(raw) >> 11) * 2.0**-53


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=4), st.integers(1, 1000))
@settings(max_examples=40, deadline=None)
def test_draws_stay_in_range_and_repeat(address, stop):
    first, second = Draws(*address), Draws(*address)
    values = first.uniform(-1.0, 3.0, 20)
    assert (values >= -1).all()
    assert (values < 3).all()
    assert (second.uniform(-1.0, 3.0, 20) == values).all()
    assert 0 <= first.integer(stop) < stop
    assert sorted(first.permutation(stop)) == list(range(stop))


def test_other_addresses_give_other_draws():
    found = {Draws(*address).one(0, 1) for address in [(1,), (2,), (1, 1), (1, 2), (2, 1)]}
    assert len(found) == 5


@given(
    st.sampled_from(["train", "val", "test"]),
    st.integers(4, 400),
    st.floats(0.5, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_counts_are_exact_for_any_size_and_correlation(split, n, correlation):
    params = WaterdigitsParams(correlation=correlation)
    pairs = assign(params, split, n)
    share = correlation if split == "train" else 0.5
    for y in (0, 1):
        places = [place for label, place in pairs if label == y]
        assert len(places) == (n + 1 - y) // 2
        assert sum(place == y for place in places) == round(share * len(places))


def rendered(split="test", index=0, y=0, place=0):
    return render(SEED, PARAMS, split, index, y, place)


def test_an_image_depends_on_its_address_alone():
    first = rendered(index=7)
    rendered(index=8)
    again = rendered(index=7)
    assert all((first.variants[name] == again.variants[name]).all() for name in VARIANTS)


def test_the_object_does_not_depend_on_the_place():
    land, water = rendered(place=0), rendered(place=1)
    assert (land.mask == water.mask).all()
    assert (land.variants["only_fg"] == water.variants["only_fg"]).all()
    assert (land.variants["original"] != water.variants["original"]).any()


def test_the_label_chooses_the_digit():
    for y in (0, 1):
        digits = {rendered(index=k, y=y).glyph.partition("/")[0] for k in range(20)}
        assert digits == {str(PARAMS.digits[y][0])}


def test_backgrounds_are_named_with_split_and_place():
    found = rendered(split="val", place=1)
    assert found.backgrounds["original"].startswith("val/water/")
    assert found.backgrounds["mixed_same"].startswith("val/land/")
    assert found.backgrounds["only_fg"] == ""


def test_pretraining_shares_nothing_with_the_splits():
    """Digits and textures of `pretrain` are in no other split."""
    used = {}
    for split in SPLITS:
        images = [rendered(split, k, k % 2, k // 2 % 2) for k in range(200)]
        used[split] = {image.glyph for image in images}
        used[split] |= {name for image in images for name in image.backgrounds.values() if name}
    for split in SPLITS[1:]:
        assert not used["pretrain"] & used[split]


def test_pretraining_images_are_reproducible():
    first = pretraining_images(SEED, PARAMS, 6)
    assert first.shape == (6, 64, 64, 3)
    assert (first == pretraining_images(SEED, PARAMS, 6)).all()
    assert (first[:3] == pretraining_images(SEED, PARAMS, 3)).all()


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_a_sign_is_whole_and_inside(seed):
    drawn = sign(Draws(seed), np.ones((8, 8)), 64, (30.0, 42.0))
    assert drawn.mask.any()
    assert not drawn.mask[[0, -1]].any()
    assert not drawn.mask[:, [0, -1]].any()
    height, width = (np.flatnonzero(drawn.mask.any(axis=axis)).size for axis in (1, 0))
    assert 28 <= height <= 64
    assert 28 <= width <= 64


def test_the_digit_is_dark_on_a_bright_sign():
    ink = np.zeros((8, 8))
    ink[2:6, 3:5] = 1.0
    drawn = sign(Draws(5), ink, 64, (40.0, 42.0))
    inside = drawn.colour[drawn.mask]
    assert inside.min() < 0.25
    assert np.median(inside) > 0.4


@pytest.mark.parametrize("place", ["land", "water"])
def test_a_texture_repeats_and_has_contrast(place):
    first = texture(Draws(3), place, 96, TextureParams())
    assert first.shape == (96, 96, 3)
    assert (first == texture(Draws(3), place, 96, TextureParams())).all()
    assert first.std() > 0.02


def test_without_a_gap_the_places_have_the_same_mean_colour():
    def means(gap):
        params = TextureParams(gap=gap, colour_noise=0.0)
        return [
            np.mean([texture(Draws(k), place, 48, params).mean(axis=(0, 1)) for k in range(30)], 0)
            for place in ("land", "water")
        ]

    land, water = means(0.0)
    assert np.abs(land - water).max() < 0.03
    land, water = means(1.0)
    assert water[2] - land[2] > 0.12


def test_water_is_stretched_sideways():
    """The structure, beside the colour, that tells the places apart."""

    def ratio(place):
        grey = np.stack([texture(Draws(k), place, 64, TextureParams()).mean(2) for k in range(12)])
        return np.abs(np.diff(grey, axis=1)).mean() / np.abs(np.diff(grey, axis=2)).mean()

    assert ratio("water") > 1.5 > ratio("land")
