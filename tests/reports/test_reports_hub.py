from __future__ import annotations

from pathlib import Path

import pytest

from ifambench.errors import UsageError
from ifambench.records.schema import RunRecord
from ifambench.reports.hub import hub_entries, to_yaml, write_hub_yaml

FIELDS = {"dataset", "value", "date", "source", "notes"}
URL = "https://example.org/run"


def test_one_entry_for_each_headline_metric(record: RunRecord):
    entries = hub_entries(record, "owner/waterdigits", URL)
    stored = {row.metric: row for row in record.metrics if row.group == "all" and not row.explainer}
    tasks = [entry["dataset"]["task_id"] for entry in entries]
    assert tasks == ["worst_group_accuracy", "accuracy", "group_mean_accuracy", "bg_gap"]
    for entry in entries:
        assert set(entry) == FIELDS
        assert entry["date"] == record.finished_at
        if entry["dataset"]["task_id"] in stored:
            assert entry["value"] == stored[entry["dataset"]["task_id"]].value
    assert "lower is better" in entries[-1]["notes"]
    assert "protocol standard, split test, seed 0" in entries[0]["notes"]


def test_no_source_without_an_address(record: RunRecord):
    assert all("source" not in entry for entry in hub_entries(record, "owner/name"))


def test_the_hub_library_reads_the_file_back(folder: Path, record: RunRecord, tmp_path: Path):
    hub = pytest.importorskip("huggingface_hub")
    yaml = pytest.importorskip("yaml")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub does not know the format")
    entries = hub_entries(record, "owner/waterdigits", URL)
    parsed = yaml.safe_load(to_yaml(entries))
    assert parsed == entries
    assert hub.eval_result_entries_to_yaml(hub.parse_eval_result_entries(parsed)) == entries


def test_the_file_lies_where_the_hub_looks(record: RunRecord, tmp_path: Path):
    from tests.reports import synthetic

    run = synthetic.write_run(tmp_path / "run")
    path = write_hub_yaml(run / "run.json", "owner/waterdigits")
    assert path == run / ".eval_results" / "waterdigits.yaml"
    assert path.read_text(encoding="utf-8") == to_yaml(hub_entries(record, "owner/waterdigits"))


def test_texts_are_quoted():
    text = to_yaml([{"dataset": {"id": "a/b"}, "value": 0.5, "notes": 'yes: "#" \u2028 ü'}])
    assert (
        text == '- dataset:\n    id: "a/b"\n  value: 0.5\n  notes: "yes: \\"#\\" \\u2028 \\u00fc"\n'
    )


@pytest.mark.parametrize("status", ["partial", "interrupted", "started"])
def test_no_file_for_a_part_of_a_run(record: RunRecord, status: str):
    with pytest.raises(UsageError, match="not complete") as caught:
        hub_entries(record.model_copy(update={"status": status}), "owner/name")
    assert caught.value.next_step == record.command


def test_no_file_for_a_part_of_the_suite_or_a_choice_on_test(record: RunRecord):
    suite = record.suite.model_copy(update={"size": "small"})
    protocol = record.protocol.model_copy(update={"selection": "test_oracle"})
    for changed in ({"suite": suite}, {"protocol": protocol}):
        with pytest.raises(UsageError, match="no result of the suite"):
            hub_entries(record.model_copy(update=changed), "owner/name")


@pytest.mark.parametrize("name", ["", "waterdigits", "a/b/c", "a b/c", "-a/b", "a/b\n"])
def test_the_dataset_has_an_owner_and_a_name(record: RunRecord, name: str):
    with pytest.raises(UsageError, match="no dataset of the Hub"):
        hub_entries(record, name)


def test_the_source_is_an_https_address(record: RunRecord):
    with pytest.raises(UsageError, match="https"):
        hub_entries(record, "owner/name", "file:///etc")
