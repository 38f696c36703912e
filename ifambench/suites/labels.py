"""Class names: listed in the suite file, or one of the long lists that many suites share.

`labels = "imagenet-1k"` stands for the 1,000 WordNet ids in the order of the classifiers' outputs,
as timm ships them; the file is found without importing timm. `labels = "cub-200"` stands for the
200 species of CUB, a file beside this one.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

IMAGENET = "imagenet-1k"
_OWN = Path(__file__).with_name("label_sets")


def label_sets() -> list[str]:
    """Names of the lists."""
    return sorted([IMAGENET, *(path.stem for path in _OWN.glob("*.txt"))])


@cache
def label_set(name: str) -> tuple[str, ...]:
    """The class names of a list, in the order of the class indices.

    Raises:
        ValueError: If there is no such list.
    """
    if name not in label_sets():
        raise ValueError(f"no list of labels is called {name!r}; there are {label_sets()}")
    path = _imagenet_file() if name == IMAGENET else _OWN / f"{name}.txt"
    return tuple(path.read_text(encoding="utf-8").split())


def _imagenet_file() -> Path:
    spec = importlib.util.find_spec("timm")  # finds a top-level package without importing it
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / "_info" / "imagenet_synsets.txt"
