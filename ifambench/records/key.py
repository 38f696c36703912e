"""Digests of plain data, for deciding whether a stored run can be reused."""

from __future__ import annotations

import hashlib
import json
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
