"""Backgrounds change, objects stay, pixel for pixel; the other object is not in the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ifambench.battery.swaps import RENDERED, conditions, swapped
from ifambench.data.generated import MemoryPixels
from ifambench.data.swap.compose import Style, background
from tests.battery.battery_support import DATA, ROWS, battery, no_grad, values, whole_part
from tests.battery.leaky import honest

PART = whole_part(honest())


@pytest.mark.parametrize("condition", RENDERED)
def test_objects_stay(condition):
    found = no_grad(swapped, PART, condition)
    inside = torch.from_numpy(PART.objects)[:, None].expand_as(PART.images)
    assert found.known.all()
    assert torch.equal(found.images[inside], PART.images[inside])
    changed = (found.images != PART.images)[~inside].float().mean()
    assert changed > 0.9


def test_another_background_comes_without_its_object():
    found = no_grad(swapped, PART, "other_rand")
    partners = PART.work.backgrounds
    for k, (name, y) in enumerate(zip(PART.ids, ROWS["y"], strict=True)):
        other = ROWS[ROWS["id"] == partners.of("rand", name, int(y))]
        assert int(other["y"].iloc[0]) != y
        behind = background(DATA.pixels.images(other)[0], DATA.pixels.masks(other)[0], Style())
        expected = PART.work.normalise(behind[None])[0]
        outside = torch.from_numpy(~PART.objects[k]).expand(3, -1, -1)
        assert torch.equal(found.images[k][outside], expected[outside])


def test_variants_of_the_suite():
    assert list(PART.work.variants) == ["mixed_rand"]
    assert conditions(PART.work) == [*RENDERED, "mixed_rand"]
    rows = DATA.manifest[DATA.manifest["variant"] == "mixed_rand"]
    expected = PART.work.normalise(DATA.pixels.images(rows))
    assert torch.equal(no_grad(swapped, PART, "mixed_rand").images, expected)


def test_a_variant_that_moves_the_object_is_no_other_background():
    class Moved(MemoryPixels):
        def masks(self, rows):
            found = super().masks(rows)
            moved = (rows["variant"] == "mixed_rand") & rows["id"].isin(ROWS["id"][:3])
            found[moved] = np.roll(found[moved], 2, axis=2)
            return found

    part = whole_part(honest())
    given = DATA.pixels
    part.work.data = replace(DATA, pixels=Moved(given.stacks, given.mask_stacks))
    found = no_grad(swapped, part, "mixed_rand")
    assert found.known.tolist() == [False] * 3 + [True] * (len(ROWS) - 3)
    assert torch.equal(found.images[:3], part.images[:3])


def test_images_without_a_mask_are_left_out():
    rows = ROWS.assign(mask=["", None, *ROWS["mask"][2:]])
    found = battery(honest(), "T3", "T4", "T7", rows=rows)
    for test, quantity in (("T3", "free_flip"), ("T4", "iou")):
        for condition in RENDERED:
            assert len(values(found, test, quantity, condition)) == len(ROWS) - 2
    assert len(values(found, "T4", "recall", "original")) == len(ROWS) - 2
    assert len(values(found, "T4", "area", "original")) == len(ROWS)
    assert len(values(found, "T7", "score", "true")) == len(ROWS) - 2
    assert not found.not_measured


def test_no_masks_at_all():
    found = battery(honest(), "T3", "T4", "T7", rows=ROWS.assign(mask=""))
    assert set(found.not_measured) == {"T3", "T4", "T7"}
    assert set(found.table["test"]) == {"T4", "T7"}
    t4 = found.table[found.table["test"] == "T4"]
    assert set(t4["quantity"]) == {"area", "self_iou"}
    assert set(found.selections["variant"]) == {"original"}


def test_selections_are_the_masks():
    found = battery(honest(), "T2")
    assert list(found.selections.columns) == ["id", "variant", "group", "y", "a_place", "mask"]
    table = found.selections.set_index("variant")
    for variant, masks in (
        ("original", PART.own_mask),
        ("mixed_rand", no_grad(swapped, PART, "mixed_rand").selection.mask.numpy()),
    ):
        packed = [
            np.frombuffer(bytes.fromhex(text), np.uint8) for text in table.loc[variant, "mask"]
        ]
        bits = np.unpackbits(np.stack(packed), axis=1)[:, : masks[0].size].astype(bool)
        np.testing.assert_array_equal(bits.reshape(masks.shape), masks)
