import re
import subprocess
import sys
import tomllib
from pathlib import Path

from ifambench.records import provenance
from ifambench.records.key import digest
from ifambench.records.provenance import collect_environment, peak_memory_bytes, utc_now

ROOT = Path(__file__).resolve().parents[2]


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def _checkout(folder: Path) -> Path:
    (folder / "ifambench").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("")
    (folder / "ifambench" / "x.py").write_text("")
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    return folder.resolve()


def test_packages_are_the_direct_dependencies():
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    assert set(provenance.PACKAGES) == {re.split(r"[<>=\[]", name)[0] for name in declared}


def test_environment_has_no_guesses():
    environment = collect_environment("cpu", "float32", 2)
    assert environment.device == "cpu"
    assert environment.packages["numpy"]
    assert "?" not in environment.model_dump_json()


def test_commit_and_dirty_of_a_checkout(tmp_path: Path, monkeypatch):
    source = _checkout(tmp_path / "src")
    monkeypatch.setattr(provenance, "_SOURCE", source)
    clean = collect_environment("cpu", "float32", 1)
    assert re.fullmatch("[0-9a-f]{40}", str(clean.git_commit))
    assert clean.git_dirty is False
    (source / "results").mkdir()
    (source / "results" / "run.json").write_text("{}")
    assert collect_environment("cpu", "float32", 1).git_dirty is False
    (source / "ifambench" / "new.py").write_text("")
    assert collect_environment("cpu", "float32", 1).git_dirty is True


def test_no_commit_outside_a_checkout(tmp_path: Path, monkeypatch):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "pyproject.toml").write_text("")
    inside = _checkout(tmp_path / "src") / "venv"  # installed below another project's checkout
    inside.mkdir()
    (inside / "pyproject.toml").write_text("")
    for source in (plain, inside, tmp_path / "missing"):
        monkeypatch.setattr(provenance, "_SOURCE", source.resolve())
        environment = collect_environment("cpu", "float32", 1)
        assert (environment.git_commit, environment.git_dirty) == (None, None)


def test_time_and_memory():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())
    peak = peak_memory_bytes()
    assert peak is None or peak > 10_000_000


def test_digest_depends_on_content_only():
    assert digest({"a": 1, "b": ["ü"]}) == digest({"b": ["ü"], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_records_import_no_torch():
    code = (
        "import sys, ifambench.records.store, ifambench.records.lock, "
        "ifambench.records.provenance; "
        "assert not {'torch', 'matplotlib', 'jinja2', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
