"""Batches are read when they are needed."""

from dataclasses import replace

import pytest
import torch

from ifambench.data.load import load_data
from ifambench.models.catalog import build_model, choose_model
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite

CPU = torch.device("cpu")


class Counting:
    """Pixels that note which rows were read."""

    def __init__(self, pixels):
        self.pixels, self.read = pixels, []

    def images(self, rows):
        self.read.append(len(rows))
        return self.pixels.images(rows)

    def masks(self, rows):
        return self.pixels.masks(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


def set_of(data, name="vit-micro", **more):
    model = build_model(choose_model(name), data.suite, {})
    return train_set(data, "train", model, CPU, **more)


def test_nothing_is_read_before_a_batch_is_asked_for(data):
    counting = Counting(data.pixels)
    found = set_of(replace(data, pixels=counting))
    assert counting.read == []
    assert len(found) == 160
    batches = found.in_order(50)
    next(batches)
    batches.close()
    assert 1 <= len(counting.read) <= 3


def test_batches_are_the_rows_asked_for(data):
    found = set_of(data)
    index = torch.tensor([5, 0, 159, 5])
    batch = next(iter(found.batches([index])))
    rows = data.rows("train").iloc[index.numpy()]
    expected = found.model.data_config.normalise(data.pixels.images(rows))
    assert torch.equal(batch.images, expected)
    assert batch.y.tolist() == rows["y"].tolist()
    names = data.suite.groups.names
    assert [names[g] for g in batch.group] == rows["group"].tolist()
    assert batch.keep is None
    assert torch.equal(torch.cat([b.y for b in found.in_order(64)]), found.y)


def test_true_masks_come_as_patches_and_where_they_move_as_pixels_too(data):
    index = torch.arange(6)
    still = set_of(data, "oracle-vit-micro").batch(index)
    moving = set_of(data, "oracle-vit-micro", moving_masks=True).batch(index)
    assert still.keep.shape == (6, 8, 8)
    assert still.pixel_masks is None
    assert moving.pixel_masks.shape == (6, 64, 64)
    assert torch.equal(moving.keep, still.keep)
    assert set_of(data, moving_masks=True).batch(index).pixel_masks is None
