"""Random numbers that are the same on every machine and for every numpy version.

`numpy.random.Generator` methods may change between numpy releases; the raw stream of `PCG64` and
`SeedSequence` may not. All draws here are exact functions of that raw stream: integers, and
floats made by one multiplication with a power of two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Draws:
    """A stream of numbers for one purpose, addressed by integers.

    Args:
        address: Seed and purpose, for instance `(suite_seed, split, image)`.
    """

    def __init__(self, *address: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(address))

    def uniform(self, low: float, high: float, size: int) -> NDArray[np.float64]:
        """`size` floats in [low, high)."""
        unit = (self._bits.random_raw(size) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def one(self, low: float, high: float) -> float:
        """One float in [low, high)."""
        return float(self.uniform(low, high, 1)[0])

    def integer(self, stop: int) -> int:
        """One integer in [0, stop)."""
        return int(self.uniform(0.0, 1.0, 1)[0] * stop)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A permutation of 0..n-1 (argsort of 64-bit keys)."""
        return np.argsort(self._bits.random_raw(n), kind="stable").astype(np.int64)
