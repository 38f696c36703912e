"""Suite files written by programs: plain values as TOML text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(content: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """Nested dicts, lists, texts, numbers and booleans as TOML; None and empty tables are left out.

    Args:
        content: What the file says.
        comments: Dotted key or section -> lines that stand before it.

    >>> print(toml_text({"a": 1, "b": {"c d": ["x"]}, "e": [{"f": True}]}, {"b": "why"}))
    a = 1
    <BLANKLINE>
    # why
    [b]
    "c d" = ["x"]
    <BLANKLINE>
    [[e]]
    f = true
    <BLANKLINE>
    """
    return "\n".join(_lines((), content, dict(comments or {}))).lstrip("\n") + "\n"


def _lines(
    path: tuple[str, ...], table: Mapping[str, Any], comments: dict[str, str]
) -> Iterator[str]:
    """Plain values first: what follows a header belongs to it."""
    plain = {key: value for key, value in table.items() if not _is_table(value)}
    for key, value in plain.items():
        if value is not None:
            yield from _comment((*path, key), comments)
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, Mapping) and value:
            if any(not _is_table(item) for item in value.values()):
                yield from ["", *_comment(here, comments), f"[{_header(here)}]"]
            yield from _lines(here, value, comments)
        elif key not in plain:
            for item in value:
                yield from ["", *_comment(here, comments), f"[[{_header(here)}]]"]
                yield from _lines(here, item, comments)


def _comment(path: tuple[str, ...], comments: dict[str, str]) -> list[str]:
    """The comment before a key or section, once."""
    return [f"# {line}".rstrip() for line in comments.pop(".".join(path), "").splitlines()]


def _is_table(value: Any) -> bool:
    listed = isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
    return isinstance(value, Mapping) or listed


def _header(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
