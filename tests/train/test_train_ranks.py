"""One process shares with nobody: everything is the identity."""

import pytest
import torch

from ifambench.train.ranks import Ranks, all_max, all_mean, all_sum, current_ranks, drawn, gather


def test_alone_nothing_is_copied_or_drawn_twice():
    x = torch.randn(3, requires_grad=True)
    assert current_ranks() == Ranks()
    assert all_sum(x) is all_mean(x) is all_max(x) is x
    assert torch.equal(gather(x), x[None])
    torch.manual_seed(0)
    found, after = drawn(4, lambda n: torch.rand(n, 2)), torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(found, torch.rand(4, 2))
    assert torch.equal(after, torch.rand(1))


def test_shards_are_contiguous_and_cover_the_batch():
    whole = torch.arange(12)
    parts = [Ranks(rank, 3).shard(whole) for rank in range(3)]
    assert torch.equal(torch.cat(parts), whole)
    assert Ranks(1, 3).rows(4) == 12
    assert [Ranks(rank, 2).is_first for rank in range(2)] == [True, False]
    with pytest.raises(ValueError, match="do not divide"):
        Ranks(0, 5).shard(whole)
