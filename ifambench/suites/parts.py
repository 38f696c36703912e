"""What all sections of a suite file share: closed models, safe names, safe paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PureWindowsPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Split = Annotated[str, Field(pattern=r"^(train|val|test)$")]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._+-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that is safe as part of a path."""
Column = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
"""Name of an attribute, a part of column names and a field of path patterns."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Closed(BaseModel):
    """A section in which unknown keys are errors and which does not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def is_inside(path: str) -> bool:
    """Whether a path is relative and stays below the folder it is relative to.

    >>> is_inside("birds/1.jpg"), is_inside("../1.jpg"), is_inside("/1.jpg")
    (True, False, False)
    """
    parsed = PureWindowsPath(path)  # reads both kinds of slashes, and drives
    return not parsed.anchor and ".." not in parsed.parts


def _inside(path: str) -> str:
    if not is_inside(path):
        raise ValueError("must be a relative path without '..'")
    if not path.isprintable():
        raise ValueError("must not hold control characters")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A path below a folder; empty for the folder itself."""


_FIELD = re.compile(r"\{([^{}/]*)\}")
_MOST_FURTHER = 4
"""Fields besides the first of a folder or file name: each multiplies the ways to compare."""


def fields_of(pattern: str) -> list[str]:
    """Names of the fields in braces, in their order, each as often as it stands there."""
    return _FIELD.findall(pattern)


def _pattern(pattern: str) -> str:
    """Refuse what cannot be compared with paths in a reasonable time, or at all."""
    odd = [name for name in fields_of(pattern) if not name.isidentifier()]
    if odd:
        raise ValueError(f"a field cannot be called {odd[0]!r}")
    if "}{" in pattern:
        raise ValueError("two fields must have something between them")
    further = [max(0, len(fields_of(name)) - 1) for name in pattern.split("/")]
    if sum(further) > _MOST_FURTHER:
        raise ValueError("there are too many fields within the same folder or file names")
    return pattern


PathPattern = Annotated[Inside, AfterValidator(_pattern)]
"""A path below a folder with fields in braces."""


def tag_by(key: str, default: str | None = None) -> Callable[[Any], str | None]:
    """What tells pydantic which class a section is: the value of one of its keys."""

    def tag(value: Any) -> str | None:
        found = value.get(key, default) if isinstance(value, dict) else getattr(value, key, None)
        return None if found is None else str(found).partition(":")[0]

    return tag
