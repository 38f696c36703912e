"""`.eval_results/<suite>.yaml`: the headline numbers of a run, as the Hugging Face Hub reads them.

The file belongs into a model repository; the Hub shows it on the model page and on the leaderboard
of the benchmark dataset (https://huggingface.co/docs/hub/eval-results). It is written with the
fields of that format only, and nothing is uploaded. `task_id` is the name of the metric here, so
the `eval.yaml` of the dataset must name its tasks so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ifambench.errors import UsageError
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import load_run, write_text_atomic
from ifambench.reports.rows import row

FOLDER = ".eval_results"

_HEADLINES = ("worst_group_accuracy", "accuracy", "group_mean_accuracy", "bg_gap")
_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def write_hub_yaml(folder: Path, dataset: str, source_url: str | None = None) -> Path:
    """Write the file into the run folder and return its path.

    Args:
        folder: A run folder, or a file in it.
        dataset: The benchmark dataset on the Hub, `OWNER/NAME`.
        source_url: Where the run can be seen.

    Raises:
        UsageError: If there is no run, if it may not be ranked (not complete, a part of the suite,
            selected on the test split), or if an argument is not valid.
    """
    run = load_run(folder)
    entries = hub_entries(run.record, dataset, source_url)
    name = re.sub(r"[^A-Za-z0-9._+-]", "-", run.record.suite.id)
    path = run.folder / FOLDER / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    write_text_atomic(path, to_yaml(entries))
    return path


def hub_entries(
    record: RunRecord, dataset: str, source_url: str | None = None
) -> list[dict[str, Any]]:
    """One entry per headline metric, the primary one of the protocol first.

    Raises:
        UsageError: See `write_hub_yaml`.
    """
    _check(record, dataset, source_url)
    metrics = dict.fromkeys((record.protocol.primary_metric, *_HEADLINES))
    found = [item for name in metrics if (item := row(record, name)) is not None]
    source = {"url": source_url, "name": f"ifambench {record.ifambench_version}"}
    return [
        {
            "dataset": {"id": dataset, "task_id": item.metric},
            "value": item.value,
            **({"date": record.finished_at} if record.finished_at else {}),
            **({"source": source} if source_url else {}),
            "notes": _notes(record, item),
        }
        for item in found
        if item.value is not None
    ]


def to_yaml(entries: list[dict[str, Any]]) -> str:
    """The entries as YAML: mappings of quoted texts and plain numbers.

    >>> print(to_yaml([{"dataset": {"id": "a/b"}, "value": 1e-05}]), end="")
    - dataset:
        id: "a/b"
      value: 0.00001
    """
    lines = []
    for entry in entries:
        first, *rest = _yaml_lines(entry)
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return "\n".join(lines) + "\n"


def _yaml_lines(content: dict[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield f"{key}:"
            yield from (f"  {line}" for line in _yaml_lines(value))
        else:
            yield f"{key}: {_scalar(value)}"


def _scalar(value: str | float) -> str:
    """A JSON text is a YAML one; a number without exponent is one for every parser."""
    if isinstance(value, str):
        return json.dumps(value)
    return np.format_float_positional(value, trim="0")


def _notes(record: RunRecord, item: Metric) -> str:
    limits = f"95 % interval [{item.ci_low:.4f}, {item.ci_high:.4f}], " if _has_limits(item) else ""
    place = f"{item.group}, " if item.group != "all" else ""
    better = "lower is better, " if item.higher_is_better is False else ""
    return (
        f"{better}{place}{limits}n {item.n}; {record.suite.id} {record.suite.version}, protocol "
        f"{record.protocol.name}, split {record.protocol.eval_split}, seed {record.seed}; "
        f"group labels: {record.model.labels_needed}"
    )


def _has_limits(item: Metric) -> bool:
    return item.ci_low is not None and item.ci_high is not None


def _check(record: RunRecord, dataset: str, source_url: str | None) -> None:
    if reason := _not_a_result(record):
        raise UsageError(
            f"this run is no result of the suite: {reason}",
            where="--hub-yaml",
            next_step=record.command,
        )
    if not _DATASET.fullmatch(dataset):
        raise UsageError(
            f'"{dataset}" is no dataset of the Hub',
            where="--hub-yaml",
            next_step="--hub-yaml OWNER/NAME",
        )
    if source_url is not None and not source_url.startswith("https://"):
        raise UsageError(f'"{source_url}" is no https address', where="--hub-source")


def _not_a_result(record: RunRecord) -> str:
    """Why the numbers are not those of a model on the suite; an empty text if they are."""
    if record.status != "complete":
        return f"not complete ({record.status})"
    if record.protocol.selection == "test_oracle":
        return "selected on the test split"
    return "" if record.suite.size == "default" else f"size {record.suite.size}"
