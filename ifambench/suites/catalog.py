"""Find suite files and read them.

Suites ship inside the package (`suites/` in a checkout, `ifambench/suites/_specs` in the wheel).
Further ones lie in `NAME/suite.toml` below a folder of the user (`user_folder`) or below the one
that `IFAMBENCH_SUITES` names; a path to a file works wherever a name does.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from ifambench.errors import UsageError, unknown_name
from ifambench.suites.findings import findings
from ifambench.suites.spec import Suite, protocol_of

__all__ = ["SuiteFile", "load_suite", "protocol_of", "suite_names", "user_folder"]

_PACKAGED = Path(__file__).with_name("_specs")
_CHECKOUT = Path(__file__).parents[2] / "suites"
_SHOWN = 5
"""Invalid entries that are named."""


@dataclass(frozen=True)
class SuiteFile:
    """A suite and the file it was read from.

    Attributes:
        suite: The content.
        path: The file.
        digest: sha256 of the file's bytes.
    """

    suite: Suite
    path: Path
    digest: str


def suite_names() -> list[str]:
    """All suite names, sorted."""
    return sorted(_paths())


def load_suite(name_or_path: str) -> SuiteFile:
    """Read a suite by name, or from a path to a `suite.toml`.

    Raises:
        UsageError: If the name is unknown or the file is not a valid suite; names file and key.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(f'no suite file "{path}"', next_step="ifambench list suites")
        return _read(path)
    paths = _paths()
    if name_or_path not in paths:
        raise unknown_name("suite", name_or_path, paths, list_command="ifambench list suites")
    return _read(paths[name_or_path])


def user_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's suite files; it need not exist."""
    user = environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME")
    return (Path(user) if user else Path.home() / ".config") / "ifambench" / "suites"


def _paths() -> dict[str, Path]:
    folders = [_PACKAGED if _PACKAGED.is_dir() else _CHECKOUT, user_folder()]
    if os.environ.get("IFAMBENCH_SUITES"):
        folders.append(Path(os.environ["IFAMBENCH_SUITES"]).expanduser())
    found: dict[str, Path] = {}
    for path in (
        path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*/suite.toml"))
    ):
        name = path.parent.name
        if name in found:
            raise UsageError(
                f'suite "{name}" is there twice',
                where=f"{found[name]} and {path}",
                next_step="rename the folder of your suite",
            )
        found[name] = path
    return found


@cache
def _read(path: Path) -> SuiteFile:
    try:
        data = path.read_bytes()
        suite = Suite.model_validate(tomllib.loads(data.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not a TOML file: {error}", where=str(path)) from error
    except OSError as error:
        raise UsageError(
            f"cannot read the suite file: {error.strerror or error}", where=str(path)
        ) from error
    except ValidationError as error:
        found = findings(path.name, error)
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UsageError(
            "1 invalid entry in the suite file"
            if len(found) == 1
            else f"{len(found)} invalid entries in the suite file",
            where="; ".join(found[:_SHOWN]) + more,
            next_step=f"correct {path}",
        ) from error
    return SuiteFile(suite, path, hashlib.sha256(data).hexdigest())
