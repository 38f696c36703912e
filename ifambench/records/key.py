"""Digests of plain data, for deciding whether a stored run can be reused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any


def digest(obj: Any) -> str:
    """sha256 of the canonical JSON of `obj` (sorted keys, no blanks, UTF-8), in hexadecimal.

    >>> digest({"b": 1, "a": [1.5, None]}) == digest({"a": [1.5, None], "b": 1})
    True

    Raises:
        TypeError: If `obj` is not plain JSON data.
        ValueError: If it contains NaN or an infinity.
    """
    text = json.dumps(
        obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@cache
def code_digest(packages: Sequence[str]) -> str:
    """sha256 of the source files of some sub-packages of ifambench.

    >>> code_digest(("data",)) == code_digest(("data", "train"))
    False
    """
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()
