"""The flat list of (image, patches left): its sets, their names and its batches."""

import numpy as np
import pytest
import torch

from ifambench.explain.ranking import Orders
from ifambench.explain.work_items import Places, chunks, items_of

CPU = torch.device("cpu")


def every_place(orders: Orders) -> Places:
    rows, n = orders.ranks.shape
    row, k, kind = np.meshgrid(np.arange(rows), np.arange(n + 1), [False, True], indexing="ij")
    return Places(row.ravel(), k.ravel(), kind.ravel())


def some_orders() -> Orders:
    """Four orders of two images; two of them agree on the first three patches."""
    ranks = np.array(
        [[0, 1, 2, 3, 4, 5], [2, 0, 1, 5, 4, 3], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]]
    )
    return Orders(ranks, np.array([0, 0, 0, 1]))


@pytest.fixture(params=[None, [[1, 1, 0, 1, 0, 1], [0, 0, 1, 1, 1, 1]]])
def allowed(request: pytest.FixtureRequest):
    return None if request.param is None else np.array(request.param, bool)


def sets_by_definition(orders: Orders, places: Places, allowed) -> list[tuple]:
    found = []
    for row, k, inserted in zip(*places, strict=True):
        first = set(np.argsort(orders.ranks[row])[:k].tolist())
        kept = first if inserted else set(range(orders.ranks.shape[1])) - first
        image = int(orders.image[row])
        if allowed is not None:
            kept &= set(np.flatnonzero(allowed[image]).tolist())
        found.append((image, frozenset(kept)))
    return found


def test_sets_are_those_of_the_definition(allowed) -> None:
    orders = some_orders()
    places = every_place(orders)
    items = items_of(orders, places, 2, allowed)
    expected = sets_by_definition(orders, places, allowed)
    assert items.image.tolist() == [image for image, _ in expected]
    assert items.count.tolist() == [len(kept) for _, kept in expected]
    shuffled = np.random.default_rng(0).permutation(len(expected))
    keep = items.maker(shuffled, CPU).make(slice(0, len(expected)))
    found = [frozenset(np.flatnonzero(row).tolist()) for row in keep.numpy()]
    assert found == [expected[k][1] for k in shuffled]


def test_equal_sets_of_an_image_and_no_others_have_one_name(allowed) -> None:
    orders = some_orders()
    places = every_place(orders)
    names = items_of(orders, places, 2, allowed).names
    expected = sets_by_definition(orders, places, allowed)
    same = names[:, None] == names[None]
    assert (same == [[one == two for two in expected] for one in expected]).all()
    assert 2 < len(np.unique(names)) == len(set(expected)) < len(names)


def test_names_do_not_depend_on_the_other_orders() -> None:
    orders = some_orders()
    alone = Orders(orders.ranks[1:2], orders.image[1:2])
    whole = items_of(orders, every_place(orders), 2)
    part = items_of(alone, every_place(alone), 2)
    assert (whole.names[whole.places.row == 1] == part.names).all()


def test_batches_fit_the_budget_and_miss_nothing() -> None:
    count = np.sort(np.random.default_rng(0).integers(0, 9, 200))
    cost = [1 + k for k in range(9)]
    for budget in (1, 9, 40, 10_000):
        seen = []
        for part, k in chunks(count, cost, budget, equal=True):
            seen += range(part.start, part.stop)
            assert (count[part] == k).all()
            size = part.stop - part.start
            assert size == 1 or size * cost[k] <= budget
        assert seen == list(range(200))


def test_sets_of_one_cost_need_not_be_equal() -> None:
    count = np.array([3, 0, 2, 1, 3])
    found = [part for part, _ in chunks(count, [17] * 4, 40, equal=False)]
    assert [(part.start, part.stop) for part in found] == [(0, 2), (2, 4), (4, 5)]
    assert not list(chunks(count[:0], [17] * 4, 40, equal=False))
    assert not list(chunks(count[:0], [17] * 4, 40, equal=True))
