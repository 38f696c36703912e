"""`ifambench leaderboard` and `ifambench list runs`, also with many records."""

from __future__ import annotations

import json
import shutil

import pytest

from ifambench.board import build, check
from ifambench.ranking import collect, rank
from ifambench.records import index as index_module
from ifambench.records.index import open_index
from ifambench.records.store import write_record
from tests.cli.conftest import python
from tests.compare_support import outcomes, record, run

HEAVY = ("torch", "timm", "captum", "sklearn", "matplotlib", "lightning_fabric")


@pytest.fixture
def place(results, tmp_path):
    shutil.copytree(results, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """200 records without tables: 2 suites, 25 models, 4 seeds."""
    root = tmp_path_factory.mktemp("many")
    scored = [run(outcomes((190, 200), (water, 200))).record.metrics for water in (90, 140, 185)]
    for number in range(200):
        suite, model, seed = f"s{number % 2}", f"vit@num_parts={number // 8}", number // 2 % 4
        found = record(model, seed, suite={"id": suite})
        metrics = scored[(number // 8 + number % 7 // 6) % 3]
        folder = root / f"{suite}@1" / model / "standard" / f"seed{seed}"
        write_record(folder, found.model_copy(update={"metrics": metrics}))
    return root


def test_the_ranking_is_the_same_with_and_without_an_index(many, monkeypatch):
    monkeypatch.setattr(index_module, "_SETTLED_NS", -(10**18))
    plain = rank(collect(many), {})
    for read in (200, 0):
        index = open_index(many)
        found = rank(collect(many, index), {})
        index.save()
        assert index.read == read
        assert found.equals(plain)
    assert len(plain) == 50
    assert build(many).frame.equals(plain)


def test_long_lists_name_every_run(many, cli, monkeypatch):
    monkeypatch.setattr("ifambench.reports.long_table.LONG", 100)
    shown = cli("list", "runs", "--results", many)
    assert shown.code == 0
    assert shown.out.count("complete") == 200
    assert shown.out.splitlines()[0] == "Runs"
    rows = json.loads(cli("list", "runs", "--results", many, "--format", "json").out)
    assert len(rows) == 200
    assert {"run", "status", "worst group", "finished"} <= set(rows[0])
    assert all(row["run"] in shown.out for row in rows)


def test_it_writes_four_kinds_of_files_and_checks_them(cli, place):
    shown = cli("leaderboard", "--badges", "badges", "--format", "json")
    assert shown.code == 0
    content = json.loads(shown.out, parse_constant=pytest.fail)
    assert [row["evidence"] for row in content["rows"]] == ["verified", "verified"]
    assert content["files"] == [
        *("results/LEADERBOARD.md", "results/leaderboard.csv", "results/leaderboard.html"),
        *("badges/waterdigits@1/ifam/standard.json", "badges/waterdigits@1/vit/standard.json"),
    ]
    assert cli("leaderboard", "--check", "--badges", "badges").out == "results: up to date\n"
    (place / "leaderboard.html").write_text("x")
    stale = cli("leaderboard", "--check", "--badges", "badges")
    assert stale.code == 1
    assert stale.out.startswith("leaderboard.html is stale")


def test_check_does_not_trust_the_index(cli, place, monkeypatch):
    monkeypatch.setattr(index_module, "_SETTLED_NS", -(10**18))
    assert cli("leaderboard").code == 0
    index = open_index(place)
    rows = list(index.rows())
    index.note(rows[0], "k", [], lambda: "x")
    good = index.lines[rows[0].place]
    index.lines[rows[0].place] = good.replace(b"0.9", b"0.1")
    assert index.lines[rows[0].place] != good
    index.save()
    assert (
        build(place).frame["accuracy_mean"].tolist()
        != rank(collect(place))["accuracy_mean"].tolist()
    )
    assert check(place) == []


def test_what_records_need_imports_nothing_heavy(results):
    words = [
        f"leaderboard --check --results {results}",
        f"list runs --results {results}",
        f"compare vit ifam --results {results}",
        f"score --check {results}/waterdigits@1/vit/standard/seed0",
    ]
    code = f"""
import sys
from ifambench.cli import main
codes = [main(words.split()) for words in {words!r}]
sys.stderr.write("END" + repr((codes, sorted(set({HEAVY!r}) & set(sys.modules)))))
"""
    assert python(code).stderr.partition("END")[2] == repr(([1, 0, 0, 0], []))


def test_listing_does_not_import_pandas(results):
    code = f"""
import sys
from ifambench.cli import main
main(["list", "runs", "--results", {str(results)!r}])
sys.stderr.write(repr(sorted({{"pandas", "scipy", "jinja2"}} & set(sys.modules))))
"""
    assert python(code).stderr == "[]"
