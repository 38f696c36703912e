from __future__ import annotations

import json
import os

import pytest
from records_support import small_record

from ifambench.errors import EnvironmentProblem
from ifambench.records import index as module
from ifambench.records.index import INDEX_FOLDER, Damaged, all_rows, open_index
from ifambench.records.row import plain, restored, row_of
from ifambench.records.store import find_runs, run_folder, write_record


@pytest.fixture(autouse=True)
def _all_is_settled(monkeypatch):
    """Files of a test are new; without this none of them would be remembered."""
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**18))


def put(root, model="vit", seed=0, value=0.5):
    found = small_record(
        seed=seed,
        metrics=[
            {"metric": "worst_group_accuracy", "value": value, "n": 9, "group": "a"},
            {"metric": "srg", "value": 0.25, "n": 9, "explainer": "rise"},
            {"metric": "srg", "value": None, "n": 0, "explainer": "lime", "reason": "none"},
        ],
    )
    found = found.model_copy(update={"model": found.model.model_copy(update={"name": model})})
    folder = run_folder(root, "waterdigits", 1, model, "standard", seed)
    write_record(folder, found)
    return folder


@pytest.fixture
def root(tmp_path):
    for seed in range(3):
        put(tmp_path, seed=seed)
    return tmp_path


def refresh(root):
    index = open_index(root)
    rows = list(index.rows())
    index.save()
    return index, rows


def test_a_row_survives_its_way_through_json(root):
    folder = find_runs(root)[0]
    row = row_of(small_record(), folder, "here")
    assert restored(json.loads(json.dumps(plain(row))), folder, "here") == row


def test_the_second_time_nothing_is_read_and_the_rows_are_equal(root):
    index, first = refresh(root)
    assert (index.read, len(first)) == (3, 3)
    again, second = refresh(root)
    assert again.read == 0
    assert second == first == list(all_rows(root))
    assert [row.place for row in first] == [f"waterdigits@1/vit/standard/seed{k}" for k in range(3)]
    assert first[0].values["worst_group_accuracy"].value == 0.5
    assert first[0].explained == (("srg", "rise", 0.25), ("srg", "lime", None))


def test_only_what_changed_is_read_again(root):
    refresh(root)
    put(root, seed=1, value=0.75)
    put(root, seed=7)
    (root / "waterdigits@1/vit/standard/seed0/run.json").unlink()
    index, rows = refresh(root)
    assert index.read == 2
    assert rows == list(all_rows(root))
    assert [row.seed for row in rows] == [1, 2, 7]
    assert len(open_index(root).lines) == 3


def test_an_edit_of_the_same_size_with_the_old_time_is_seen(root):
    refresh(root)
    path = root / "waterdigits@1/vit/standard/seed1/run.json"
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    assert '"value": 0.5' in text
    path.write_text(text.replace('"value": 0.5', '"value": 0.9'), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    index, rows = refresh(root)
    assert index.read == 1
    assert rows[1].values["worst_group_accuracy"].value == 0.9


def test_a_file_that_has_just_changed_is_not_remembered(root, monkeypatch):
    monkeypatch.setattr(module, "_SETTLED_NS", 10**18)
    refresh(root)
    assert refresh(root)[0].read == 3
    assert not (root / INDEX_FOLDER).exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-5],
        lambda data: data.replace(b"0.5", b"0.9", 1),
        lambda data: b'["another version", ' + data.partition(b", ")[2],
        lambda data: b"\x80\x04pickle",
        lambda data: b"[]\n[]",
    ],
)
def test_a_damaged_or_foreign_index_is_rebuilt(root, damage):
    _, expected = refresh(root)
    path = root / INDEX_FOLDER / "runs.json"
    data = path.read_bytes()
    path.write_bytes(damage(data))
    index, rows = refresh(root)
    assert (index.read, rows) == (3, expected)
    assert path.read_bytes() == data


def test_an_index_of_other_code_is_rebuilt(root, monkeypatch):
    refresh(root)
    monkeypatch.setattr(module, "code_digest", lambda packages: "newer")
    assert refresh(root)[0].read == 3


def test_a_line_that_is_no_row_is_read_from_the_record(root):
    index, expected = refresh(root)
    place = expected[0].place
    state = json.loads(index.lines[place])[0]
    for line in (b"{}", b"[1]", json.dumps([state, ["x"], None]).encode()):
        index.lines[place] = line
        assert list(index.rows()) == expected


def test_a_copied_folder_is_read_anew(root, tmp_path_factory):
    import shutil

    refresh(root)
    copy = tmp_path_factory.mktemp("copy") / "results"
    shutil.copytree(root, copy)
    index, rows = refresh(copy)
    assert index.read == 3
    assert all(row.folder.is_relative_to(copy) for row in rows)


def test_a_folder_that_cannot_be_written_works(root, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(module, "replace_whole", refuse)
    assert len(refresh(root)[1]) == 3
    assert refresh(root)[0].read == 3


def test_git_does_not_see_the_index(root):
    refresh(root)
    assert (root / INDEX_FOLDER / ".gitignore").read_text() == "*\n"


def test_a_damaged_record_is_told_each_time_and_hides_nothing(root):
    refresh(root)
    folder = root / "waterdigits@1/vit/standard/seed1"
    (folder / "run.json").write_text("{}")
    for _ in range(2):
        _, rows = refresh(root)
        assert [type(row) is Damaged for row in rows] == [False, True, False]
        assert rows[1].folder == folder
        assert isinstance(rows[1].problem, EnvironmentProblem)


def test_a_note_is_kept_until_the_run_a_file_or_the_key_changes(root):
    index, rows = refresh(root)
    table = rows[0].folder / "table.csv"
    asked = []

    def answer(index, key="k"):
        return index.note(next(iter(index.rows())), key, [table], lambda: asked.append(1) or "yes")

    assert answer(index) == "yes"
    index.save()
    assert (answer(open_index(root)), len(asked)) == ("yes", 1)
    table.write_text("x")
    answer(open_index(root))
    answer(open_index(root), key="other")
    put(root, seed=0, value=0.125)
    answer(open_index(root))
    assert len(asked) == 4


def test_runs_are_found_down_to_their_depth_and_by_links(root):
    deep = root / "a/b/c/d/e"
    for folder in (deep, deep / "f"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text("{}")
    (root / "loop").symlink_to(root / "loop")
    found = find_runs(root)
    assert deep in found
    assert deep / "f" not in found
    assert found == sorted(found)
    assert find_runs(deep) == [deep, deep / "f"]
    assert find_runs(root / "missing") == []
