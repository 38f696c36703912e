"""A whole suite: what is missing, licence, lock, places, receipts."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ifambench.data.fetch import fetch_suite, missing_downloads
from ifambench.data.fetch import unpack as unpacking
from ifambench.data.fetch.lock import fetch_lock
from ifambench.data.fetch.state import lacking, manual_steps
from ifambench.data.load import load_data
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from tests.data.bird_files import bird_suite, write_birds
from tests.data.fetch.mirror import Page, running
from tests.data.fetch.support import QUICK, entry, make_tar, make_zip

ROOT = Path(__file__).resolve().parents[3]
TABLE = b"id,y\n1,0\n"


def accept(_: str) -> bool:
    return True


def with_downloads(*tables: str) -> tuple[str, str]:
    """The change of the suite file that adds these downloads."""
    text = "".join(f"[[download]]\n{table}\n\n" for table in tables)
    return "[protocol.standard]", f"{text}[protocol.standard]"


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> tuple[bytes, bytes]:
    """Images with their table as a tar, masks as a zip."""
    folder = write_birds(tmp_path_factory.mktemp("packed"))
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    images = {name: content for name, content in files.items() if not name.startswith("masks")}
    tar = make_tar(*(entry(f"birds_v1/{name}", content) for name, content in images.items()))
    return tar, make_zip({name: files[name] for name in sorted(files.keys() - images.keys())})


@pytest.fixture
def suite(tmp_path, mirror, packed):
    """A suite with an archive of images, one of masks and an optional table."""
    mirror.pages |= {"/i": Page(packed[0]), "/m": Page(packed[1]), "/t": Page(TABLE)}
    images = f'name = "images.tgz"\nurls = ["{mirror.url}/i"]\narchive = "tar.gz"\nstrip = 1'
    digest = hashlib.sha256(packed[1]).hexdigest()
    masks = f'name = "masks.zip"\nurls = ["{mirror.url}/none", "{mirror.url}/m"]\n'
    masks += f'archive = "zip"\nsha256 = "{digest}"\nsize_bytes = {len(packed[1])}'
    table = f'name = "more.csv"\nurls = ["{mirror.url}/t"]\noptional = true\nlicence = "MIT"'
    return bird_suite(tmp_path / "suites", with_downloads(images, masks, table))


def fetch(suite, root, **options):
    return fetch_suite(suite, root, accept, limits=QUICK, **options)


def test_a_fetched_suite_can_be_loaded(suite, tmp_path, mirror):
    root = tmp_path / "data"
    lines = missing_downloads(suite, root)
    assert [line.partition(" ")[0] for line in lines] == ["images.tgz", "masks.zip"]
    assert "size not known" in lines[0]
    assert f"{mirror.url}/none or {mirror.url}/m" in lines[1]
    images, masks = fetch(suite, root)
    assert (images.published, masks.published) == (False, True)
    assert masks.url == f"{mirror.url}/m"
    assert len(load_data(suite, data_dir=root).manifest) == 48
    assert missing_downloads(suite, root) == []
    folder = root / "tinybirds"
    assert {item.name for item in folder.iterdir()} == {
        *(".ifambench", "images", "masks", "metadata.csv")
    }
    assert json.loads((folder / ".ifambench/images.tgz.json").read_text())["size"] == images.size
    assert list((folder / ".ifambench/files").iterdir()) == []


def test_what_is_there_is_not_fetched_again(suite, tmp_path, mirror):
    root = tmp_path / "data"
    fetch(suite, root)
    asked = len(mirror.asked)
    assert fetch(suite, root) == []
    assert len(mirror.asked) == asked
    (receipt,) = fetch(suite, root, optional=True)
    assert receipt.holds == ("more.csv",)
    assert (root / "tinybirds/more.csv").read_bytes() == TABLE


def test_a_deleted_folder_is_fetched_again(suite, tmp_path):
    root = tmp_path / "data"
    fetch(suite, root)
    (root / "tinybirds/masks").rename(tmp_path / "elsewhere")
    assert [item.name for item in lacking(suite, root)] == ["masks.zip"]
    assert [receipt.name for receipt in fetch(suite, root)] == ["masks.zip"]
    assert (root / "tinybirds/masks").is_dir()


def test_data_put_there_by_hand_are_trusted(suite, tmp_path, mirror):
    root = tmp_path / "data"
    write_birds(root)
    assert missing_downloads(suite, root) == []
    assert fetch(suite, root) == []
    assert mirror.asked == []
    fetch(suite, root, optional=True)
    assert missing_downloads(suite, root) == []


def test_an_interrupted_fetch_is_not_whole_though_the_marker_is_there(suite, tmp_path, mirror):
    root = tmp_path / "data"
    mirror.pages["/m"].status = 404
    with pytest.raises(EnvironmentProblem, match=r"masks.zip cannot be fetched"):
        fetch(suite, root)
    assert (root / "tinybirds/metadata.csv").is_file()
    assert [line.partition(" ")[0] for line in missing_downloads(suite, root)] == ["masks.zip"]
    mirror.pages["/m"].status = 200
    assert [receipt.name for receipt in fetch(suite, root)] == ["masks.zip"]


def test_a_crash_between_moves_is_not_whole(suite, tmp_path, monkeypatch):
    root = tmp_path / "data"
    with monkeypatch.context() as patched:
        patched.setattr(unpacking, "_merge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fetch(suite, root)
    assert len(lacking(suite, root)) == 2
    fetch(suite, root)
    assert lacking(suite, root) == []


def test_an_archive_put_there_by_hand_is_checked_and_used(suite, tmp_path, mirror, packed):
    files = tmp_path / "data/tinybirds/.ifambench/files"
    files.mkdir(parents=True)
    (files / "images.tgz").write_bytes(packed[0])
    (files / "masks.zip").write_bytes(packed[1][:-1])
    images, masks = fetch(suite, tmp_path / "data")
    assert (images.url, masks.url) == ("", f"{mirror.url}/m")
    assert [path for path, _ in mirror.asked] == ["/none", "/m"]


def test_the_licence_is_asked_for_once_and_again_when_it_changes(suite, tmp_path, mirror):
    root, asked = tmp_path / "data", []

    def answer(text: str) -> bool:
        asked.append(text)
        return len(asked) > 1

    with pytest.raises(UsageError, match="was not accepted"):
        fetch_suite(suite, root, answer, limits=QUICK)
    assert mirror.asked == []
    fetch_suite(suite, root, answer, limits=QUICK)
    fetch_suite(suite, root, answer, limits=QUICK, optional=True)
    assert asked == ["CC0\nmore.csv: MIT"] * 2
    (root / "tinybirds/more.csv").unlink()
    other = suite.model_copy(update={"licence": "all rights reserved"})
    fetch_suite(other, root, answer, limits=QUICK, optional=True)
    assert asked[2] == "all rights reserved\nmore.csv: MIT"


def test_two_threads_fetch_once(suite, tmp_path, mirror):
    root, done, failed = tmp_path / "data", [], []

    def work() -> None:
        try:
            done.append(fetch(suite, root))
        except EnvironmentProblem as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sum(path == "/i" for path, _ in mirror.asked) == 1
    assert all(receipts == done[0] for receipts in done if receipts)


def test_another_process_holds_the_lock(tmp_path):
    program = """
import sys, pathlib
from ifambench.data.fetch.limits import Limits
from ifambench.data.fetch.lock import fetch_lock
from ifambench.progress import Progress
with fetch_lock(pathlib.Path(sys.argv[1]), Limits(), Progress()):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    limits = type(QUICK)(lock_seconds=0.05)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environ, text=True, **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(EnvironmentProblem, match=f"process {other.pid} on .* still fetches"),
            fetch_lock(tmp_path, limits, Progress()),
        ):
            pass
        other.stdin.close()
    with fetch_lock(tmp_path, limits, Progress()):
        pass


def test_a_suite_without_downloads_tells_the_steps(tmp_path):
    root = tmp_path / "data"
    suite = bird_suite(tmp_path / "suites")
    assert missing_downloads(suite, root) == ["images of tinybirds: see https://example.org/birds"]
    steps = manual_steps(suite, root)
    assert steps[0] == "see https://example.org/birds"
    assert str(root / "tinybirds/metadata.csv") in steps[-1]
    assert fetch(suite, root) == []


def test_manual_files_are_missing_until_they_are_there(tmp_path):
    root = tmp_path / "data"
    table = 'name = "tubes.csv"\nkind = "manual"\ninstructions = "ask the authors"'
    suite = bird_suite(tmp_path / "suites", with_downloads(table))
    assert missing_downloads(suite, root)[0] == "tubes.csv (size not known): by hand"
    assert "tubes.csv: ask the authors" in manual_steps(suite, root)
    (root / "tinybirds").mkdir(parents=True)
    (root / "tinybirds/tubes.csv").write_text("a")
    assert [line.partition(":")[0] for line in missing_downloads(suite, root)] == [
        "images of tinybirds"
    ]


def test_pools_and_folders_of_variants_are_missing_too(tmp_path):
    root = tmp_path / "data"
    write_birds(root)
    extra = """[[variant]]
id = "context"
images = "context"
folders = ["contexts"]

[[variant]]
id = "swapped"
kind = "background_swap"
swap = "mixed_rand"
fill = "external"
pool = "places"

[[pool]]
name = "places"
folders = ["places_a", "places_b"]

[protocol.standard]"""
    suite = bird_suite(tmp_path / "suites", ("[protocol.standard]", extra))
    context, pool = missing_downloads(suite, root)
    assert context.startswith("variant context of tinybirds: no folder contexts below")
    assert pool.startswith("pool places of tinybirds: no folder places_a or places_b below")
    assert missing_downloads(suite, root, variants=["original"]) == []
    (root / "places_b").mkdir()
    (root / "tinybirds/contexts").mkdir()
    assert missing_downloads(suite, root) == []


def test_a_generated_suite_lacks_nothing(tmp_path):
    suite = load_suite("waterdigits").suite
    assert missing_downloads(suite, tmp_path) == []
    with pytest.raises(UsageError, match="is generated"):
        fetch(suite, tmp_path)


def test_a_read_only_place_is_an_error_of_the_environment(suite, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match="cannot write the data"):
        fetch(suite, tmp_path / "data")
