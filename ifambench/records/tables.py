"""The stored tables: CSV, gzipped by name, that come back exactly as they were written.

The same frame gives the same bytes: no time and no name in the gzip header, and every number in
the shortest form that reads back to the same double. The digest is that of the uncompressed text,
so it does not depend on the version of zlib.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.atomic import write_bytes_atomic
from ifambench.errors import EnvironmentProblem
from ifambench.records.schema import Table

TEXT_COLUMNS = (
    *("id", "split", "variant", "group", "explainer", "operator"),
    *("check", "test", "quantity", "condition", "mask"),
)
"""Columns that are text whatever they look like: an id "007", a group "NA" or a mask "1e05" stays
as it is."""

_NEXT_STEP = "restore the file, or run again: ifambench run SUITE --model MODEL"


def write_table(path: Path, frame: pd.DataFrame) -> Table:
    """Store a frame; `.csv.gz` is compressed, `.csv` is not.

    Undefined values (NaN, None) become empty cells. float32 is written as the double of the same
    value, so that scores computed before and after storing are equal.

    Returns:
        The entry of the run record.
    """
    text = _to_text(frame)
    write_bytes_atomic(path, _compressed(text) if path.suffix == ".gz" else text)
    return Table(file=path.name, rows=len(frame), sha256=hashlib.sha256(text).hexdigest())


def read_table(path: Path, expected: Table | None = None) -> pd.DataFrame:
    """Read a stored table; empty cells are NaN.

    Args:
        path: The file.
        expected: The entry of the run record; the content must have its digest.

    Raises:
        EnvironmentProblem: If the file is missing, damaged, or not the one of the record.
    """
    text = _checked_text(path, expected)
    try:
        return pd.read_csv(io.BytesIO(text), **_read_options())
    except (
        ValueError,
        pd.errors.ParserError,
    ) as error:  # EmptyDataError and Unicode are ValueError
        raise _damaged(path, str(error)) from error


def check_table(path: Path, expected: Table) -> None:
    """Raise an EnvironmentProblem unless the file is there and is the one of the run record."""
    _checked_text(path, expected)


def _checked_text(path: Path, expected: Table | None) -> bytes:
    text = _read_text(path)
    if expected is not None and hashlib.sha256(text).hexdigest() != expected.sha256:
        raise EnvironmentProblem(
            f"{path.name} is not the table that the run record describes (sha256 differs)",
            where=str(path),
            next_step=_NEXT_STEP,
        )
    return text


def _to_text(frame: pd.DataFrame) -> bytes:
    narrow = frame.select_dtypes("float32").columns
    exact = frame.astype({name: "float64" for name in narrow})
    text: str = exact.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8")


def _compressed(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(text)
    return buffer.getvalue()


def _read_text(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot read {path.name}: {error.strerror or error}",
            where=str(path),
            next_step=_NEXT_STEP,
        ) from error


def _read_options() -> dict[str, Any]:
    options: dict[str, Any] = {
        "dtype": dict.fromkeys(TEXT_COLUMNS, "str"),
        "keep_default_na": False,
        "na_values": [""],
    }
    if int(pd.__version__.split(".")[0]) < 3:  # from 3 on the default is exact
        options["float_precision"] = "round_trip"
    return options


def _damaged(path: Path, detail: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{path.name} is damaged: {detail}", where=str(path), next_step=_NEXT_STEP
    )
