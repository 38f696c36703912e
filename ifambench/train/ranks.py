"""The ranks of a parallel training, see `ifambench.models.ranks` (models draw noise too)."""

from ifambench.models.ranks import (
    Ranks,
    all_max,
    all_mean,
    all_sum,
    current_ranks,
    drawn,
    gather,
)

__all__ = ["Ranks", "all_max", "all_mean", "all_sum", "current_ranks", "drawn", "gather"]
