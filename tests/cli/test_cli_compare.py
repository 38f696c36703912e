from __future__ import annotations

import json

import pytest

from ifambench.metrics.uncertainty import holm
from tests.compare_support import outcomes, run, store
from tests.reports.golden_support import assert_golden


def folder(results, model, seed=0):
    return results / "waterdigits@1" / model / "standard" / f"seed{seed}"


@pytest.fixture
def pair(results):
    return folder(results, "vit"), folder(results, "ifam")


def test_two_run_folders(cli, pair):
    shown = cli("compare", *pair)
    assert shown.code == 0
    assert "B: ifam, compared with A: vit" in shown.out
    assert "ifam is 30.0 pp" in shown.out
    assert "SRG of all explainers" in shown.out
    assert shown.out.count("better than vit") == 1
    assert shown.err == ""


def test_a_file_of_the_run_stands_for_it(cli, pair):
    assert cli("compare", pair[0] / "run.json", pair[1]).out == cli("compare", *pair).out


def test_gates_decide_the_exit_code(cli, pair):
    passed = cli("compare", *pair, "--fail-under", "worst_group_accuracy=0.85")
    assert passed.code == 0
    assert "worst_group_accuracy >= 0.85" in passed.out
    failed = cli("compare", *reversed(pair), "--max-drop", "worst_group_accuracy=1pp")
    assert failed.code == 1
    assert "regressed" in failed.out
    assert failed.err.splitlines()[0] == "error: 1 of 1 gates failed"


def test_strict_fails_what_is_within_the_noise(cli, tmp_path):
    root = tmp_path / "x"
    a = store(root, run(outcomes((190, 200), (150, 200)), model="a"))
    b = store(root, run(outcomes((190, 200), (145, 200)), model="b"))
    gate = ("compare", a, b, "--max-drop", "worst_group_accuracy=1pp")
    assert cli(*gate).code in (0, 1)
    assert cli(*gate, "--strict").code == 1


def test_the_gates_of_the_settings_file(cli, pair, tmp_path):
    text = '[gate]\nfail_under = ["worst_group_accuracy=0.99"]\nstrict = true\n'
    (tmp_path / "ifambench.toml").write_text(text)
    assert cli("compare", *pair).code == 1
    assert cli("compare", *pair, "--fail-under", "worst_group_accuracy=0.5").code == 0


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (("--fail-under", "worst_group_accuracy"), "METRIC=VALUE"),
        (("--fail-under", "worst_grup_accuracy=0.5"), "did you mean worst_group_accuracy"),
        (("--fail-under", "accuracy=85"), "fraction of 1"),
        (("--max-drop", "accuracy=1"), "unit"),
    ],
)
def test_a_gate_that_cannot_be_read_is_2(gate, message, cli, pair):
    shown = cli("compare", *pair, *gate)
    assert shown.code == 2
    assert message in shown.err


def test_json_holds_everything(cli, pair):
    gate = ("--fail-under", "worst_group_accuracy=0.99")
    shown = cli("compare", *pair, *gate, "--format", "json")
    content = json.loads(shown.out, parse_constant=pytest.fail)
    assert shown.code == 1
    assert content["passed"] is False
    assert content["gates"][0]["outcome"] == "failed"
    rows = {(row["metric"], row["group"]): row for row in content["rows"]}
    assert rows["group_accuracy", "water"]["a"] == 0.6
    assert rows["group_accuracy", "water"]["explainer"] is None


def test_markdown_has_the_verdict_once(cli, pair):
    shown = cli("compare", *pair, "--format", "markdown", "--fail-under", "accuracy=0.5")
    assert "| measure | A | B |" in shown.out
    assert shown.out.count("better than vit") == 1
    assert "## Gates" in shown.out


def test_github_writes_annotations_and_the_job_summary(cli, pair, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    gates = ("--fail-under", "accuracy=0.99", "--fail-under", "accuracy=0.5")
    shown = cli("compare", *pair, *gates, "--format", "github")
    lines = shown.out.splitlines()
    assert lines[0].startswith("::error title=ifambench::accuracy >= 0.99: ")
    assert lines[1].startswith("::notice title=ifambench::accuracy >= 0.5: ")
    assert all(line.startswith("::") for line in lines)
    assert summary.read_text().startswith("before\n## B: ifam")
    assert shown.code == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    assert cli("compare", *pair, "--format", "github").code == 3
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert "## B: ifam" in cli("compare", *pair, "--format", "github").out


def test_folders_with_seeds_are_compared_over_common_seeds(cli, results):
    sides = [folder(results, name).parent for name in ("vit", "ifam")]
    shown = cli("compare", *sides)
    assert shown.code == 0
    assert "over training seeds" in shown.out
    assert "Warning: seeds that only one side has are left out: 2" in shown.out
    assert "paired_t" in shown.out
    content = json.loads(cli("compare", *sides, "--format", "json").out)
    assert {row["a_n"] for row in content["rows"]} == {2}


def test_gates_on_seeds(cli, results):
    sides = [folder(results, name).parent.parent for name in ("vit", "ifam")]
    assert cli("compare", *sides, "--fail-under", "worst_group_accuracy=0.85").code == 0
    shown = cli("compare", *reversed(sides), "--max-drop", "worst_group_accuracy=1pp")
    assert shown.code == 1
    assert "regressed" in shown.out


def test_one_run_is_compared_with_the_same_seed_of_a_folder(cli, results):
    seeds = folder(results, "ifam").parent
    shown = cli("compare", folder(results, "vit", 1), seeds, "--format", "json")
    content = json.loads(shown.out)
    assert content["rows"][1]["n"] == 200
    alone = cli("compare", folder(results, "vit", 2), seeds)
    assert alone.code == 2
    assert "no training seed in common" in alone.err


def test_models_by_name(cli, results):
    named = cli("compare", "vit", "ifam", "--results", results)
    assert named.out == cli("compare", *(folder(results, m).parent for m in ("vit", "ifam"))).out
    suite = ("--suite", "waterdigits")
    assert cli("compare", "vit", "ifam", "--results", results, *suite).code == 0


def test_a_name_that_is_not_there(cli, results):
    shown = cli("compare", "vitt", "ifam", "--results", results)
    assert shown.code == 2
    assert 'unknown run or model "vitt" (did you mean vit?)' in shown.err
    assert cli("compare", "vit", "ifam", "--results", results, "--suite", "x").code == 2
    assert cli("compare", "vit", "ifam", "--results", "nowhere").code == 2


def test_a_folder_with_several_models_is_refused(cli, results):
    shown = cli("compare", results, folder(results, "vit"))
    assert shown.code == 2
    assert "several models" in shown.err
    assert str(folder(results, "vit").parent) in shown.err


def test_a_path_without_a_run_is_refused(cli, results, tmp_path):
    assert cli("compare", tmp_path / "nothing", folder(results, "vit")).code == 2
    (tmp_path / "empty").mkdir()
    assert cli("compare", tmp_path / "empty", folder(results, "vit")).code == 2


def test_runs_that_do_not_compare_need_force(cli, pair, tmp_path):
    other = store(tmp_path, run(outcomes((19, 20), (12, 20)), suite={"data_digest": "zz"}))
    shown = cli("compare", pair[0], other)
    assert shown.code == 2
    assert "suite.data_digest" in shown.err
    forced = cli("compare", pair[0], other, "--force")
    assert forced.code == 0
    assert "Warning: forced: suite.data_digest differs" in forced.out


def test_force_does_not_go_with_seeds(cli, results):
    sides = [folder(results, name).parent for name in ("vit", "ifam")]
    assert cli("compare", *sides, "--force").code == 2


def test_force_labels_every_format(cli, pair, tmp_path):
    other = store(tmp_path, run(outcomes((19, 20), (12, 20)), suite={"data_digest": "zz"}))
    words = ("compare", pair[0], other, "--force", "--format")
    for name in ("table", "markdown", "github"):
        shown = cli(*words, name)
        assert "(forced: the runs are not comparable)" in shown.out
        assert "forced comparison: " in shown.out
    content = json.loads(cli(*words, "json").out)
    assert content["forced"]
    assert content["verdict"].startswith("forced comparison: ")


@pytest.fixture
def three(results, tmp_path):
    """The baseline and two candidates."""
    own = store(tmp_path / "x", run(outcomes((190, 200), (150, 200)), model="dfr"))
    return folder(results, "vit"), folder(results, "ifam"), own


def test_several_candidates_have_an_overview_and_a_table_each(cli, three):
    shown = cli("compare", *three)
    assert shown.code == 0
    assert "worst-group accuracy of 2 candidates against vit" in shown.out
    assert "B: ifam, compared with A: vit" in shown.out
    assert "B: dfr, compared with A: vit" in shown.out
    assert "ifam is 30.0 pp" in shown.out
    assert "dfr is 15.0 pp" in shown.out
    assert "and all 2 candidates" in shown.out


def test_gates_of_several_candidates_are_named(cli, three):
    shown = cli("compare", *three, "--fail-under", "worst_group_accuracy=0.8", "--format", "json")
    assert shown.code == 1
    content = json.loads(shown.out, parse_constant=pytest.fail)
    assert {gate["name"]: gate["passed"] for gate in content["gates"]} == {
        "ifam: worst_group_accuracy >= 0.8": True,
        "dfr: worst_group_accuracy >= 0.8": False,
    }
    assert [item["b"] for item in content["comparisons"]] == ["ifam", "dfr"]
    groups = [row for row in content["rows"] if row["metric"] == "group_accuracy"]
    assert [row["candidate"] for row in groups] == ["ifam", "ifam", "dfr", "dfr"]
    p_values, adjusted = ([row[key] for row in groups] for key in ("p", "p_holm"))
    assert adjusted == pytest.approx(holm(p_values))


def test_single_runs_and_seeds_can_stand_side_by_side(cli, results, three):
    shown = cli("compare", folder(results, "vit").parent, folder(results, "ifam").parent, three[2])
    assert shown.code == 0
    assert "over training seeds" in shown.out
    assert "B: dfr, compared with A: vit" in shown.out


def test_the_gates_of_one_suite(cli, pair, tmp_path):
    text = (
        '[gate]\nfail_under = ["worst_group_accuracy=0.99"]\n'
        '[gate.waterdigits]\nfail_under = ["worst_group_accuracy=0.5"]\n'
    )
    (tmp_path / "ifambench.toml").write_text(text)
    assert cli("compare", *pair).code == 0
    assert cli("compare", *pair, "--fail-under", "worst_group_accuracy=0.99").code == 1
    (tmp_path / "ifambench.toml").write_text(text.replace("waterdigits", "other"))
    assert cli("compare", *pair).code == 1


GATES = (
    *("--fail-under", "worst_group_accuracy=0.85", "--fail-under", "srg:ifam-mask=0.5"),
    *("--max-drop", "group_accuracy:land=1pp"),
)


def shown_lines(text):
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 200])
def test_the_tables_at_two_widths(width, cli, three, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    text = cli("compare", *three[:2], *GATES).out
    assert_golden(f"compare_{width}.txt", shown_lines(text))
    tables = text.split("ifam is 30.0 pp")[0]  # sentences are not wrapped
    assert max(map(len, tables.splitlines())) <= width


def test_several_candidates_at_80_columns(cli, three, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert_golden("compare_many_80.txt", shown_lines(cli("compare", *three).out))


def test_seeds_at_80_columns(cli, results, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    sides = [folder(results, name).parent for name in ("vit", "ifam")]
    assert_golden("compare_seeds_80.txt", shown_lines(cli("compare", *sides).out))


@pytest.mark.parametrize("name", ["json", "markdown", "github"])
def test_the_other_formats(name, cli, three):
    text = cli("compare", *three[:2], *GATES, "--format", name).out
    if name == "json":
        content = json.loads(text, parse_constant=pytest.fail)
        rows = [{key: row[key] for key in ("metric", "group", "better")} for row in content["rows"]]
        own = [
            item["explainer"] for item in content["explainers"]
        ]  # no last digits in a golden file
        text = json.dumps({**content, "rows": rows, "explainers": own}, indent=1)
    assert_golden(f"compare_{name}.txt", shown_lines(text))


def test_a_pipe_has_no_colour_and_no_wrapped_sentence(process, three):
    shown = process("compare", *three[:2])
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert any(line.startswith("ifam is 30.0 pp") for line in shown.out.splitlines())


def test_leaderboard_writes_and_checks(cli, results, tmp_path):
    import shutil

    place = tmp_path / "results"
    shutil.copytree(results, place)
    stale = cli("leaderboard", "--check")
    assert stale.code == 1
    assert "LEADERBOARD.md is stale" in stale.out
    shown = cli("leaderboard")
    assert shown.code == 0
    assert "waterdigits@1, protocol standard" in shown.out
    names = ("LEADERBOARD.md", "leaderboard.csv", "leaderboard.html")
    assert shown.err.splitlines() == [f"results/{name}" for name in names]
    assert cli("leaderboard", "--check").out == "results: up to date\n"
    content = json.loads(cli("leaderboard", "--format", "json").out, parse_constant=pytest.fail)
    assert [row["model"] for row in content["rows"]] == ["ifam", "vit"]
    (place / "leaderboard.csv").write_text("x")
    github = cli("leaderboard", "--check", "--format", "github")
    assert github.out.startswith("::error title=ifambench::leaderboard.csv is stale")


def test_leaderboard_of_no_folder_is_2(cli):
    assert cli("leaderboard").code == 2
