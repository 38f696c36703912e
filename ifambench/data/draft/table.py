"""A suite from a table with one line per image."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ifambench.data.draft.columns import (
    Columns,
    attribute_columns,
    id_column,
    image_column,
    label_column,
    other_categories,
    split_column,
)
from ifambench.data.draft.parts import (
    Asked,
    Draft,
    attribute_name,
    by_value,
    check_labels,
    settle_splits,
    split_names,
)
from ifambench.data.readers.table import Form, read_table
from ifambench.errors import UsageError
from ifambench.suites.parts import is_inside

_SEPARATORS = (",", ";", "\t")
_IMAGES = ("", "images", "imgs", "img", "data")
_MASKS = ("masks", "segmentations", "mask")
_LOOKED_AT = 20
"""Files by which a folder is recognised."""


def draft_table(path: Path, asked: Asked) -> Draft:
    """What the columns of a table seem to mean.

    Raises:
        UsageError: If columns are ambiguous or missing, or no image is where the table says; names
            the choices and the option.
        EnvironmentProblem: If the table cannot be read.
    """
    separator = _separator(path)
    columns = _columns(path, separator)
    draft = Draft(path.resolve().parent)
    image, split = image_column(columns, asked), split_column(columns, asked)
    id_ = id_column(columns, asked, image)
    taken = {image, id_, *([split] if split else [])}
    label = label_column(columns, asked, taken)
    attributes = attribute_columns(columns, asked, {*taken, label})
    draft.decisions += [f'image: column "{image}"', f'id: column "{id_}"']
    draft.source = {"reader": "metadata_csv", "folders": [draft.folder.name]}
    draft.source |= {"metadata": path.name} | ({} if separator == "," else {"separator": separator})
    _find_files(draft, asked, columns[image])
    draft.source["columns"] = {"id": id_, "path": image}
    _code(draft, columns, label, attributes)
    _code_splits(draft, columns, split, path.name)
    rest = other_categories(columns, {*taken, label, *attributes})
    if rest and not asked.attributes:
        draft.decisions.append(f"not used: {', '.join(rest[:8])} (--attribute COL)")
    return draft


def _separator(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
    except UnicodeDecodeError as error:
        raise UsageError(
            "the table is not in UTF-8", where=str(path), next_step="save it again, in UTF-8"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read the table: {error}", where=str(path)) from error
    return max(_SEPARATORS, key=head.count)


def _columns(path: Path, separator: str) -> dict[str, list[str]]:
    lines = [line.cells for line in read_table(path, None, Form(separator))]
    return {name: [cells[name] for cells in lines] for name in lines[0] if name}


def _code(draft: Draft, columns: Columns, label: str, attributes: list[str]) -> None:
    """Every value becomes a declared name."""
    draft.labels = by_value(columns[label])
    check_labels(draft.labels, f'column "{label}"', "name the column of the label: --label COL")
    draft.decisions.append(f'label: column "{label}", {_few(draft.labels)}')
    draft.source["label"] = {"column": label, "values": {name: name for name in draft.labels}}
    coded: dict[str, Any] = {}
    for column in attributes:
        name, values = attribute_name(column), by_value(columns[column])
        if name in coded:
            raise UsageError(f'two attributes would be called "{name}"', where="--attribute")
        draft.attributes[name] = values
        draft.decisions.append(f'attribute: column "{column}", {_few(values)}')
        coded[name] = {"column": column, "values": {value: value for value in values}}
    if not coded:
        draft.decisions.append("attribute: none, so the groups are the labels")
    draft.source |= {"attributes": coded} if coded else {}


def _code_splits(draft: Draft, columns: Columns, split: str | None, table: str) -> None:
    if split is None:
        draft.decisions.append("split: no column tells it")
        settle_splits(draft, {"": "train"})
        draft.source["tables"] = {"train": table}
        return
    draft.decisions.append(f'split: column "{split}"')
    coded = settle_splits(draft, split_names(by_value(columns[split])) or {})
    draft.source["split"] = {"column": split, "values": coded}


def _find_files(draft: Draft, asked: Asked, files: Any) -> None:
    """The folders of images and masks, by the first files of the table."""
    some = list(files)[:_LOOKED_AT]
    outside = next((name for name in some if not is_inside(name)), None)
    if outside is not None:
        raise UsageError(
            f'"{outside}" is not a path below a folder of images',
            where="the column of the image file",
            next_step="write paths relative to the folder of the table",
        )
    places = _IMAGES if asked.images is None else (asked.images,)
    images = next((place for place in places if _all_there(draft.folder / place, some)), None)
    if images is None:
        raise _no_image(draft.folder, places, some)
    draft.source |= {"images": images} if images else {}
    masks = [str(PurePosixPath(name).with_suffix(".png")) for name in some]
    shapes = _MASKS if asked.masks is None else (asked.masks,)
    found = next((place for place in shapes if _all_there(draft.folder / place, masks)), None)
    if found is not None:
        draft.source["masks"] = found
        draft.decisions.append(f'masks: folder "{found}"')
    elif asked.masks is not None:
        raise UsageError(f'no mask "{masks[0]}" in {asked.masks}', where="--masks")


def _no_image(folder: Path, places: tuple[str, ...], names: list[str]) -> UsageError:
    """What is not where: of the folder that holds most of the images, if one holds any."""
    lacking = {
        place: [name for name in names if not (folder / place / name).is_file()] for place in places
    }
    best = min(lacking, key=lambda place: len(lacking[place]))
    partly = len(lacking[best]) < len(names)
    looked = [folder / place for place in ([best] if partly else places)]
    return UsageError(
        f'no image "{lacking[best][0]}" in {", ".join(map(str, looked))}',
        where="the column of the image file",
        next_step="correct the table, or put the image there"
        if partly
        else "name the folder of the images, beside the table: --images DIR",
    )


def _all_there(folder: Path, names: list[str]) -> bool:
    return all((folder / name).is_file() for name in names)


def _few(values: list[str]) -> str:
    more = f", ... ({len(values)} values)" if len(values) > 6 else ""
    return ", ".join(values[:6]) + more
