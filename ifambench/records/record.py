"""Read and write `run.json`: strict JSON, checked against the schema, migrated when it is older."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from ifambench.atomic import write_text_atomic
from ifambench.errors import EnvironmentProblem
from ifambench.records.schema import SCHEMA_VERSION, RunRecord

RECORD_FILE = "run.json"

Migration = Callable[[dict[str, Any]], dict[str, Any]]

_MIGRATIONS: dict[int, Migration] = {}
"""From a schema version to the next one: `_MIGRATIONS[1]` turns a record of version 1 into 2."""

_SHOWN_PROBLEMS = 3
_FIRST_LINE = re.compile(rb'\s*\{\s*"schema_version": %d,' % SCHEMA_VERSION)
_NOT_STRICT = (b"NaN", b"Infinity")


def write_record(folder: Path, record: RunRecord) -> Path:
    """Write `run.json` into the run folder and return its path.

    Raises:
        ValueError: If a number of the record is NaN or infinite; undefined values are None.
        EnvironmentProblem: If the folder cannot be written to.
    """
    path = folder / RECORD_FILE
    write_text_atomic(path, record_text(record))
    return path


def record_text(record: RunRecord) -> str:
    """The record as strict JSON text.

    Raises:
        ValueError: If a number of the record is NaN or infinite, naming its key.
    """
    if bad := list(_not_finite(record.model_dump(), "")):  # mode="json" turns some NaN into null
        raise ValueError(f"not a number in the run record: {', '.join(bad)}")
    content = record.model_dump(mode="json")
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_record(folder_or_file: Path) -> RunRecord:
    """Read and check a run record.

    Args:
        folder_or_file: The run folder, or its `run.json`.

    Raises:
        EnvironmentProblem: If the file is missing, is not strict JSON, breaks the schema, has a
            number that is not finite, or was written by a newer version.
    """
    is_folder = folder_or_file.is_dir()
    path = folder_or_file / RECORD_FILE if is_folder else folder_or_file
    record = _quickly(path) or _thoroughly(path)
    if bad := next(_not_finite(_free_form(record), ""), None):  # 1e999 is JSON, and infinite
        raise _problem(f"{path.name} has a number that is not finite", path, key=bad)
    return record


def _quickly(path: Path) -> RunRecord | None:
    """The record in one pass over its bytes; None for whatever deserves a closer look.

    The same checks at less than half the cost. pydantic's parser takes NaN and infinities, which
    strict JSON has not; a text that mentions them, that does not begin with the version of the
    schema as `write_record` writes it, and every error go the long way.
    """
    try:
        data = path.read_bytes()
        if not _FIRST_LINE.match(data) or any(word in data for word in _NOT_STRICT):
            return None
        record = RunRecord.model_validate_json(data)
    except (OSError, ValidationError):
        return None
    return record if record.schema_version == SCHEMA_VERSION else None


def _thoroughly(path: Path) -> RunRecord:
    content = _migrated(_parse(path), path)
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        raise _schema_problem(error, path) from error


def _free_form(record: RunRecord) -> dict[str, Any]:
    """The parts whose content the schema leaves open; it checks the numbers of the others."""
    return {
        "model.data_config": record.model.data_config,
        "protocol.metrics": record.protocol.metrics,
        "protocol.explain": record.protocol.explain,
        **{name: getattr(record, name) for name in ("recipe", "training", "explaining")},
    }


def _not_finite(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _not_finite(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{key}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield key


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise _problem(f"cannot read {path.name}: {error.strerror or error}", path) from error
    except ValueError as error:  # JSON and UTF-8 errors
        raise _problem(f"{path.name} is not strict JSON: {error}", path) from error
    if not isinstance(content, dict):
        raise _problem(f"{path.name} is not a JSON object", path)
    return content


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _migrated(content: dict[str, Any], path: Path) -> dict[str, Any]:
    version = content.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise _problem(f"{path.name} has no schema version", path, key="schema_version")
    if version > SCHEMA_VERSION:
        raise EnvironmentProblem(
            f"{path.name} was written by a newer ifambench "
            f"(schema {version}, this one reads up to {SCHEMA_VERSION})",
            where=f"{path}: schema_version",
            next_step="pip install --upgrade ifambench",
        )
    for step in range(version, SCHEMA_VERSION):
        if step not in _MIGRATIONS:
            raise _problem(f"schema {version} is no longer read", path, key="schema_version")
        content = _MIGRATIONS[step](content) | {"schema_version": step + 1}
    return content


def _schema_problem(error: ValidationError, path: Path) -> EnvironmentProblem:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{_key(item['loc'])}: {item['msg']}" for item in problems[:_SHOWN_PROBLEMS]]
    if len(problems) > _SHOWN_PROBLEMS:
        shown.append(f"{len(problems) - _SHOWN_PROBLEMS} more")
    what = f"{path.name} does not follow the schema ({'; '.join(shown)})"
    return _problem(what, path, key=_key(problems[0]["loc"]))


def _key(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _problem(what: str, path: Path, key: str = "") -> EnvironmentProblem:
    return EnvironmentProblem(
        what,
        where=f"{path}: {key}" if key else str(path),
        next_step="restore the file, or run again: ifambench run SUITE --model MODEL",
    )
