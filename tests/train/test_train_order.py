"""Which images make up a batch, on which process and in which pass."""

import pytest
import torch

from ifambench.errors import UsageError
from ifambench.train.order import check_batch, epoch_order, passes
from ifambench.train.ranks import Ranks
from ifambench.train.recipes import Recipe


def test_weights_decide_how_often_an_image_is_drawn():
    torch.manual_seed(0)
    weights = torch.tensor([1.0] * 50 + [3.0] * 50)
    drawn = torch.cat(epoch_order(100, 10, weights))
    assert 60 <= (drawn >= 50).sum() <= 90


@pytest.mark.parametrize(("accumulate", "world"), [(1, 1), (1, 2), (2, 1), (2, 3)])
def test_passes_and_processes_share_a_batch_without_overlap(accumulate, world):
    batch = torch.randperm(24)
    parts = [passes(batch, accumulate, Ranks(rank, world)) for rank in range(world)]
    assert all(len(part) == accumulate for part in parts)
    together = [torch.cat([part[number] for part in parts]) for number in range(accumulate)]
    assert torch.equal(torch.cat(together), batch)


def test_what_does_not_divide_is_left_out_of_a_batch_of_a_small_split():
    parts = [passes(torch.arange(11), 2, Ranks(rank, 2)) for rank in range(2)]
    assert [[len(one) for one in part] for part in parts] == [[2, 2], [2, 2]]


def test_too_few_images_are_refused():
    with pytest.raises(UsageError, match="3 training images do not suffice for 4 processes"):
        check_batch(Recipe(batch_size=8), 3, 4)
