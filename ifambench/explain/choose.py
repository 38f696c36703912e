"""Which images are explained: the same for every model, evenly over the groups."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ifambench.explain.base import stable_hash


def choose_images(rows: pd.DataFrame, n: int, groups: Sequence[str], seed: int) -> pd.DataFrame:
    """A seeded sample of n images, as evenly over the groups as their sizes allow.

    Each image has a place in its group that depends on its id and the seed alone, so a larger
    sample contains the smaller one.

    Args:
        rows: Manifest rows of one split and variant.
        n: Number of images; all of them if there are fewer.
        groups: The groups to draw from, in suite order.
        seed: Seed of the sample.

    Returns:
        The chosen rows by id, index reset.
    """
    order = {name: place for place, name in enumerate(groups)}
    known = rows[rows["group"].isin(list(order))]
    known = known.assign(_key=[stable_hash("images", seed, name) for name in known["id"]])
    known = known.sort_values(["_key", "id"])
    # one image of each group in turn: all first places, then all second places, ...
    turn = known.groupby("group").cumcount()
    known = known.assign(_turn=turn, _group=known["group"].map(order))
    chosen = known.sort_values(["_turn", "_group"]).head(n).sort_values("id", ignore_index=True)
    return chosen[list(rows.columns)]
