import json
from pathlib import Path
from typing import Any

import pytest

from ifambench.errors import EXIT_ENVIRONMENT, EnvironmentProblem
from ifambench.records import record as module
from ifambench.records.record import read_record, record_text, write_record
from ifambench.records.schema import SCHEMA_VERSION, Metric
from tests.records.records_support import small_record


def _rewrite(folder: Path, **changes: Any) -> Path:
    path = write_record(folder, small_record())
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_round_trip_by_folder_and_file(tmp_path: Path):
    path = write_record(tmp_path, small_record())
    assert read_record(tmp_path) == read_record(path) == small_record()


def test_nan_is_refused_with_its_key(tmp_path: Path):
    metric = {"metric": "accuracy", "value": float("nan"), "n": 1}
    with pytest.raises(ValueError, match=r"metrics\.0\.value"):
        small_record(metrics=[metric])
    with pytest.raises(ValueError, match=r"recipe\.lr"):
        write_record(tmp_path, small_record(recipe={"lr": float("inf")}))
    built = [Metric.model_construct(metric="accuracy", value=float("nan"), n=1)]
    with pytest.raises(ValueError, match=r"metrics\[0\]\.value"):
        record_text(small_record().model_copy(update={"metrics": built}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ('"metrics": [{"metric": "accuracy", "n": 1, "value": 1e999}]', "metrics.0.value"),
        ('"recipe": {"optimizer": {"lr": -1e999}}', "recipe.optimizer.lr"),
        ('"explaining": {"explainers": {"x": {"seconds": 1e999}}}', "explainers.x.seconds"),
    ],
)
def test_a_number_beyond_all_bounds_is_refused_with_its_key(tmp_path: Path, part: str, key: str):
    """JSON has no infinity, but numbers that are read as one."""
    path = write_record(tmp_path, small_record())
    name = part.partition(":")[0]
    kept = [line for line in json.loads(path.read_text()).items() if f'"{line[0]}"' != name]
    path.write_text(f"{json.dumps(dict(kept), indent=2)[:-2]},\n  {part}\n}}")
    with pytest.raises(EnvironmentProblem) as caught:
        read_record(tmp_path)
    assert str(caught.value.where).endswith(key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not strict JSON"),
        ("", "not strict JSON"),
        ("[]", "not a JSON object"),
        ('{"schema_version": 1, "seed": NaN}', "NaN is not a JSON number"),
        ("{}", "no schema version"),
        ('{"schema_version": true}', "no schema version"),
        ('{"schema_version": "1"}', "no schema version"),
        ('{"schema_version": 0}', "no longer read"),
    ],
)
def test_damaged_records_name_the_file(tmp_path: Path, text: str, message: str):
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(EnvironmentProblem, match=message) as caught:
        read_record(tmp_path)
    assert str(path) in str(caught.value.where)
    assert caught.value.exit_code == EXIT_ENVIRONMENT


def test_schema_violations_name_the_key(tmp_path: Path):
    path = _rewrite(tmp_path, metrics=[{"metric": "accuracy", "n": 1, "value": "high"}])
    with pytest.raises(EnvironmentProblem) as caught:
        read_record(tmp_path)
    assert caught.value.where == f"{path}: metrics.0.value"
    _rewrite(tmp_path, colour="red")
    with pytest.raises(EnvironmentProblem, match="colour"):
        read_record(tmp_path)


def test_many_violations_are_counted(tmp_path: Path):
    _rewrite(tmp_path, **{f"extra{k}": 1 for k in range(9)})
    with pytest.raises(EnvironmentProblem, match="6 more"):
        read_record(tmp_path)


def test_newer_schema_is_refused_with_the_upgrade_line(tmp_path: Path):
    _rewrite(tmp_path, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(EnvironmentProblem, match="newer ifambench") as caught:
        read_record(tmp_path)
    assert caught.value.next_step == "pip install --upgrade ifambench"


def test_older_records_are_migrated_step_by_step(tmp_path: Path, monkeypatch):
    def rename(content: dict[str, Any]) -> dict[str, Any]:
        content["seed"] = content.pop("random_seed")
        return content

    def add(content: dict[str, Any]) -> dict[str, Any]:
        return content | {"warnings": [*content["warnings"], "migrated"]}

    path = _rewrite(tmp_path, schema_version=SCHEMA_VERSION - 2, random_seed=7)
    path.write_text(path.read_text().replace('"seed": 0, ', ""))
    steps = {SCHEMA_VERSION - 2: rename, SCHEMA_VERSION - 1: add}
    monkeypatch.setattr(module, "_MIGRATIONS", steps)
    record = read_record(tmp_path)
    assert (record.seed, record.warnings) == (7, ["migrated"])
    assert record.schema_version == SCHEMA_VERSION


def test_every_version_since_the_first_has_a_migration():
    assert set(module._MIGRATIONS) == set(range(1, SCHEMA_VERSION))


def test_missing_record(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match="cannot read"):
        read_record(tmp_path / "run.json")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"schema_version": 1', '"schema_version": "1"'),
        lambda text: text.replace('"schema_version": 1', '"schema_version": true'),
        lambda text: text.replace('  "schema_version": 1,\n', ""),
        lambda text: text.replace('"value": 0.5', '"value": NaN'),
        lambda text: text.replace('"value": 0.5', '"value": -Infinity'),
        lambda text: text.replace('"seed": 0', '"seed": 0, "more": 1'),
        lambda text: text + "x",
        lambda text: "\ufeff" + text,
    ],
)
def test_the_quick_way_takes_nothing_that_the_long_one_refuses(tmp_path, change):
    path = write_record(tmp_path, small_record())
    assert module._quickly(path) == small_record()
    changed = change(path.read_text(encoding="utf-8"))
    assert changed != path.read_text(encoding="utf-8")
    path.write_text(changed, encoding="utf-8")
    assert module._quickly(path) is None
    with pytest.raises(EnvironmentProblem):
        read_record(path)


@pytest.mark.parametrize(
    "file", ["../predictions.csv.gz", "/etc/hosts", "a/b.csv", "..", "", "a\\b"]
)
def test_a_table_lies_beside_its_record(tmp_path: Path, file: str):
    _rewrite(tmp_path, tables={"predictions": {"file": file, "rows": 1, "sha256": "aa"}})
    with pytest.raises(EnvironmentProblem) as caught:
        read_record(tmp_path)
    assert "tables.predictions.file" in str(caught.value.where)
