"""Which column of a table is the image, the label, an attribute, the split, the id."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from ifambench.data.draft.parts import MAX_LABELS, Asked, is_image, split_names
from ifambench.errors import UsageError

Columns = Mapping[str, Sequence[str]]
"""Column -> its cells."""

_IMAGE: tuple[str, ...] = (
    "img_filename",
    "filename",
    "file_name",
    "file",
    "path",
    "filepath",
    "file_path",
)
_IMAGE += ("image", "image_path", "img_path", "img", "image_file")
_LABEL = ("y", "label", "class", "target", "category", "species", "class_name", "labels")
_SPLIT = ("split", "partition", "subset", "set", "fold")
_ID = ("id", "img_id", "image_id", "imageid", "uid")
_ATTRIBUTE: tuple[str, ...] = (
    "place",
    "background",
    "bg",
    "attribute",
    "attr",
    "a",
    "confounder",
    "context",
)
_ATTRIBUTE += ("environment", "env", "domain", "spurious", "place_name", "background_name")
_MAX_VALUES = 50
"""Values of an attribute, and of a label that is known by its values alone."""


def image_column(columns: Columns, asked: Asked) -> str:
    """The column with the image files."""
    if asked.image is not None:
        return given(columns, asked.image, "--image-column")
    files = [name for name, cells in columns.items() if all(map(is_image, cells))]
    return _one(_usual(files, _IMAGE) or files, list(columns), "image file", "--image-column")


def label_column(columns: Columns, asked: Asked, taken: set[str]) -> str:
    """The column with the label: a usual name, else the only one with few values."""
    if asked.label is not None:
        return given(columns, asked.label, "--label")
    free = [name for name in columns if name not in {*taken, *asked.attributes}]
    usual = _usual(free, _LABEL)
    few = [name for name in free if 2 <= len(set(columns[name])) <= _most(columns[name])]
    return _one(usual or few, list(dict.fromkeys([*usual, *few])) or free, "label", "--label")


def split_column(columns: Columns, asked: Asked) -> str | None:
    """The column with the split; None where there is none."""
    if asked.split is not None:
        name = given(columns, asked.split, "--split")
        if split_names(set(columns[name])) is None:
            raise UsageError(
                f'the column "{name}" does not hold splits: it has {_values(columns[name])}',
                where="--split",
                choices=["train, val, test", "0, 1, 2"],
            )
        return name
    usual = _usual(list(columns), _SPLIT)
    found = [name for name in usual if split_names(set(columns[name]))]
    odd = [name for name in usual if _is_nearly_split(columns[name])]
    if odd and not found:  # drawing another split silently would be a mistake
        raise UsageError(
            f'the column "{odd[0]}" does not only hold splits: it has {_values(columns[odd[0]])}',
            where=f'column "{odd[0]}"',
            choices=["train, val, test", "0, 1, 2"],
            next_step="correct the values or leave these lines out; or rename the column, for "
            "splits to be drawn",
        )
    return _one(found, found, "split", "--split") if found else None


def _is_nearly_split(cells: Sequence[str]) -> bool:
    """Whether words such as `train` are among the values, though not alone; numbers do not."""
    words = [value for value in set(cells) if not value.strip().isdecimal()]
    return any(split_names([value]) for value in words)


def id_column(columns: Columns, asked: Asked, image: str) -> str:
    """The column that tells images apart; the file itself where no other does."""
    if asked.id is not None:
        name = given(columns, asked.id, "--id")
        if not _unique(columns[name]):
            raise UsageError(f'the column "{name}" has a value twice or none', where="--id")
        return name
    found = [name for name in _usual(list(columns), _ID) if _unique(columns[name])]
    return found[0] if found else image


def attribute_columns(columns: Columns, asked: Asked, taken: set[str]) -> list[str]:
    """The columns with attributes: those asked for, else those with a usual name."""
    if asked.attributes:
        found = [given(columns, name, "--attribute") for name in asked.attributes]
        doubled = [name for name in found if name in taken or found.count(name) > 1]
        if doubled:
            raise UsageError(
                f'the column "{doubled[0]}" is taken already', where=f"--attribute {doubled[0]}"
            )
        return found
    free = [name for name in columns if name not in taken]
    return [name for name in _usual(free, _ATTRIBUTE) if _is_category(columns[name])]


def other_categories(columns: Columns, taken: set[str]) -> list[str]:
    """Columns that could be attributes, too."""
    return [name for name in columns if name not in taken and _is_category(columns[name])]


def given(columns: Columns, name: str, option: str) -> str:
    """The column of that name, or a UsageError with the columns there are."""
    if name in columns:
        return name
    close = difflib.get_close_matches(name, list(columns), n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UsageError(
        f'there is no column "{name}"{hint}', where=option, choices=[c for c in columns if c]
    )


def _one(found: list[str], choices: list[str], what: str, option: str) -> str:
    if len(found) == 1:
        return found[0]
    several = f"{len(found)} columns could be the {what}: {', '.join(found[:6])}"
    raise UsageError(
        several if found else f"no column seems to be the {what}",
        where=option,
        choices=choices,
        next_step=f"name the column: {option} COL",
    )


def _usual(names: list[str], usual: Sequence[str]) -> list[str]:
    return [name for name in names if name.strip().lower() in usual]


def _unique(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(cells)


def _most(cells: Sequence[str]) -> int:
    """Different values that a label can have in a table of that length."""
    return min(MAX_LABELS, _MAX_VALUES, len(cells) // 2)


def _is_category(cells: Sequence[str]) -> bool:
    return 2 <= len(set(cells)) <= _most(cells) and all(cells)


def _values(cells: Sequence[str]) -> str:
    found = sorted(set(cells))
    return ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
