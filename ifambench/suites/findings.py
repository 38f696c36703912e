"""What pydantic finds wrong in a suite file, in the words of its author: file, key, choices."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_UNIONS = {"source": ("reader", 1), "variant": ("kind", 2)}
"""Section -> the key that chooses its class, and where pydantic puts the choice into the path."""


def findings(file: str, error: ValidationError) -> list[str]:
    """One line per invalid entry: `suite.toml:source.images: must be a relative path`."""
    return [f"{file}:{_key(found) or '(file)'}: {_text(found)}" for found in error.errors()]


def _key(found: ErrorDetails) -> str:
    """The key as it stands in the file: without the class that a section was read as."""
    parts = [part for part in found["loc"] if part != "[key]"]
    chooser, place = _UNIONS.get(str(parts[0]) if parts else "", ("", 0))
    if found["type"] in ("union_tag_invalid", "union_tag_not_found"):
        parts.append(chooser)
    elif place and len(parts) > place:
        del parts[place]
    return ".".join(map(str, parts))


def _text(found: ErrorDetails) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        return "unknown key"
    if kind in ("missing", "union_tag_not_found"):
        return "is missing"
    if kind == "union_tag_invalid":
        choices = [name.strip().strip("'") for name in str(context["expected_tags"]).split(",")]
        return unknown(str(context["tag"]), choices)
    return found["msg"].removeprefix("Value error, ")


def unknown(name: str, choices: Iterable[str]) -> str:
    """That a name is not one of the choices, with the nearest one.

    >>> unknown("fils", ["files", "ablation"])
    "'fils' is not known (did you mean files?); valid: files, ablation"
    """
    valid = list(choices)
    close = difflib.get_close_matches(name, valid, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{name!r} is not known{hint}; valid: {', '.join(valid)}"
