import numpy as np
import pytest
import torch

from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.ranking import TIE_DRAWS, expected_orders, patch_orders, tied_patches
from tests.explain.toy_models import Function

IDS = ["a", "b", "c"]


def test_descending_signed_relevance() -> None:
    relevance = np.array([[[0.5, -2.0], [3.0, 0.0]]], np.float32)
    orders = patch_orders(relevance, ["a"])
    assert orders.ranks.tolist() == [[1, 3, 0, 2]]
    assert orders.image.tolist() == [0]


def test_number_of_tied_patches() -> None:
    maps = np.array([[[0, 1], [2, 3]], [[1, 1], [2, 3]], [[0, 0], [5, 5]], [[-0.0, 0], [0, 0]]])
    assert tied_patches(maps.astype(np.float32)).tolist() == [0, 2, 4, 4]


def test_many_ties_are_averaged() -> None:
    maps = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
    maps[1, 0, :3] = 99  # 3 of 16 tie: one order
    maps[2, 0, :] = 99  # 4 of 16 tie: several
    orders = patch_orders(maps, IDS)
    assert np.bincount(orders.image).tolist() == [1, 1, TIE_DRAWS]
    assert (np.sort(orders.ranks, axis=1) == np.arange(16)).all()
    tied = orders.ranks[2:, :4]
    assert (np.sort(tied, axis=1) == np.arange(4)).all()
    assert len({tuple(row) for row in tied.tolist()}) > 1


def test_ties_belong_to_the_image_not_to_its_place() -> None:
    maps = np.zeros((3, 4, 4), np.float32)
    whole = patch_orders(maps, IDS)
    alone = patch_orders(maps[:1], ["b"])
    assert (whole.ranks[whole.image == 1] == alone.ranks).all()
    assert not (whole.ranks[whole.image == 0] == alone.ranks).all()


@pytest.mark.parametrize("grid", [(14, 14), (7, 7), (4, 6), (1, 2)])
@pytest.mark.parametrize("name", ["center", "uniform", "random"])
def test_orders_that_are_expected_of_controls_are_measured(
    name: str, grid: tuple[int, int]
) -> None:
    model = Function(None)
    model.patch_grid = grid
    images, targets = torch.zeros(3, 3, 8, 8), torch.zeros(3, dtype=torch.long)
    maps = relevance_of(name, model, images, targets, ExplainContext(IDS)).numpy()
    found = np.bincount(patch_orders(maps, IDS).image)
    assert found.tolist() == [expected_orders(name, model.capabilities)] * 3


def test_ties_do_not_follow_the_raster() -> None:
    ids = [f"image-{k}" for k in range(400)]
    ranks = patch_orders(np.zeros((400, 4, 4), np.float32), ids).ranks
    assert abs(ranks[:, 0].mean() - 7.5) < 0.5
    assert abs(ranks[:, -1].mean() - 7.5) < 0.5
