from pathlib import Path

import pytest

from ifambench.records.schema import RunRecord
from tests.reports import synthetic


@pytest.fixture(scope="session")
def record() -> RunRecord:
    return synthetic.record()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full run folder; do not write into it."""
    return synthetic.write_run(tmp_path_factory.mktemp("run"))
