from __future__ import annotations

import json

import pytest

from tests.reports import synthetic


@pytest.fixture
def run(tmp_path):
    return synthetic.write_run(tmp_path / "run")


def test_the_paths_are_printed(cli, run):
    shown = cli("report", run)
    assert shown.code == 0
    assert shown.out.splitlines() == [str(run / "report.md"), str(run / "report.html")]
    written = json.loads(cli("report", run, "--format", "json").out)
    assert written == {"reports": shown.out.splitlines()}


def test_the_report_itself_in_other_formats(cli, run):
    shown = cli("report", run, "--format", "markdown")
    assert shown.code == 0
    assert "## Protocol" in shown.out
    assert "Reproduce: ifambench run waterdigits" in shown.out
    assert str(run / "report.html") in shown.err
    assert cli("report", run, "--format", "latex").out.count(r"\begin{tabular}") > 8


def test_the_job_summary_is_appended_within_the_limit_of_the_step(cli, run, tmp_path, monkeypatch):
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    file.write_text("x" * (1024 * 1024 - 3000), encoding="utf-8")
    assert cli("report", run, "--format", "github").code == 0
    text = file.read_text(encoding="utf-8")
    assert 1024 * 1024 - 3000 < len(text.encode()) <= 1024 * 1024
    assert "Left out to stay within" in text
    for _ in range(3):  # a full step takes no more, and that is no failure
        assert cli("report", run, "--format", "github").code == 0
    assert file.stat().st_size <= 1024 * 1024


def test_hub_yaml_is_written_on_request(cli, run):
    shown = cli("report", run, "--hub-yaml", "owner/waterdigits")
    assert shown.code == 0
    assert shown.out.splitlines()[-1] == str(run / ".eval_results" / "waterdigits.yaml")
    bare = cli("report", run, "--hub-source", "https://example.org")
    assert bare.code == 2
    assert "--hub-yaml" in bare.err


def test_no_hub_yaml_for_a_partial_run(cli, tmp_path):
    run = synthetic.write_run(tmp_path / "part", status="partial")
    shown = cli("report", run, "--hub-yaml", "owner/waterdigits")
    assert shown.code == 2
    assert "not complete (partial)" in shown.err
    assert not (run / ".eval_results").exists()


def test_no_run_is_a_usage_error(cli, tmp_path):
    assert cli("report", tmp_path / "nothing").code == 2
