"""`ifambench suite init`: a suite file for data of one's own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli.console import emit
from ifambench.cli.options import Format
from ifambench.errors import EnvironmentProblem, UsageError

if TYPE_CHECKING:
    from ifambench.data.draft.parts import Asked, Draft

app = typer.Typer(help="Suite files of your own.", no_args_is_help=True)

_TABLE_PANEL = "Columns of the table"
_SEPARATE = (".csv", ".tsv", ".txt")


def _column(flag: str, what: str) -> Any:
    return typer.Option(
        flag, metavar="COL", help=what, show_default=False, rich_help_panel=_TABLE_PANEL
    )


@app.callback()
def _group() -> None:
    """Suite files of your own."""


@app.command("init")
def command(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER_OR_CSV",
            help="A folder of images by class, train/val/test above them if you like; or a table "
            "with one line per image, beside the images.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The suite file to write.")
    ] = Path("suite.toml"),
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Id of the suite; that of the folder when not given."),
    ] = None,
    label: Annotated[str | None, _column("--label", "The label.")] = None,
    attribute: Annotated[
        list[str] | None,
        _column("--attribute", "What may be spuriously correlated with the label; repeatable."),
    ] = None,
    split: Annotated[str | None, _column("--split", "train, val, test; or 0, 1, 2.")] = None,
    image_column: Annotated[
        str | None, _column("--image-column", "File of the image, below --images.")
    ] = None,
    id: Annotated[str | None, _column("--id", "Unique name of the image.")] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of the images, within that of the data."),
    ] = None,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of the masks, likewise: the same paths, ending in .png."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the suite file.")] = False,
    format: options.FormatOption = Format.table,
) -> None:
    """Write a commented suite file for a folder of images or a table.

    What columns and folders mean is guessed from their usual names, and said. The
    file is checked against the data before it is written.
    """
    from ifambench.atomic import write_bytes_atomic
    from ifambench.data.draft.parts import Asked, suite_name
    from ifambench.data.draft.suite_text import suite_text

    asked = Asked(name, label, attribute or (), split, image_column, id, images, masks)
    _check_out(out, force)
    draft = _draft(data, asked)
    _check_name(asked.name or suite_name(draft.folder.name), named=asked.name is not None)
    write_bytes_atomic(out, suite_text(draft, asked).encode())
    parent = str(draft.folder.parent)
    model = "vit-ti" if "train" in draft.splits else "ckpt:PATH"  # nothing to train on
    words = (["validate"], ["show", "--images", "2"], ["run", "--model", model])
    following = [
        shlex.join(["ifambench", verb, str(out), *more, "--data-dir", parent])
        for verb, *more in words
    ]
    told = {"suite_file": str(out), "decisions": draft.decisions, "next": following}
    lines = [*draft.decisions, str(out), *(f"next: {text}" for text in following)]
    emit(format, told, [], lines=lines)


def _draft(data: Path, asked: Asked) -> Draft:
    from ifambench.data.draft.folders import draft_folder
    from ifambench.data.draft.table import draft_table

    if data.is_dir():
        return draft_folder(data, asked)
    if not data.exists():
        raise EnvironmentProblem(f"there is no {data}", where="FOLDER_OR_CSV")
    if data.suffix.lower() not in _SEPARATE:
        raise UsageError(
            f"{data} is neither a folder nor a table",
            where="FOLDER_OR_CSV",
            choices=["a folder of images", *_SEPARATE],
        )
    return draft_table(data, asked)


def _check_out(out: Path, force: bool) -> None:
    if out.suffix != ".toml":
        raise UsageError(f"{out} does not end in .toml", where="--out")
    if out.exists() and not force:
        raise UsageError(
            f"{out} is there already", where="--out", next_step="choose another file, or --force"
        )


def _check_name(name: str, *, named: bool) -> None:
    from ifambench.data.draft.parts import suite_name
    from ifambench.suites.catalog import suite_names
    from ifambench.suites.parts import NAME_PATTERN

    if name in suite_names():
        raise UsageError(
            f'there is a suite "{name}" already',
            where="--name" if named else "the name of the folder",
            next_step="choose another one: --name NAME",
        )
    if named and not re.match(NAME_PATTERN, name):
        raise UsageError(
            f'"{name}" cannot be the name of a suite',
            where="--name",
            choices=["small letters, digits, and . _ + - after the first"],
            next_step=f"for instance --name {suite_name(name)}",
        )
