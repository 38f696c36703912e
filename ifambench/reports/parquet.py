"""The stored tables as Parquet, for data frames beyond pandas; needs the extra `parquet`."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

from ifambench.errors import EnvironmentProblem
from ifambench.records.store import load_run, write_bytes_atomic


def write_parquet(folder: Path) -> list[Path]:
    """Write `predictions.parquet` and `explanations.parquet` into the run folder.

    Raises:
        EnvironmentProblem: If pyarrow is not installed, or a stored file is damaged.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise EnvironmentProblem(
            "Parquet files need the package pyarrow",
            where="--parquet",
            next_step="pip install 'ifambench[parquet]'",
        )
    run = load_run(folder)
    written = []
    for name, table in (("predictions", run.predictions), ("explanations", run.explanations)):
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        path = run.folder / f"{name}.parquet"
        write_bytes_atomic(path, buffer.getvalue())
        written.append(path)
    return written
