"""Write the reports of a stored run."""

from __future__ import annotations

from pathlib import Path

from ifambench.records.store import load_run, write_text_atomic
from ifambench.reports.html import render_html
from ifambench.reports.markdown import render_markdown


def write_reports(folder: Path) -> list[Path]:
    """Write `report.md` and `report.html` into the run folder and return their paths.

    Raises:
        UsageError: If there is no run.
        EnvironmentProblem: If a stored file is damaged, or the folder cannot be written to.
    """
    run = load_run(folder)
    written = []
    for name, render in (("report.md", render_markdown), ("report.html", render_html)):
        path = run.folder / name
        write_text_atomic(path, render(run))
        written.append(path)
    return written
