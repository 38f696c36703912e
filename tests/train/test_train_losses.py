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


@pytest.mark.parametrize(
    ("features", "ours", "official"),
    [
        (torch.eye(768)[:, :9], 0.0, 0.110),  # K = 8: orthonormal parts
        (torch.ones(768, 9), 0.889, 0.999),  # equal parts
    ],
)
def test_orthogonality_as_the_published_code_computes_it(features, ours, official):
    if ours == 0.0:  # turned, so that no dimension is alone
        turn, _ = torch.linalg.qr(torch.randn(768, 768, generator=torch.Generator().manual_seed(0)))
        features = turn @ features
    assert losses.orthogonality(features[None]).item() == pytest.approx(ours, abs=5e-4)
    assert losses.official_orthogonality(features[None]).item() == pytest.approx(official, abs=1e-3)


def test_enforced_presence_weighs_by_the_squared_distance_to_the_centre():
    maps = torch.full((1, 2, 5, 5), 0.5)
    assert losses.enforced_presence(maps).item() == pytest.approx(-math.log(0.5))  # the corners
    maps = torch.zeros(1, 2, 5, 5)
    maps[:, 1, 0:3, 1:4] = 0.8  # weight 1 / 2 for all of it, 1 for the 6 of 9 patches in a corner
    assert losses.enforced_presence(maps).item() == pytest.approx(-math.log(0.8 * 6 / 9))
    maps[:, 1, 0:3, 1:4] = 0
    maps[:, 1, 1:4, 1:4] = 0.8  # weight 0 for all of it, 1 / 2 for 6 patches, 1 for 4
    assert losses.enforced_presence(maps).item() == pytest.approx(-math.log(0.8 * 4 / 9))


def test_enforced_presence_has_a_finite_gradient_without_background():
    maps = torch.zeros(1, 2, 5, 5, requires_grad=True)
    losses.enforced_presence(maps).backward()
    assert torch.isfinite(maps.grad).all()


def test_total_variation_is_per_patch_and_image():
    torch.manual_seed(0)
    maps = torch.rand(2, 3, 4, 6)
    down, right = maps.diff(dim=2).abs().sum(), maps.diff(dim=3).abs().sum()
    expected = ((down + right) / (2 * 4 * 6)).item()
    assert losses.total_variation(maps).item() == pytest.approx(expected)


def test_equivariance_is_the_mean_over_parts_and_images():
    maps = torch.zeros(1, 3, 1, 4)
    maps[0, 0] = torch.tensor([1.0, 0, 0, 0])
    maps[0, 1] = torch.tensor([1.0, 1, 0, 0])
    other = torch.ones(1, 3, 1, 4)  # cosines 1 / 2 and 1 / sqrt(2); the background does not count
    expected = 1 - (0.5 + 0.5**0.5) / 2
    assert losses.equivariance(maps, other).item() == pytest.approx(expected)


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
