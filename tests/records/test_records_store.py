from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.records import store
from ifambench.records.store import load_run, run_folder, write_record, write_table
from tests.records.records_support import small_predictions, small_record


def _write_run(output: Path, model: str = "vit-ti", seed: int = 0) -> Path:
    folder = run_folder(output, "waterdigits", 1, model, "standard", seed)
    table = write_table(folder / "predictions.csv.gz", small_predictions())
    write_record(folder, small_record(tables={"predictions": table}))
    return folder


def test_folder_names():
    folder = run_folder(Path("results"), "in9", 2, "vit-b+dfr", "standard", 3)
    assert folder.as_posix() == "results/in9@2/vit-b+dfr/standard/seed3"


def test_unsafe_names_stay_inside_and_apart():
    names = ["../x", "a/b", "a-b", "a:b", "..", "timm/vit"]
    folders = [run_folder(Path("out"), "s", 1, name, "standard", 0) for name in names]
    assert len(set(folders)) == len(names)
    assert all(len(folder.parts) == 5 and ".." not in folder.parts for folder in folders)


@pytest.mark.parametrize("name", ["", "run.json", "report.html", "report.md"])
def test_load_by_folder_record_or_report(tmp_path: Path, name: str):
    folder = _write_run(tmp_path)
    run = load_run(folder / name)
    assert run.folder == folder
    pd.testing.assert_frame_equal(run.predictions, small_predictions())
    assert tuple(run.explanations.columns) == store.EXPLANATION_COLUMNS
    assert run.explanations.empty


def test_optional_parts_are_none_when_absent(tmp_path: Path):
    folder = _write_run(tmp_path)
    assert store.load_curves(folder) is None
    assert store.load_training(folder) is None
    assert store.load_gallery(folder) is None


def test_optional_parts_are_read(tmp_path: Path):
    folder = _write_run(tmp_path)
    frame = pd.DataFrame({"explainer": ["random"], "fraction": [0.5]})
    write_table(folder / "curves.csv", frame)
    write_table(folder / "training.csv", pd.DataFrame({"epoch": [1]}))
    np.savez(folder / "gallery.npz", ids=np.array(["a", "b"]), y=np.array([0, 1]))
    curves, gallery = store.load_curves(folder), store.load_gallery(folder)
    assert curves is not None
    assert gallery is not None
    pd.testing.assert_frame_equal(curves, frame)
    assert gallery["ids"].tolist() == ["a", "b"]
    assert len(store.load_training(folder)) == 1


def test_promised_tables_must_be_there(tmp_path: Path):
    folder = _write_run(tmp_path)
    record = store.read_record(folder)
    promised = record.tables | {"explanations": record.tables["predictions"]}
    write_record(folder, record.model_copy(update={"tables": promised}))
    with pytest.raises(EnvironmentProblem, match=r"explanations\.csv\.gz"):
        load_run(folder)
    (folder / "predictions.csv.gz").unlink()
    with pytest.raises(EnvironmentProblem, match=r"predictions\.csv\.gz"):
        load_run(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY broken"])
def test_damaged_gallery(tmp_path: Path, content: bytes):
    (tmp_path / "gallery.npz").write_bytes(content)
    with pytest.raises(EnvironmentProblem, match="gallery"):
        store.load_gallery(tmp_path)


def test_pickled_gallery_is_refused(tmp_path: Path):
    np.savez(tmp_path / "gallery.npz", ids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(EnvironmentProblem, match="gallery"):
        store.load_gallery(tmp_path)


def test_missing_run_lists_runs_near_by(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [_write_run(Path("results"), seed=seed) for seed in (0, 1)]
    with pytest.raises(UsageError) as caught:
        load_run(folders[0].parent / "seed7")
    assert caught.value.choices == tuple(str(folder) for folder in folders)
    assert caught.value.next_step == "ifambench run waterdigits --model vit-ti"
    with pytest.raises(UsageError) as caught:
        load_run(Path("somewhere/else"))
    assert caught.value.choices == tuple(str(folder) for folder in folders)
    assert caught.value.next_step == f"ifambench report {folders[0]}"


def test_a_folder_above_runs_lists_them(tmp_path: Path):
    folder = _write_run(tmp_path)
    with pytest.raises(UsageError, match="no run here") as caught:
        load_run(tmp_path)
    assert caught.value.choices == (str(folder),)


def test_no_runs_at_all(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        load_run(tmp_path / "none")
    assert caught.value.choices == ()
    assert caught.value.next_step == "ifambench run SUITE --model MODEL"
