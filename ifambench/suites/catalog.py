"""Find suite files and read them.

Suites ship inside the package (`suites/` in a checkout, `ifambench/suites/_specs` in the wheel);
`IFAMBENCH_SUITES` names a further folder, and a path to a `suite.toml` works wherever a name does.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from ifambench.errors import UsageError, unknown_name
from ifambench.suites.spec import Suite, protocol_of

__all__ = ["SuiteFile", "load_suite", "protocol_of", "suite_names"]

_PACKAGED = Path(__file__).with_name("_specs")
_CHECKOUT = Path(__file__).parents[2] / "suites"


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


def _paths() -> dict[str, Path]:
    folders = [_PACKAGED if _PACKAGED.is_dir() else _CHECKOUT]
    if os.environ.get("IFAMBENCH_SUITES"):
        folders.append(Path(os.environ["IFAMBENCH_SUITES"]))
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*/suite.toml"))):
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
        raise UsageError(
            f"{error.error_count()} invalid entries in the suite file",
            where="; ".join(_finding(path, found) for found in error.errors()[:5]),
            next_step=f"correct {path}",
        ) from error
    return SuiteFile(suite, path, hashlib.sha256(data).hexdigest())


def _finding(path: Path, error: object) -> str:
    assert isinstance(error, dict)
    key = ".".join(str(part) for part in error["loc"])
    return f"{path.name}:{key or '(file)'}: {error['msg']}"
