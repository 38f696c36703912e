"""Files found by the shape of their path, such as `train/{y}/{y}({context})/{name}.jpg`.

A field in braces stands for at least one character within one folder or file name; a field that
stands twice must be equal. Everything else is literal, brackets too. `y`, `split` and attributes
prefer the values that the suite file knows (`american_bulldog_7` is not of breed `american`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pandas as pd

from ifambench.data.readers.item import declared
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.suites.source import ImageFolder
from ifambench.suites.spec import Suite

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff")
_FIELD = re.compile(r"\{(\w+)\}")
_SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that are no text."""
LABEL_INDEX = "y_index"
"""A field that gives the class by its index among the labels, as `{y}` does by its name."""
_NEVER = ("__MACOSX", "Thumbs.db")
"""What systems leave in archives and folders; names with a dot in front are left out, too."""


@dataclass(frozen=True)
class Shape:
    """A pattern, ready to be compared with paths.

    Attributes:
        text: The pattern as it stands in the suite file.
        known: Field -> the values it may have, for fields that are coded.
    """

    text: str
    known: Mapping[str, Collection[str]]

    @property
    def fields(self) -> list[str]:
        """Names of the fields, in their order."""
        return list(dict.fromkeys(_FIELD.findall(self.text)))

    @property
    def fixed(self) -> str:
        """The folders before the first field."""
        folders = self.text.split("/")[:-1]
        first = next((k for k, name in enumerate(folders) if "{" in name), len(folders))
        return "/".join(folders[:first])

    def expressions(self) -> list[re.Pattern[str]]:
        """With the known values, and with any value."""
        known = {name: values for name, values in self.known.items() if values}
        return [re.compile(_expression(self.text, values)) for values in (known, {})]


def matches(shape: Shape, paths: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The paths of that shape, with the text of each field."""
    known, anything = shape.expressions()
    start = f"{shape.fixed}/" if shape.fixed else ""
    for path in paths:
        if path.startswith(start):
            found = known.fullmatch(path) or anything.fullmatch(path)
            if found is not None:
                yield path, found.groupdict()


def walk(root: Path, shapes: Sequence[Shape], exclude: Sequence[str] = ()) -> list[str]:
    """The files that could have one of these shapes, relative to `root`, sorted.

    Only the folders before the first fields are gone through, no deeper than the patterns are, so
    that links may lead anywhere.

    Args:
        root: Folder that the patterns are relative to.
        shapes: The patterns.
        exclude: Names of files and folders to leave out; `*` and `?` are wildcards.

    Raises:
        EnvironmentProblem: If a folder cannot be listed, or a file name is not UTF-8.
    """
    depth = max(shape.text.count("/") for shape in shapes)
    starts = {shape.fixed for shape in shapes}
    found: set[str] = set()
    for start in sorted(starts):
        if not any(start != other and _below(start, other) for other in starts):
            found.update(_files(root, start, depth, exclude))
    refuse_odd_names(found, root)
    return sorted(found)


def refuse_odd_names(paths: Iterable[str], folder: Path) -> None:
    """Raise an EnvironmentProblem for a file name that is no text: no table can hold it."""
    odd = next((path for path in paths if _SURROGATES.search(path)), None)
    if odd is not None:
        raise EnvironmentProblem(
            f"the file name {odd!r} is not UTF-8", where=str(folder), next_step="rename the file"
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the data: hidden, or left behind by a system."""
    return name.startswith(".") or name in _NEVER


def fill(template: str, fields: Mapping[str, str], where: str) -> str:
    """A template with the fields of a path, such as `{y}/{name}`.

    Raises:
        UsageError: If it names a field that the path does not have.
    """
    missing = [name for name in _FIELD.findall(template) if name not in fields]
    if missing:
        raise UsageError(
            f'"{template}" names the field "{missing[0]}", which the pattern does not have',
            where=where,
            choices=list(fields),
        )
    return _FIELD.sub(lambda field: fields[field[1]], template)


def item_id(template: str, path: str, fields: Mapping[str, str]) -> str:
    """The id of an image: by the template, else its path without the suffix."""
    if template:
        return fill(template, fields, "source.id")
    return str(PurePosixPath(path).with_suffix(""))


def codings_of(suite: Suite) -> dict[str, dict[str, str]]:
    """For `y`, its index, `split` and each attribute: text in a path -> declared name."""
    names = {"y": suite.labels, "split": list(suite.splits)}
    names |= {name: item.values for name, item in suite.attributes.items()}
    given = suite.source.codings if isinstance(suite.source, ImageFolder) else {}
    codings = {name: given.get(name) or {value: value for value in names[name]} for name in names}
    return codings | {LABEL_INDEX: {str(k): label for k, label in enumerate(suite.labels)}}


def decoded(
    suite_codings: Mapping[str, Mapping[str, str]], fields: Mapping[str, str], where: str
) -> dict[str, str]:
    """The declared names of the fields that are coded; other fields only tell images apart.

    Raises:
        EnvironmentProblem: If a value is not declared; names the path.
    """
    known = {name: text for name, text in fields.items() if name in suite_codings}
    labels = ("y", LABEL_INDEX)
    return {
        "y" if name in labels else name: declared(
            "label" if name in labels else name, text, suite_codings[name], "the path", where
        )
        for name, text in known.items()
    }


def match_files(suite: Suite, folder: Path, pattern: str) -> pd.DataFrame:
    """The files of a variant, found as the reader `image_folder` finds images.

    Args:
        suite: A suite; its codings, `id` and `exclude` are used where its reader has them.
        folder: What the pattern and the resulting paths are relative to.
        pattern: `FilesVariant.path`, with fields in braces.

    Returns:
        One row per file, sorted by path: `id`, `path`, and as far as the pattern tells them, else
        "", the declared names `label`, `split` and `a_<attribute>...`. The id is made by
        `source.id`; without it, it is the field `id` of the pattern, else the path without suffix.

    Raises:
        EnvironmentProblem: If no file matches, an id is there twice or a value is not declared.
    """
    codings = codings_of(suite)
    shape = Shape(pattern, codings)
    source = suite.source if isinstance(suite.source, ImageFolder) else None
    template = source.id if source and source.id else "{id}" * ("id" in shape.fields)
    rows = []
    for path, fields in matches(shape, walk(folder, [shape], source.exclude if source else ())):
        names = decoded(codings, fields, str(folder / path))
        read = {"label": names.get("y", ""), "split": names.get("split", "")}
        read |= {f"a_{name}": names.get(name, "") for name in suite.attributes}
        rows.append({"id": item_id(template, path, fields), "path": path, **read})
    if not rows:
        raise no_file(pattern, folder)
    frame = pd.DataFrame(rows)
    twice = frame[frame["id"].duplicated()]
    if len(twice):
        raise EnvironmentProblem(
            f"the id {twice.iloc[0]['id']} is there twice",
            where=str(folder / twice.iloc[0]["path"]),
        )
    return frame


def no_file(pattern: str, folder: Path) -> EnvironmentProblem:
    """The error for a pattern that no file has."""
    return EnvironmentProblem(
        f'no file is of the form "{pattern}"',
        where=str(folder),
        next_step="unpack the data again, or correct the pattern in the suite file",
    )


def _expression(text: str, known: Mapping[str, Collection[str]]) -> str:
    """The regular expression; a pattern that ends in a field takes any suffix of an image."""
    seen: set[str] = set()
    parts = []
    for k, piece in enumerate(_FIELD.split(text)):
        if k % 2 == 0:
            parts.append(re.escape(piece))
        elif piece in seen:
            parts.append(f"(?P={piece})")
        else:
            seen.add(piece)
            parts.append(f"(?P<{piece}>{_values(known.get(piece))})")
    if text.endswith("}"):
        parts.append(rf"(?i:\.(?:{'|'.join(IMAGE_SUFFIXES)}))")
    return "".join(parts)


def _values(known: Collection[str] | None) -> str:
    if known is None:
        return "[^/]+?"
    return "|".join(re.escape(value) for value in sorted(known, key=len, reverse=True))


def _below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _files(root: Path, start: str, depth: int, exclude: Sequence[str]) -> Iterator[str]:
    below = root / start
    if not below.is_dir():
        return
    try:
        entries = list(os.scandir(below))
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot list the folder: {error.strerror}", where=str(below)
        ) from error
    for entry in entries:
        if is_hidden(entry.name) or any(fnmatchcase(entry.name, name) for name in exclude):
            continue
        path = f"{start}/{entry.name}" if start else entry.name
        if not entry.is_dir():
            yield path
        elif path.count("/") <= depth:
            yield from _files(root, path, depth, exclude)
