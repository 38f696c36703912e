"""Archives that want to write where they must not, or more than they may."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile

import pytest

from ifambench.data.fetch import unpack as unpacking
from ifambench.data.fetch.unpack import unpack
from ifambench.errors import EnvironmentProblem
from ifambench.progress import Progress
from ifambench.suites.download import Download
from tests.data.fetch.support import entry, make_tar, make_zip, noise

OUT = {"type": tarfile.SYMTYPE}
SAME = {"type": tarfile.LNKTYPE}


@pytest.fixture
def folder(tmp_path):
    """A suite's folder with a file that nothing may touch, and another beside it."""
    folder = tmp_path / "data" / "birds"
    (folder / ".ifambench").mkdir(parents=True)
    (tmp_path / "data" / "precious").write_text("precious")
    return folder


def run(folder, content, archive="tar.gz", progress=None, last="", **fields):
    path = folder / ".ifambench" / "birds"
    path.write_bytes(content)
    download = Download.model_validate(
        {"name": "birds", "urls": ["https://example.org/b"], "archive": archive, **fields}
    )
    return unpack(path, download, folder, last=last, progress=progress or Progress())


def refused(folder, content, archive="tar.gz", **fields) -> str:
    """The message; and nothing has appeared anywhere."""
    before = (folder.parent / "precious").read_text()
    with pytest.raises(EnvironmentProblem) as caught:
        run(folder, content, archive, **fields)
    assert [item.name for item in folder.iterdir()] == [".ifambench"]
    assert list((folder / ".ifambench").iterdir()) == []  # the archive is gone too
    assert {item.name for item in folder.parent.iterdir()} == {"birds", "precious"}
    assert (folder.parent / "precious").read_text() == before
    return str(caught.value)


FILES = {"birds/images/a.jpg": b"1", "birds/images/b.jpg": b"22", "birds/metadata.csv": b"id"}


@pytest.mark.parametrize("archive", ["tar", "tar.gz", "zip"])
def test_files_come_to_their_place(folder, archive):
    mode = "w" if archive == "tar" else "w:gz"
    entries = [entry("birds", type=tarfile.DIRTYPE), *(entry(*file) for file in FILES.items())]
    content = make_zip(FILES) if archive == "zip" else make_tar(*entries, mode=mode)
    assert run(folder, content, archive, strip=1) == ("images", "metadata.csv")
    assert (folder / "images/b.jpg").read_bytes() == b"22"
    assert (folder / ".ifambench/birds").exists()
    assert run(folder, content, archive, extract_to="raw") == ("raw/birds",)
    assert (folder / "raw/birds/metadata.csv").read_bytes() == b"id"


def test_a_second_archive_is_merged_and_the_marker_comes_last(folder, monkeypatch):
    run(folder, make_zip(FILES), "zip", strip=1)
    order, replace = [], unpacking.Path.replace

    def seen(self, target):
        order.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(unpacking.Path, "replace", seen)
    more = {"images/c.jpg": b"3", "images/a.jpg": b"new", "masks/a.png": b"4"}
    assert run(folder, make_zip(more), "zip", last="images/a.jpg") == (
        "masks",
        "images/c.jpg",
        "images/a.jpg",
    )
    assert order == ["masks", "c.jpg", "a.jpg"]
    assert (folder / "images/a.jpg").read_bytes() == b"new"
    assert (folder / "images/b.jpg").read_bytes() == b"22"


def test_permissions_are_those_of_new_files(folder):
    run(folder, make_tar(entry("a/run.sh", b"#!", mode=0o6777), entry("a/b", b"1", mode=0)))
    plain = folder / "plain"
    plain.touch()
    for name in ("a/run.sh", "a/b"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_links_within_are_kept(folder):
    link = entry("images/last.jpg", linkname="../store/a.jpg", **OUT)
    same = entry("images/same.jpg", linkname="store/a.jpg", **SAME)
    run(folder, make_tar(entry("store/a.jpg", b"1"), link, same))
    assert os.readlink(folder / "images/last.jpg") == "../store/a.jpg"
    assert (folder / "images/last.jpg").read_bytes() == b"1"
    assert (folder / "images/same.jpg").read_bytes() == b"1"


@pytest.mark.parametrize("name", ["../precious", "/tmp/x", "a/../../precious", "C:\\x", "..\\x"])
@pytest.mark.parametrize("archive", ["tar.gz", "zip"])
def test_names_that_lead_out(folder, name, archive):
    content = make_zip({name: b"1"}) if archive == "zip" else make_tar(entry(name, b"1"))
    assert "leads out of the folder" in refused(folder, content, archive)
    content = make_tar(entry("ok", b"1"), entry(name, b"1"))  # what came before is gone too
    assert "leads out of the folder" in refused(folder, content)


@pytest.mark.parametrize("python", [True, False])
@pytest.mark.parametrize(
    "members",
    [
        [entry("link", linkname="../precious", **OUT)],
        [entry("link", linkname="/etc/passwd", **OUT)],
        [entry("a/link", linkname="../../precious", **OUT)],
        [entry("link", linkname="..", **OUT), entry("link/precious", b"1")],
        [entry("link", linkname="ok", **OUT), entry("link/new", b"1")],
        [entry("link", linkname="ok", **OUT), entry("link", b"1")],
        [entry("d/a", b"1"), entry("link", linkname="d", **OUT), entry("link/new", b"1")],
        [entry("e", linkname="d/x/..", **OUT), entry("d/x", linkname="..", **OUT)],
        [entry("d/x", linkname="..", **OUT), entry("e", linkname="d/x/..", **OUT)],
        [entry("same", linkname="../precious", **SAME)],
        [entry("same", linkname="/etc/passwd", **SAME)],
        [entry("same", linkname="not/in/it", **SAME)],
        [entry("d", linkname=".", **OUT), entry("same", linkname="d/d/ok", **SAME)],
        [entry("pipe", type=tarfile.FIFOTYPE)],
        [entry("disk", type=tarfile.BLKTYPE)],
        [entry("tty", type=tarfile.CHRTYPE)],
        [entry("a", b"1"), entry("a", b"2")],
        [entry("a", b"1"), entry("a/b", b"2")],
        [entry("a/b", b"1"), entry("a", b"2")],
        [entry(".ifambench/birds.json", b"{}")],
    ],
)
def test_members_of_a_tar_that_must_not_be(folder, members, python, monkeypatch):
    """With the checks of `tarfile` on top of ours, and without: they have been evaded before."""
    if not python:
        monkeypatch.delattr(tarfile, "data_filter")
    refused(folder, make_tar(entry("ok", b"fine"), *members))


def _zip_with(name: str, mode: int = 0, flags: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, b"/etc/passwd")
    content = bytearray(out.getvalue())
    if flags:
        content[content.index(b"PK\x01\x02") + 8] |= flags
    return bytes(content)


def test_members_of_a_zip_that_must_not_be(folder):
    assert "is a link" in refused(folder, _zip_with("a", stat.S_IFLNK | 0o777), "zip")
    assert "is a link" in refused(folder, _zip_with("a", stat.S_IFIFO), "zip")
    assert "is encrypted" in refused(folder, _zip_with("a", flags=1), "zip")
    twice = make_zip({"a": b"1", "b": b"2"}).replace(b"b", b"a")
    assert "there twice" in refused(folder, twice, "zip")


def test_too_much(folder, monkeypatch):
    zeros = b"\0" * 3_000_000  # packs to almost nothing
    big = {"unpacked_bytes": 2_000_000}
    assert "more than 2.0 MB" in refused(folder, make_tar(entry("a", zeros)), **big)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", zeros)
    assert "more than 2.0 MB" in refused(folder, out.getvalue(), "zip", **big)
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 2)
    three = {name: b"1" for name in "abc"}
    assert "more than 2 files" in refused(folder, make_zip(three), "zip")


def test_a_zip_whose_header_lies_about_the_size(folder):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 3_000_000)
    content = bytearray(out.getvalue())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = (10).to_bytes(4, "little")
    assert "damaged" in refused(folder, bytes(content), "zip", unpacked_bytes=2_000_000)


def test_damaged_archives(folder):
    good = make_tar(entry("a", noise(200_000)), entry("b", noise(200_000)))
    flipped = bytearray(good)
    flipped[-6] ^= 1  # gzip's checksum
    for content in (good[: len(good) // 2], good[:20], bytes(flipped)):
        assert "damaged" in refused(folder, content)
    plain = make_tar(entry("a", noise(200_000)), mode="w")
    assert "damaged" in refused(folder, plain[:100_000], "tar")
    packed = make_zip({"a": noise(200_000)})
    broken = bytearray(packed)
    broken[1000] ^= 1
    for content in (packed[:100_000], bytes(broken)):
        assert "damaged" in refused(folder, content, "zip")


def test_an_archive_without_files(folder):
    assert "no file" in refused(folder, make_tar(entry("a", type=tarfile.DIRTYPE)))
    assert "no file" in refused(folder, make_tar(entry("a", b"1")), strip=1)


class _Interrupting(Progress):
    def advance(self, steps=1, note=""):
        raise KeyboardInterrupt


def test_ctrl_c_leaves_the_archive_and_nothing_else(folder):
    content = make_zip({"a": b"1", "b": b"2"})
    with pytest.raises(KeyboardInterrupt):
        run(folder, content, "zip", _Interrupting())
    assert [item.name for item in folder.iterdir()] == [".ifambench"]
    assert [item.name for item in (folder / ".ifambench").iterdir()] == ["birds"]


def test_what_a_killed_process_left_is_removed(folder):
    (folder / ".ifambench/unpack-old/images").mkdir(parents=True)
    run(folder, make_zip({"a": b"1"}), "zip")
    assert not (folder / ".ifambench/unpack-old").exists()
