"""Mirrors that are truncated, resumed, changed, slow, dead or something else altogether."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from dataclasses import replace
from urllib.request import Request

import pytest
from huggingface_hub.errors import HfHubHTTPError

from ifambench.data.fetch import content, transfer
from ifambench.data.fetch.mirrors import fetch_file
from ifambench.data.fetch.request import _Redirects
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.download import Download
from tests.data.fetch.mirror import Page, running
from tests.data.fetch.support import QUICK, make_zip, noise

BYTES = noise(400_000)
SHA = hashlib.sha256(BYTES).hexdigest()
HTML = b"<!DOCTYPE html><html><head><title>Sign in &amp; pay</title></head></html>"


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with running() as found:
        yield found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "files" / "data.bin"


def download(*urls: str, **fields) -> Download:
    return Download.model_validate({"name": "data.bin", "urls": list(urls), **fields})


def fetched(path, *urls, progress=None, **fields):
    """The request of `fetch_file`, with short times."""
    return fetch_file(download(*urls, **fields), path, QUICK, progress or Progress())


def refused(path, *urls, **fields) -> str:
    with pytest.raises(EnvironmentProblem) as caught:
        fetched(path, *urls, **fields)
    assert not path.exists()
    return str(caught.value)


def half(path, mirror, size: int = 150_000, etag: str = '"1"', url: str = "/a") -> None:
    """A partial file as an interrupted fetch leaves it."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name("data.bin.part")
    part.write_bytes(BYTES[:size])
    origin = {"url": mirror.url + url, "etag": etag, "modified": "", "length": len(BYTES)}
    part.with_name("data.bin.part.json").write_text(json.dumps(origin))


def test_a_whole_file_takes_its_name_and_leaves_no_partial_one(path, mirror):
    mirror.pages["/a"] = Page(BYTES)
    url, found = fetched(path, f"{mirror.url}/a", sha256=SHA, size_bytes=len(BYTES))
    assert url == f"{mirror.url}/a"
    assert (found.size, found.sha256) == (len(BYTES), SHA)
    assert found.md5 == hashlib.md5(BYTES).hexdigest()
    assert path.read_bytes() == BYTES
    assert [item.name for item in path.parent.iterdir()] == ["data.bin"]


def test_a_truncated_answer_is_resumed(path, mirror):
    mirror.pages["/a"] = Page(BYTES, cut=150_000)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == BYTES
    assert [asked for _, asked in mirror.asked] == ["", "bytes=150000-"]


def test_what_is_always_truncated_is_never_whole(path, mirror):
    mirror.pages["/a"] = Page(BYTES, cut=1000, cuts=99, ranges=False)
    assert "ended after 1.0 kB of 400.0 kB" in refused(path, f"{mirror.url}/a")
    assert len(mirror.asked) == QUICK.attempts


def test_attempts_that_bring_much_do_not_count(path, mirror):
    mirror.pages["/a"] = Page(BYTES, cut=50_000, cuts=7)
    limits = replace(QUICK, worthwhile_bytes=50_000, attempts=1)
    fetch_file(download(f"{mirror.url}/a"), path, limits, Progress())
    assert path.read_bytes() == BYTES
    assert len(mirror.asked) == 8


def test_a_partial_file_of_before_is_resumed(path, mirror):
    mirror.pages["/a"] = Page(BYTES)
    half(path, mirror)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == BYTES
    assert mirror.asked == [("/a", "bytes=150000-")]


def test_the_mirror_of_a_partial_file_is_asked_first(path, mirror):
    mirror.pages |= {"/a": Page(BYTES), "/b": Page(BYTES)}
    half(path, mirror, url="/b")
    fetched(path, f"{mirror.url}/a", f"{mirror.url}/b")
    assert mirror.asked == [("/b", "bytes=150000-")]


def test_a_server_that_ignores_ranges_starts_anew(path, mirror):
    mirror.pages["/a"] = Page(BYTES, ranges=False)
    half(path, mirror)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == BYTES


@pytest.mark.parametrize("ignore_if_range", [False, True])
def test_a_changed_file_starts_anew(path, mirror, ignore_if_range):
    other = noise(400_000, seed=1)
    mirror.pages["/a"] = Page(other, etag='"2"', ignore_if_range=ignore_if_range)
    half(path, mirror)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == other
    assert len(mirror.asked) == (2 if ignore_if_range else 1)  # If-Range asks and restarts in one


def test_a_file_that_has_become_shorter_starts_anew(path, mirror):
    mirror.pages["/a"] = Page(BYTES[:1000], ignore_if_range=True)  # answers 416
    half(path, mirror)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == BYTES[:1000]
    assert [asked for _, asked in mirror.asked] == ["bytes=150000-", ""]


def test_without_a_validator_only_a_known_hash_allows_to_resume(path, mirror):
    mirror.pages["/a"] = Page(BYTES, etag="")
    half(path, mirror, etag="")
    fetched(path, f"{mirror.url}/a")
    half(path, mirror, etag="")
    fetched(path, f"{mirror.url}/a", sha256=SHA)
    assert [asked for _, asked in mirror.asked] == ["", "bytes=150000-"]


def test_a_wrong_beginning_is_noticed_by_the_hash_and_fetched_anew(path, mirror):
    mirror.pages["/a"] = Page(BYTES)
    half(path, mirror)
    path.with_name("data.bin.part").write_bytes(b"\1" * 150_000)
    fetched(path, f"{mirror.url}/a", sha256=SHA)
    assert path.read_bytes() == BYTES


def test_a_partial_file_that_has_all_bytes_is_only_checked(path, mirror):
    half(path, mirror, size=len(BYTES))
    fetched(path, f"{mirror.url}/a", sha256=SHA)
    assert mirror.asked == []


def test_a_partial_file_without_a_note_is_not_believed(path, mirror):
    mirror.pages["/a"] = Page(BYTES)
    half(path, mirror, size=len(BYTES))
    path.with_name("data.bin.part.json").unlink()
    fetched(path, f"{mirror.url}/a")
    assert mirror.asked == [("/a", "")]


def test_the_next_mirror_is_asked_and_all_reasons_are_told(path, mirror):
    mirror.pages |= {"/bad": Page(noise(400_000, seed=1)), "/a": Page(BYTES)}
    urls = [f"{mirror.url}/{name}" for name in ("none", "bad", "a")]
    assert fetched(path, *urls, sha256=SHA)[0] == urls[2]
    path.unlink()
    message = refused(path, *urls[:2], sha256=SHA)
    assert f"{urls[0]}: HTTP 404" in message
    assert f"{urls[1]}: its sha256 is" in message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sha256": "0" * 64}, "its sha256 is"),
        ({"md5": "0" * 32}, "its md5 is"),
        ({"size_bytes": 5}, "it has 400,000 bytes (400.0 kB), not 5"),
    ],
)
def test_a_wrong_file_is_refused_and_leaves_nothing(path, mirror, fields, reason):
    mirror.pages["/a"] = Page(BYTES)
    assert reason in refused(path, f"{mirror.url}/a", **fields)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "fields", "reason"),
    [
        (HTML, {}, 'a web page came instead of the file: "Sign in & pay"'),
        (b"\n <html>" + HTML, {"archive": "zip"}, '"Sign in & pay"'),
        (b"<html>nothing", {}, "without a title"),
        (b'{"error": "quota"}', {"archive": "tar.gz"}, 'JSON came instead of the file: {"error"'),
        (BYTES, {"archive": "zip"}, "it is no zip file"),
        (BYTES, {"archive": "tar.gz"}, "it is no tar.gz file"),
        (BYTES, {"archive": "tar"}, "it is no tar file"),
        (BYTES, {"name": "photo.png"}, "it is no png file"),
        (make_zip({"a": b"1"}), {"archive": "tar.gz"}, "begins with 50 4b 03 04"),
        (b"", {}, "the file is empty"),
    ],
)
def test_something_else_is_refused(path, mirror, body, fields, reason):
    mirror.pages["/a"] = Page(body)
    assert reason in refused(path, f"{mirror.url}/a", **fields)
    assert list(path.parent.iterdir()) == []


def test_the_page_is_quoted_even_where_another_size_is_expected(path, mirror):
    mirror.pages["/a"] = Page(HTML)
    assert "Sign in & pay" in refused(path, f"{mirror.url}/a", size_bytes=10**9)


def test_google_drive_gives_the_file_after_its_page(path, mirror):
    mirror.pages |= {"/a?id=1": Page(HTML), "/a?id=1&confirm=t": Page(BYTES)}
    fetched(path, f"{mirror.url}/a?id=1", kind="gdrive")
    assert path.read_bytes() == BYTES
    path.unlink()
    mirror.pages["/a?id=1&confirm=t"] = Page(HTML)
    message = refused(path, f"{mirror.url}/a?id=1", kind="gdrive")
    assert "fetched too often" in message
    assert str(path) in message


def test_a_silent_server_ends_in_a_message(path, mirror):
    mirror.pages["/a"] = Page(BYTES, wait=threading.Event())
    assert "no answer" in refused(path, f"{mirror.url}/a")


def test_a_server_that_drips_ends_in_a_message(path, mirror):
    mirror.pages["/a"] = Page(BYTES, drip=0.02)
    limits = replace(QUICK, attempts=1)
    with pytest.raises(EnvironmentProblem, match="too slow"):
        fetch_file(download(f"{mirror.url}/a"), path, limits, Progress())


def test_a_dead_server_ends_in_a_message(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"
    assert "refused" in refused(path, url)


def test_a_server_in_trouble_is_asked_again(path, mirror):
    mirror.pages["/a"] = Page(b"", status=503)
    assert "HTTP 503" in refused(path, f"{mirror.url}/a")
    assert len(mirror.asked) == QUICK.attempts


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/a", "redirects more than"),
        ("ftp://example.org/a", "redirects to ftp"),
        ("file:///a", "redirects to file"),
    ],
)
def test_redirects_are_limited(path, mirror, location, reason):
    mirror.pages["/a"] = Page(status=302, location=location)
    assert reason in refused(path, f"{mirror.url}/a")
    assert len(mirror.asked) <= QUICK.redirects + 1


def test_a_redirect_never_leaves_https():
    request = Request("https://example.org/a")
    redirects = _Redirects(QUICK)
    with pytest.raises(content.MirrorFailed, match="from https down to http:"):
        redirects.http_error_301(request, None, 301, "", {"location": "http://example.org/b"})


def test_a_redirect_keeps_the_range(path, mirror):
    mirror.pages |= {"/a": Page(status=302, location="/b"), "/b": Page(BYTES)}
    half(path, mirror)
    fetched(path, f"{mirror.url}/a")
    assert mirror.asked == [("/a", "bytes=150000-"), ("/b", "bytes=150000-")]
    assert path.read_bytes() == BYTES


def test_a_full_disk_is_noticed_before_the_download(path, mirror, monkeypatch):
    mirror.pages["/a"] = Page(BYTES)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    assert "needs 400.0 kB, 1.0 kB are free" in refused(path, f"{mirror.url}/a")


def test_without_a_length_the_declared_size_decides(path, mirror):
    mirror.pages["/a"] = Page(BYTES, sized=False)
    fetched(path, f"{mirror.url}/a")
    assert path.read_bytes() == BYTES
    path.unlink()
    assert "more than the 399,999 bytes" in refused(path, f"{mirror.url}/a", size_bytes=399_999)
    assert "ended after" in refused(path, f"{mirror.url}/a", size_bytes=400_001)


class _Interrupting(Progress):
    """Ctrl-C when the first bytes have been written."""

    def advance(self, steps=1, note=""):
        if "MiB" in note:
            raise KeyboardInterrupt


def test_after_ctrl_c_the_partial_file_is_resumed(path, mirror):
    mirror.pages["/a"] = Page(BYTES)
    with pytest.raises(KeyboardInterrupt):
        fetched(path, f"{mirror.url}/a", progress=_Interrupting())
    there = path.with_name("data.bin.part").stat().st_size
    assert 0 < there < len(BYTES)
    assert not path.exists()
    fetched(path, f"{mirror.url}/a")
    assert mirror.asked[-1] == ("/a", f"bytes={there}-")
    assert path.read_bytes() == BYTES


def test_a_file_of_the_hub(path, monkeypatch):
    asked = []

    def client(repository, name, **options):
        asked.append((repository, name, options["repo_type"], options["revision"]))
        got = options["local_dir"] / name
        got.parent.mkdir(parents=True, exist_ok=True)
        got.write_bytes(BYTES)
        return str(got)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", client)
    fetched(path, "hf://datasets/owner/birds@v1/data/birds.bin", sha256=SHA)
    assert asked == [("owner/birds", "data/birds.bin", "dataset", "v1")]
    assert path.read_bytes() == BYTES
    path.unlink()
    assert "is not hf://datasets" in refused(path, "hf://datasets/owner")
    assert "is not hf://datasets" in refused(path, "hf://datasets/owner/birds/../../x")


def test_what_the_hub_says_is_told(path, monkeypatch):
    def client(*_, **__):
        raise OSError("you need access to this repository\nsee the log")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", client)
    message = refused(path, "hf://datasets/owner/birds/birds.zip", account=True)
    assert "you need access" in message
    assert "see the log" not in message
    assert "account" in message


def test_the_kind_of_a_file_is_that_of_its_place():
    wanted = download("http://x/y", extract_to="tables/list.JPG")
    with pytest.raises(content.MirrorFailed, match="no jpg file"):
        content.check_head(b"no picture", wanted)
    content.check_head(b"id,y\n1,0\n", download("http://x/y", name="metadata.csv"))
    content.check_head(b'{"a": 1}', download("http://x/y", name="labels.json"))


def test_an_address_that_is_none_is_a_reason_and_no_crash(path):
    assert "Invalid" in refused(path, "https://[bad", kind="gdrive")


def test_whatever_the_client_of_the_hub_raises_is_a_reason(path, monkeypatch):
    def fail(*_, **__):
        raise HfHubHTTPError.__bases__[0]("the line is dead")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    assert "the line is dead" in refused(path, "hf://datasets/a/b/c.zip")
