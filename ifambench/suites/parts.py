"""What all sections of a suite file share: closed models, safe names, safe paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PureWindowsPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Split = Annotated[str, Field(pattern=r"^(train|val|test)$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]*$")]
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


def tag_by(key: str, default: str | None = None) -> Callable[[Any], str | None]:
    """What tells pydantic which class a section is: the value of one of its keys."""

    def tag(value: Any) -> str | None:
        found = value.get(key, default) if isinstance(value, dict) else getattr(value, key, None)
        return None if found is None else str(found).partition(":")[0]

    return tag
