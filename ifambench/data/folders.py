"""Where the files of a suite lie on this machine.

The data folder holds one folder per suite. It is the one given (`--data-dir`), else the setting
`data` (environment variable `IFAMBENCH_DATA`), else a folder of the user. Nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ifambench.errors import EnvironmentProblem
from ifambench.settings import resolve
from ifambench.suites.source import Source
from ifambench.suites.spec import Suite

VARIABLE = "IFAMBENCH_DATA"


def data_root(data_dir: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder below which the suites' folders lie; it need not exist."""
    if data_dir is not None:
        return data_dir
    chosen = resolve(Path(), environ)["data"].value
    if chosen:
        return Path(chosen).expanduser()
    user = environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_DATA_HOME")
    return (Path(user) if user else Path.home() / ".local" / "share") / "ifambench"


def find_data_folder(suite: Suite, data_dir: Path | None = None) -> Path:
    """The folder that holds the table of a suite; `data_dir` may be that folder itself.

    Cheap: it looks at a few paths and reads nothing.

    Args:
        suite: A suite with `[source]`.
        data_dir: The data folder, or None for the default places.

    Raises:
        EnvironmentProblem: If no candidate holds the table; names all places looked at.
    """
    source = _source(suite)
    places = _places(source, data_dir)
    found = _first(source, places)
    if found is not None:
        return found
    halves = [place for place in places[: len(source.folders)] if place.is_dir()]
    half = f"; {halves[0]} is there, but has no {source.marker}" if halves else ""
    raise EnvironmentProblem(
        f"the images of {suite.id} are not on this machine{half}",
        where="looked for " + ", ".join(str(place / source.marker) for place in places),
        next_step=_how_to_get(suite, source),
    )


def data_state(suite: Suite, data_dir: Path | None = None) -> tuple[str, Path | None]:
    """Whether the images are at hand: `generated`, `found` with the folder, or `not found`."""
    if suite.source is None:
        return "generated", None
    folder = _first(suite.source, _places(suite.source, data_dir))
    return ("not found" if folder is None else "found"), folder


def has_masks(suite: Suite, folder: Path | None = None) -> bool:
    """Whether true masks are at hand.

    Args:
        suite: Any suite; generated ones always have masks.
        folder: What `find_data_folder` gave for a suite with `[source]`.
    """
    if suite.source is None:
        return True
    return mask_folder(suite.source, folder or find_data_folder(suite)) is not None


def mask_folder(source: Source, folder: Path) -> str | None:
    """Where the masks lie within the suite's folder, or None when there are none.

    Masks that belong to the data are never None, so that missing ones are found.
    """
    root = source.mask_root
    if root is None or (source.masks_optional and not (folder / root).exists()):
        return None
    return root


def _places(source: Source, data_dir: Path | None) -> list[Path]:
    root = data_root(data_dir)
    return [root / name for name in source.folders] + ([root] if data_dir else [])


def _first(source: Source, places: list[Path]) -> Path | None:
    return next((place for place in places if (place / source.marker).exists()), None)


def _source(suite: Suite) -> Source:
    if suite.source is None:
        raise ValueError(f"{suite.id} is generated, it has no files")
    return suite.source


def _how_to_get(suite: Suite, source: Source) -> str:
    get = source.how_to_get or (f"see {source.homepage}" if source.homepage else "get the data")
    if any(item.kind != "manual" for item in suite.download):
        get = f"ifambench data fetch {suite.id}; or {get}"
    return f"{get}; then pass --data-dir DIR or set {VARIABLE}, DIR holding {source.folders[0]}/"


def first_folder(tried: Sequence[Path], what: str, next_step: str) -> Path:
    """The first of several folders that is there.

    Raises:
        EnvironmentProblem: If none is, saying `what` is not on this machine and all places.
    """
    for folder in tried:
        if folder.is_dir():
            return folder
    raise EnvironmentProblem(
        f"{what} are not on this machine",
        where="looked for " + ", ".join(map(str, tried)),
        next_step=next_step,
    )
