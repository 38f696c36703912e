"""`ifambench compare main HEAD`: runs as they are committed."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ifambench.cli.compare_revisions import _inside, revision_runs
from tests.compare_support import outcomes, run, store

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

PLAIN = ("compare", "main", "HEAD", "--suite", "waterdigits", "--model", "vit")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose results became worse on a branch; the working tree has none."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, 180, model="vit")
    commit(tmp_path, 150, model="ifam")
    git(tmp_path, "checkout", "--quiet", "-b", "change")
    commit(tmp_path, 100, model="vit")
    shutil.rmtree(tmp_path / "results")
    return tmp_path


def git(folder, *words):
    person = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", *person, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(folder, water, **changes):
    store(folder / "results", run(outcomes((190, 200), (water, 200)), **changes))
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "results")


def test_two_revisions_of_one_model(cli, repository):
    shown = cli(*PLAIN, "--max-drop", "worst_group_accuracy=1pp")
    assert shown.code == 1
    assert "B: vit seed 0 (HEAD), compared with A: vit seed 0 (main)" in shown.out
    assert "vit seed 0 (HEAD) is 40.0 pp" in shown.out
    assert not (repository / "results").exists()
    assert git(repository, "status", "--porcelain", "--untracked-files=all").count(" D ") == 6


def test_a_path_in_a_revision(cli, repository):
    path = "results/waterdigits@1/vit/standard"
    shown = cli("compare", f"main:{path}", f"HEAD:{path}/seed0")
    assert shown.code == 0
    assert "vit seed 0 (HEAD:results/waterdigits@1/vit/standard/seed0) is 40.0 pp" in shown.out


def test_a_revision_against_the_working_tree(cli, repository):
    git(repository, "checkout", "--quiet", "main", "--", "results")
    shown = cli("compare", "HEAD", "results", "--suite", "waterdigits", "--model", "vit")
    assert shown.code == 0
    assert "vit seed 0 (B) is 40.0 pp" in shown.out


def test_a_revision_with_one_model_needs_no_name(cli, repository):
    first = git(repository, "rev-list", "--max-parents=0", "HEAD").strip()
    assert cli("compare", first, first[:12]).code == 0


def test_several_models_need_a_name(cli, repository):
    shown = cli("compare", "main", "HEAD")
    assert shown.code == 2
    assert "stands for several models" in shown.err
    assert "--model NAME" in shown.err


def test_a_model_comes_before_a_branch_of_that_name(cli, repository):
    git(repository, "branch", "vit", "main")
    git(repository, "checkout", "--quiet", "HEAD", "--", "results")
    shown = cli("compare", "vit", "ifam")
    assert "B: ifam, compared with A: vit" in shown.out


@pytest.mark.parametrize("name", ["nothing", "main..HEAD", "HEAD^{tree}", "--all", "-h", "a b"])
def test_what_is_no_commit_is_refused(name, cli, repository):
    shown = cli("compare", "--model", "vit", "--", name, "HEAD")
    assert shown.code == 2
    assert "is neither a run, a model nor a revision" in shown.err


def test_no_name_is_ever_an_option_of_git(repository, tmp_path):
    target = tmp_path / "written"
    for name in (f"--output={target}", f"--upload-pack=touch {target}", "--exec=touch x"):
        with pytest.raises(Exception, match="neither a run"):
            revision_runs(name, tmp_path / "results", lambda _: True, lambda _: None)
    assert not target.exists()


def test_a_revision_without_the_run(cli, repository):
    shown = cli(*PLAIN[:-1], "other")
    assert shown.code == 2
    assert "the revision main has no such run in results" in shown.err
    assert "results/waterdigits@1/vit/standard" in shown.err
    gone = cli("compare", "main:elsewhere", "HEAD", "--model", "vit")
    assert gone.code == 2
    assert "no such run in elsewhere" in gone.err


def test_without_a_repository(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shown = cli(*PLAIN)
    assert shown.code == 3
    assert "no git repository" in shown.err


def test_without_git(cli, repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository / "empty"))
    shown = cli(*PLAIN)
    assert shown.code == 3
    assert "git is not installed" in shown.err


def test_a_name_that_is_nothing_is_no_revision_either(cli, repository):
    git(repository, "checkout", "--quiet", "HEAD", "--", "results")
    shown = cli("compare", "vitt", "ifam")
    assert shown.code == 2
    assert 'unknown run or model "vitt" (did you mean vit?)' in shown.err


def test_links_are_not_followed_and_nothing_else_is_read(cli, repository):
    folder = repository / "results/waterdigits@1/vit/standard/seed0"
    git(repository, "checkout", "--quiet", "HEAD", "--", "results")
    (folder / "predictions.csv.gz").unlink()
    (folder / "predictions.csv.gz").symlink_to("/etc/hostname")
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--quiet", "--message", "link")
    shown = cli(*PLAIN)
    assert shown.code == 3
    assert "predictions.csv.gz" in shown.err


def test_paths_that_leave_the_folder_are_left_out():
    from pathlib import PurePosixPath

    assert _inside(PurePosixPath("results/a@1/m/standard/seed0/run.json"))
    assert not _inside(PurePosixPath("results/../../run.json"))
    assert not _inside(PurePosixPath("/run.json"))
    assert not _inside(PurePosixPath(".git/run.json"))
