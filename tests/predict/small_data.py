"""A few images with round objects, as a suite's data."""

import numpy as np
import pandas as pd

from ifambench.data.generated import MemoryPixels
from ifambench.data.manifest import SuiteData
from ifambench.suites.catalog import load_suite
from tests.models.small_models import SIDE


def small_data(n: int = 12) -> SuiteData:
    suite = load_suite("waterdigits").suite
    rng = np.random.default_rng(0)
    ids = [f"test-{k:05d}" for k in range(n)]
    rows = pd.DataFrame(
        {
            "id": np.tile(ids, 2),
            "path": "generated",
            "split": "test",
            "y": np.tile(np.arange(n) % 4 // 2, 2),
            "group": np.tile([suite.groups.names[k % 4] for k in range(n)], 2),
            "a_place": np.tile(["land", "water"] * (n // 2), 2),
            "mask": "generated",
            "variant": np.repeat(["original", "mixed_rand"], n),
        }
    )
    stacks = {
        ("test", name): rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
        for name in ("original", "mixed_rand")
    }
    centres = rng.uniform(10, SIDE - 10, (n, 2, 1, 1))
    away = np.hypot(*(np.indices((1, SIDE, SIDE))[1:] - centres.transpose(1, 0, 2, 3)))
    return SuiteData(suite, rows, MemoryPixels(stacks, {"test": away < 9}), "digest", "default")
