"""What holds for every command: read from the environment and from an optional file.

The file is `ifambench.toml`, or the table `[tool.ifambench]` of `pyproject.toml`, in the working
directory; only the first of the two that exists is read. Precedence: option > environment
variable > file > default. Unknown keys are errors, named as file:key.

    output = "runs"
    threads = 4

    [gate]                # the bar of `ifambench compare`, fixed before the run
    fail_under = ["worst_group_accuracy=0.85"]
    max_drop = ["worst_group_accuracy=1pp"]
    strict = true

    [gate.waterdigits]    # another bar for one suite, key by key
    max_drop = ["group_accuracy:one_on_land=2pp", "srg:ifam-mask=5%"]
"""

from __future__ import annotations

import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifambench.errors import UsageError

FILE_NAMES = ("ifambench.toml", "pyproject.toml")

_GATE = "gate."


@dataclass(frozen=True)
class Setting:
    """One thing that can be set.

    Attributes:
        name: The key in the file; the option is the same with dashes.
        type: Type of the value in the file.
        default: What holds when nothing is set; None where the command decides.
        env: The environment variable, or an empty text.
        command: The only command it is for, or an empty text for all that have the option.
    """

    name: str
    type: type
    default: Any
    env: str = ""
    command: str = ""


@dataclass(frozen=True)
class Resolved:
    """The value that holds, and where it comes from."""

    value: Any
    origin: str


SETTINGS = (
    Setting("output", str, "runs", "IFAMBENCH_OUTPUT"),
    Setting("results", str, "results", "IFAMBENCH_RESULTS"),
    Setting("device", str, "auto", "IFAMBENCH_DEVICE"),
    Setting("threads", int, None, "IFAMBENCH_THREADS"),
    Setting("batch_size", int, 64, "IFAMBENCH_BATCH_SIZE"),
    Setting("format", str, "table", "IFAMBENCH_FORMAT"),
    Setting("cache", str, None, "IFAMBENCH_CACHE"),
    Setting("data", str, None, "IFAMBENCH_DATA"),
    Setting("gate.fail_under", list, None, command="compare"),
    Setting("gate.max_drop", list, None, command="compare"),
    Setting("gate.strict", bool, None, command="compare"),
)


def file_settings(folder: Path) -> dict[str, Any]:
    """The checked keys of the settings file in a folder, sections joined by a dot.

    Raises:
        UsageError: If the file is not TOML, has an unknown key, or a value of the wrong type.
    """
    known = {setting.name: setting for setting in SETTINGS}
    path, content = _file_content(folder)
    found = _flat(content)
    for key, value in found.items():
        setting = known.get(_any_suite(key))
        if setting is None:
            raise UsageError(f'unknown setting "{key}"', where=f"{path}:{key}", choices=list(known))
        _check_type(setting, value, f"{path}:{key}")
    return found


def suite_gates(folder: Path, suite: str) -> dict[str, Any]:
    """The gates that the settings file sets for one suite (`[gate.SUITE]`), by option."""
    found = file_settings(folder)
    prefix = f"{_GATE}{suite}."
    return {key.removeprefix(prefix): item for key, item in found.items() if key.startswith(prefix)}


def resolve(folder: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Resolved]:
    """Every setting with its origin, options of the command line aside."""
    stored = file_settings(folder)
    found = {}
    for setting in SETTINGS:
        if setting.env and environ.get(setting.env):
            found[setting.name] = Resolved(environ[setting.env], setting.env)
        elif setting.name in stored:
            found[setting.name] = Resolved(stored[setting.name], "file")
        else:
            found[setting.name] = Resolved(setting.default, "default")
    return found


def option_defaults(folder: Path, command: str) -> dict[str, Any]:
    """The defaults that the settings file gives to the options of a command."""
    commands = {setting.name: setting.command for setting in SETTINGS}
    return {
        key.rpartition(".")[2]: value
        for key, value in file_settings(folder).items()
        if commands.get(key) in ("", command)
    }


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where files that can be deleted at any time go: `cache`, or a temporary folder."""
    try:
        cache = resolve(Path(), environ)["cache"].value
    except UsageError:  # this is also asked for while a broken settings file is reported
        cache = environ.get("IFAMBENCH_CACHE")
    return Path(cache) if cache else Path(tempfile.gettempdir())


def _file_content(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The first settings file of a folder and its keys; no keys when there is none."""
    for name in FILE_NAMES:
        path = folder / name
        if path.is_file():
            content = _parse(path)
            own = content.get("tool", {}).get("ifambench") if name == FILE_NAMES[1] else content
            if own is not None:
                return Path(name), own
    return Path(FILE_NAMES[0]), {}


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise UsageError(f"cannot read the settings: {error}", where=str(path)) from error


def _any_suite(key: str) -> str:
    """`gate.KEY` for `gate.SUITE.KEY`; every other key as it is."""
    section, _, rest = key.partition(".")
    suite, dot, name = rest.rpartition(".")
    return f"{_GATE}{name}" if f"{section}." == _GATE and dot and suite else key


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _check_type(setting: Setting, value: Any, where: str) -> None:
    good = isinstance(value, setting.type) and not (
        setting.type is int and isinstance(value, bool)  # True is an int in Python
    )
    if good and setting.type is list:
        good = all(isinstance(item, str) for item in value)
    if not good:
        wanted = {str: "a text", int: "a whole number", bool: "true or false"}
        raise UsageError(
            f'the setting "{setting.name}" must be {wanted.get(setting.type, "a list of texts")}',
            where=where,
        )
