import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.pick import check_keep_fraction, otsu, pick_patches


def relevance(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, 4, generator=torch.Generator().manual_seed(seed))


def best_cut(values: list[float]) -> set[float]:
    """The upper class of Otsu's threshold, by trying every cut between different values."""
    found: dict[float, float] = {}
    for threshold in sorted(set(values))[1:]:
        low = [v for v in values if v < threshold]
        high = [v for v in values if v >= threshold]
        gap = sum(high) / len(high) - sum(low) / len(low)
        found[threshold] = len(low) * len(high) * gap**2
    best = max(found, key=lambda threshold: found[threshold])
    return {v for v in values if v >= best}


@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "tied"])
def test_otsu_is_the_best_of_all_cuts(rounded: bool) -> None:
    maps = relevance(20)
    maps = maps.round(decimals=1) if rounded else maps
    for one in maps:
        kept = one[pick_patches(one[None])[0]]
        assert set(kept.tolist()) == best_cut(one.flatten().double().tolist())


def test_otsu_separates_two_clusters() -> None:
    values = torch.tensor([[0.0, 0.1, 0.2, 5.0, 5.1, 0.1]], dtype=torch.float64)
    assert otsu(values).item() == 5.0


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_of_a_constant_map_every_patch_is_kept(fraction: float) -> None:
    for value in (0.0, -3.5):
        assert pick_patches(torch.full((2, 4, 4), value), fraction).all()


@pytest.mark.parametrize(
    ("fraction", "kept"), [(1e-9, 1), (0.25, 4), (0.3, 5), (0.99, 16), (1, 16)]
)
def test_the_share_is_rounded_and_at_least_one_patch(fraction: float, kept: int) -> None:
    mask = pick_patches(relevance(), fraction)
    assert mask.flatten(1).sum(1).tolist() == [kept] * 6
    lowest = torch.where(mask, relevance(), torch.inf).flatten(1).amin(1)
    highest_left = torch.where(mask, -torch.inf, relevance()).flatten(1).amax(1)
    assert (lowest > highest_left).all()


def test_equal_values_stay_together() -> None:
    maps = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]])
    assert pick_patches(maps, 0.25).sum() == 1
    assert pick_patches(maps, 0.5).sum() == 4


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_independent_of_the_batch_and_the_scale(fraction: float) -> None:
    together = pick_patches(relevance(), fraction)
    alone = torch.cat([pick_patches(one[None], fraction) for one in relevance()])
    assert torch.equal(together, alone)
    assert torch.equal(together, pick_patches(4 * relevance() - 8, fraction))


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_refuses_what_is_no_fraction(fraction: float) -> None:
    with pytest.raises(UsageError, match="keep_fraction"):
        check_keep_fraction(fraction)
