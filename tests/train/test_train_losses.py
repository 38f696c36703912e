"""Every loss of stage 1 against its closed form."""

import math

import pytest
import torch

from ifambench.train import losses


def one_hot(index: torch.Tensor, channels: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(index, channels).permute(0, 3, 1, 2).float()


@pytest.fixture
def background_with_object() -> torch.Tensor:
    """(2, 3, 8, 8): part 0 in a 3 x 3 square, part 1 in another, background elsewhere."""
    index = torch.full((2, 8, 8), 2)
    index[:, 2:5, 2:5] = 0
    index[:, 5:8, 4:7] = 1
    return one_hot(index, 3)


def test_presence_is_zero_when_every_part_fills_a_3x3_window_somewhere(background_with_object):
    assert losses.presence(background_with_object) == pytest.approx(0.0)


def test_presence_needs_every_part_but_not_in_every_image(background_with_object):
    only_first = background_with_object.clone()
    only_first[1, :2] = 0
    assert losses.presence(only_first) == pytest.approx(0.0)
    only_first[:, 1] = 0
    assert losses.presence(only_first) == pytest.approx(0.5)


def test_enforced_presence_is_zero_with_background_in_a_corner_and_large_without():
    index = torch.zeros(1, 8, 8, dtype=torch.long)
    index[:, :3, :3] = 1
    assert losses.enforced_presence(one_hot(index, 2)) == pytest.approx(0.0, abs=1e-6)
    assert losses.enforced_presence(one_hot(torch.zeros_like(index), 2)) > 10


def test_total_variation_counts_borders():
    index = torch.zeros(1, 4, 4, dtype=torch.long)
    index[:, :, 2:] = 1  # one vertical border of 4 patches, seen in both channels
    assert losses.total_variation(one_hot(index, 2)) == pytest.approx(4 * 2 / 16)
    assert losses.total_variation(one_hot(torch.zeros_like(index), 2)) == 0


def test_entropy_of_uniform_and_of_certain_maps():
    assert losses.entropy(torch.full((2, 5, 3, 3), 0.2)) == pytest.approx(math.log(5))
    assert losses.entropy(one_hot(torch.zeros(2, 3, 3, dtype=torch.long), 5)) == pytest.approx(0)


def test_orthogonality_is_between_parts():
    orthonormal = torch.eye(8)[:, :5].expand(3, 8, 5)
    identical = torch.ones(3, 8, 5)
    assert losses.orthogonality(orthonormal) == pytest.approx(0.0, abs=1e-7)
    assert losses.orthogonality(identical) == pytest.approx((25 - 5) / 25)


def test_equivariance_of_equal_and_of_disjoint_maps(background_with_object):
    assert losses.equivariance(background_with_object, background_with_object) == pytest.approx(
        0, abs=1e-6
    )
    swapped = background_with_object[:, [1, 0, 2]]
    assert losses.equivariance(background_with_object, swapped) == pytest.approx(1)


def test_rim_is_the_foreground_share_of_the_outer_ring(background_with_object):
    ring = 4 * 7
    assert losses.rim(background_with_object) == pytest.approx(3 / ring)
    assert losses.rim(one_hot(torch.zeros(1, 8, 8, dtype=torch.long), 3)) == pytest.approx(1)
