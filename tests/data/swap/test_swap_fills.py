from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifambench.data.swap.compose import Style, background, no_fg, only_bg_b, paste
from ifambench.data.swap.fills import FILLS, largest_strip, without_object
from ifambench.data.swap.harmonic import harmonic
from ifambench.data.swap.quality import examine, problem
from ifambench.data.swap.shapes import Box, bounding_box, dilated, kept_inside, moved, soft

SIDE = 24


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def disc(top=8, left=5, radius=6):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return np.hypot(rows - top - radius, columns - left - radius) <= radius


@st.composite
def boxes(draw):
    top, left = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return Box(top, draw(st.integers(top + 1, SIDE)), left, draw(st.integers(left + 1, SIDE)))


@pytest.mark.parametrize("fill", FILLS)
@given(box=boxes())
def test_a_fill_changes_the_box_only_and_does_not_see_what_was_in_it(fill, box):
    image = noise()
    other = image.copy()
    other[box.slices] = noise(1)[box.slices]
    found = without_object(image, box, fill)
    outside = np.ones((SIDE, SIDE), bool)
    outside[box.slices] = False
    assert (found[outside] == image[outside]).all()
    assert (found == without_object(other, box, fill)).all()


@pytest.mark.parametrize("fill", ["mean", "tile", "blur", "inpaint"])
@given(box=boxes())
def test_a_plain_background_stays_plain(fill, box):
    image = np.full((SIDE, SIDE, 3), (200, 10, 90), np.uint8)
    image[box.slices] = 0
    whole = box == Box(0, SIDE, 0, SIDE)
    wanted = 0 if whole else (200, 10, 90)
    assert (without_object(image, box, fill) == wanted).all()


def test_black_and_mean_are_what_they_say():
    image, box = noise(), Box(3, 9, 4, 20)
    outside = np.ones((SIDE, SIDE), bool)
    outside[box.slices] = False
    assert (without_object(image, box, "black")[box.slices] == 0).all()
    mean = np.rint(image[outside].mean(axis=0))
    assert (without_object(image, box, "mean")[box.slices] == mean).all()


@given(boxes())
def test_the_strip_is_the_largest_beside_the_box(box):
    strip = largest_strip(SIDE, box)
    assert strip.area == SIDE * max(box.top, SIDE - box.bottom, box.left, SIDE - box.right)
    overlap = np.zeros((SIDE, SIDE), int)
    overlap[box.slices] += 1
    overlap[strip.slices] += 1
    assert overlap.max() <= 1


def test_the_tile_is_repeated_from_the_corner_of_the_box():
    image, box = noise(), Box(2, 20, 7, 24)  # the strip left of it has 7 columns
    found = without_object(image, box, "tile")[box.slices]
    strip = image[:, :7]
    for y in range(18):
        for x in range(17):
            assert (found[y, x] == strip[y % SIDE, x % 7]).all()


@given(boxes())
def test_each_inpainted_pixel_is_the_mean_of_its_neighbours(box):
    if box == Box(0, SIDE, 0, SIDE):
        return
    image = noise().astype(float)
    image[box.slices] = harmonic(image, box)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")  # no flow through the border
    mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    assert np.allclose(image[box.slices], mean[box.slices], atol=1e-6)


@given(st.integers(-30, 30), st.integers(-30, 30))
def test_a_pasted_object_is_bit_exact_wherever_it_goes(dx, dy):
    image, mask, behind = noise(), disc(), noise(1)
    found = paste(image, mask, behind, Style(), (dx, dy))
    dx, dy = kept_inside(bounding_box(mask), dx, dy, SIDE)
    at = moved(mask, dx, dy)
    assert at.sum() == mask.sum()
    assert (found[at] == image[mask]).all()
    assert (found[~at] == behind[~at]).all()


def test_a_soft_edge_is_between_object_and_background():
    image, behind = np.full((SIDE, SIDE, 3), 200, np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)
    found = paste(image, disc(), behind, Style(feather=1.5))[..., 0]
    assert found.max() > 190
    assert found.min() == 0
    assert ((found > 20) & (found < 180)).any()


def test_black_box_and_black_silhouette():
    image, mask = noise(), disc()
    box = bounding_box(mask)
    silhouette, boxed = no_fg(image, mask, Style()), only_bg_b(image, mask, Style())
    assert (silhouette[mask] == 0).all()
    assert (silhouette[~mask] == image[~mask]).all()
    assert (boxed[box.slices] == 0).all()
    assert (boxed == background(image, mask, Style("black"))).all()


@pytest.mark.parametrize("pixels", [0, 1, 3])
def test_a_grown_mask_is_a_disc_larger(pixels):
    point = np.zeros((SIDE, SIDE), bool)
    point[10, 11] = True
    rows, columns = np.ogrid[:SIDE, :SIDE]
    assert (dilated(point, pixels) == (np.hypot(rows - 10, columns - 11) <= pixels)).all()
    assert not dilated(np.zeros_like(point), pixels).any()


def test_without_a_feather_opacity_is_exact():
    assert (soft(disc(), 0) == disc()).all()


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (disc(), None),
        (np.zeros((SIDE, SIDE), bool), "empty"),
        (disc(radius=1, top=2, left=2), "small"),
        (np.ones((SIDE, SIDE), bool), "large"),
        (np.eye(SIDE, dtype=bool), "box"),
        (None, "none"),
    ],
)
def test_an_image_that_cannot_be_swapped_is_told_why(mask, wanted):
    assert problem(mask) == wanted


def test_the_counts_of_the_filters_are_said():
    found = examine([("a", disc()), ("b", None), ("c", np.eye(SIDE, dtype=bool))])
    assert found.usable == {"a"}
    assert found.described() == (
        "1 without a mask, 1 with a bounding box above 90% of the image, of 3 images"
    )
    assert examine([("a", disc())]).described() == ""
