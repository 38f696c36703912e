"""`ifambench data build-swap` and `data build-waterbirds`: suites from images and masks."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ifambench.cli import options
from ifambench.cli import options_training as training
from ifambench.cli.console import emit, stderr
from ifambench.cli.options import Format
from ifambench.cli.progress_view import shown_progress
from ifambench.cli.working import stoppable


class Fill(StrEnum):
    """What fills the place of an object that is taken out of a background."""

    black = "black"
    mean = "mean"
    blur = "blur"
    tile = "tile"
    inpaint = "inpaint"


class Placement(StrEnum):
    """Where an object is pasted."""

    kept = "keep"
    centred = "center"
    drawn = "random"


_Out = Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder; never overwritten.")]
_Variants = Annotated[
    str,
    typer.Option(
        metavar="NAMES",
        help="Variants, divided by commas: only_fg, only_bg_b, only_bg_t, no_fg, mixed_same, "
        "mixed_rand, mixed_other, mixed_next; all when not given.",
        show_default=False,
    ),
]
_PairBy = Annotated[
    str,
    typer.Option(
        metavar="WHAT", help='What "same", "other" and "next" are about: y, or attribute:NAME.'
    ),
]
_SwapPool = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Backgrounds from this folder instead of other images of the suite: with a folder per "
        "value of --pair-by, or with photos for everyone.",
        exists=True,
        file_okay=False,
        show_default=False,
    ),
]
_ForegroundPixels = Annotated[
    int, typer.Option(min=0, metavar="PIXELS", help="Rim around an object that is cut out with it.")
]
_BackgroundPixels = Annotated[
    int,
    typer.Option(
        min=0, metavar="PIXELS", help="Rim around an object that is filled with its place."
    ),
]
_FillOption = Annotated[Fill, typer.Option(help="What fills the place of an object.")]
_PairingSeed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the pairing.")]
_Split = Annotated[str, typer.Option(metavar="NAME", help="Whose images get variants.")]
_OnlySplit = Annotated[
    bool,
    typer.Option(
        "--only-split", help="Leave out the other splits: nothing can be trained on the suite."
    ),
]
_Placement = Annotated[Placement, typer.Option(help="Where objects are pasted.")]
_Feather = Annotated[float, typer.Option(min=0, metavar="PIXELS", help="Soft edge.")]
_Objects = Annotated[
    str,
    typer.Option(
        metavar="SUITE|FOLDER",
        help="A suite with masks and two classes (or CUB's species), or a folder such as "
        "CUB_200_2011.",
    ),
]
_Places = Annotated[
    tuple[Path, Path],
    typer.Option(
        metavar="LAND WATER",
        help="Two folders of photos; all photos below are taken.",
        exists=True,
        file_okay=False,
    ),
]
_Masks = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Segmentations of a folder's objects; FOLDER/segmentations when not given.",
        show_default=False,
    ),
]
_Correlation = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="SHARE",
        help="Share of each class on its own kind of place, in training.",
    ),
]
_DrawSeed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all draws.")]
_Relabelled = Annotated[
    bool,
    typer.Option(
        "--relabelled", help='Look for whole words in species: "Eastern" holds no "tern".'
    ),
]
_ReusePlaces = Annotated[
    bool,
    typer.Option(
        "--reuse-places", help="Let objects of one split share photos when there are too few."
    ),
]


def build_swap(
    suite: options.SuiteArgument,
    out: _Out,
    variants: _Variants = "",
    fill: _FillOption = Fill.tile,
    pair_by: _PairBy = "y",
    seed: _PairingSeed = 0,
    split: _Split = "test",
    only_split: _OnlySplit = False,
    pool: _SwapPool = None,
    placement: _Placement = Placement.kept,
    feather: _Feather = 0.0,
    fg_dilate: _ForegroundPixels = 0,
    bg_dilate: _BackgroundPixels = 0,
    size: training.SizeOption = "default",
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Build a background-swap suite from any suite with masks, as a folder that `run` takes.

    Writes images, masks and variants as PNG, metadata.csv, pairing.csv (which
    background each object got) and suite.toml.
    """
    from ifambench.data.swap.build import SwapBuild, build_swap
    from ifambench.suites.catalog import load_suite

    style: dict[str, object] = {
        "fill": fill.value,
        "pair_by": pair_by,
        "seed": seed,
        "placement": placement.value,
        "feather_px": feather,
        "fg_dilate_px": fg_dilate,
        "bg_dilate_px": bg_dilate,
    }
    asked = SwapBuild(
        suite=load_suite(suite).suite,
        out=out,
        swaps=tuple(name.strip() for name in variants.split(",") if name.strip()),
        split=split,
        only_split=only_split,
        pool=pool,
        data_dir=data_dir,
        size=size,
        style=style,
    )
    with stoppable(), shown_progress(stderr()) as progress:
        built = build_swap(asked, progress)
    lines = [f"{name}: {n:,} images" for name, n in built.images.items()]
    lines += built.warnings
    data = {
        "folder": str(out),
        "suite": built.content["id"],
        "images": built.images,
        "pairing_sha256": built.pairing_sha256,
        "warnings": list(built.warnings),
    }
    _report(format, out, data, lines)


def build_waterbirds(
    objects: _Objects,
    places: _Places,
    out: _Out,
    masks: _Masks = None,
    correlation: _Correlation = 0.95,
    seed: _DrawSeed = 0,
    relabelled: _Relabelled = False,
    reuse_places: _ReusePlaces = False,
    data_dir: options.DataDirOption = None,
    format: options.FormatOption = Format.table,
) -> None:
    """Paste objects on photos of land and water, like Waterbirds, with a correlation of choice.

    Writes images and masks, metadata.csv with the columns of Waterbirds, and suite.toml.
    """
    from ifambench.data.composites.build import Composition, build_waterbirds
    from ifambench.data.composites.objects import cub_objects, suite_objects
    from ifambench.suites.catalog import load_suite

    folder = Path(objects)
    if folder.is_dir() and not (folder / "suite.toml").is_file():
        found = cub_objects(folder, masks or folder / "segmentations", seed, exact=relabelled)
    else:
        found = suite_objects(load_suite(objects).suite, data_dir, seed, exact=relabelled)
    asked = Composition(
        objects=found,
        places=places,
        out=out,
        correlation=correlation,
        seed=seed,
        reuse_places=reuse_places,
        origin=folder.name,
    )
    with stoppable(), shown_progress(stderr()) as progress:
        groups = build_waterbirds(asked, progress)
    lines = [
        f"{split}: {', '.join(f'{n:,} {name}' for name, n in counts.items())}"
        for split, counts in groups.items()
    ]
    _report(format, out, {"folder": str(out), "groups": groups}, lines)


def _report(format: Format, out: Path, data: dict[str, Any], lines: list[str]) -> None:
    command = shlex.join(["ifambench", "validate", str(out / "suite.toml"), "--data-dir", str(out)])
    emit(
        format, data | {"next": command}, [], lines=[*lines, f"written: {out}", f"next: {command}"]
    )
