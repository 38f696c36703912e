"""Suites made in a test, and files on disk for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ifambench.suites.spec import Suite


def file_suite(
    source: dict[str, Any],
    labels: list[str],
    splits: dict[str, int] | None = None,
    by: list[str] | None = None,
    attributes: dict[str, list[str]] | None = None,
    **more: Any,
) -> Suite:
    """A suite with this `[source]`; groups are the labels unless `by` says otherwise."""
    splits = splits or {"train": 0, "test": 0}
    content = {
        "schema": 1,
        "id": "mini",
        "version": "1.0.0",
        "title": "Miniature",
        "summary": "made in a test",
        "kind": "group_shift",
        "licence": "CC0",
        "image_size": 16,
        "labels": labels,
        "attributes": {name: {"values": values} for name, values in (attributes or {}).items()},
        "groups": {"by": ["y"] if by is None else by},
        "source": {"folders": ["mini"], **source},
        "splits": splits,
        "protocol": {
            "standard": {
                "selection": "last" if "train" in splits else "none",
                "variants": ["original"],
                "explain": {"images": 0, "steps": 4},
            }
        },
        **more,
    }
    return Suite.model_validate(content)


def write_image(
    path: Path, size: tuple[int, int] = (8, 6), mode: str = "RGB", value: int = 9
) -> None:
    """A picture of one colour; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
