"""A part of a suite that is read from files: the same images on every machine, all groups in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ifambench.data.draws import Draws

_SEED = 20231
_SPLITS = ("train", "val", "test")


def draw_subset(
    rows: pd.DataFrame,
    counts: Mapping[str, int],
    groups_in: Callable[[str], Sequence[str]],
) -> pd.DataFrame:
    """Some images of each split, its groups in proportion.

    The images of a split stand in one drawn order, of which each group gives its first ones: the
    subset does not depend on the other splits, and almost all of a small one is in a larger one.

    Args:
        rows: Manifest rows in their fixed order.
        counts: Images per split.
        groups_in: Split -> its groups; each must have an image in it.

    Returns:
        The chosen rows in the order of `rows`, index reset.
    """
    chosen: list[int] = []
    for split, n in counts.items():
        part = rows[rows["split"] == split]
        order = Draws(_SEED, _SPLITS.index(split)).permutation(len(part))
        shuffled = part.iloc[order]
        groups = groups_in(split)
        sizes = [int((part["group"] == group).sum()) for group in groups]
        for group, share in zip(groups, apportion(sizes, n), strict=True):
            chosen += shuffled.index[shuffled["group"] == group][:share].tolist()
    return rows.loc[sorted(chosen)].reset_index(drop=True)


def apportion(sizes: Sequence[int], total: int) -> list[int]:
    """Divide a total in proportion to sizes; every part has 1 at least and its size at most.

    >>> apportion([818, 45, 15, 340], 100)
    [67, 4, 1, 28]
    """
    exact = [total * size / sum(sizes) for size in sizes]
    found = [1] * len(sizes)
    for _ in range(min(total, sum(sizes)) - len(sizes)):
        short = [
            want - have if have < size else float("-inf")
            for want, have, size in zip(exact, found, sizes, strict=True)
        ]
        found[short.index(max(short))] += 1
    return found
