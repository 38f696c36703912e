"""Explanations, their checks and the battery in a run: tables, costs, resuming, damage."""

import shutil

import pytest

from ifambench.errors import EnvironmentProblem, RunInterrupted
from ifambench.pipeline import run
from ifambench.progress import Progress
from ifambench.records.store import load_run, read_record
from ifambench.request import RunRequest
from ifambench.rescore import rescore
from tests.tiny import write_tiny_suite

TABLES = ("sanity", "battery", "selections")
ASKED = {
    "model": "gradcam-vit-micro",
    "threads": 1,
    "images": 3,
    "steps": 2,
    "explainers": ("center",),
    "battery": 4,
    "sanity": 2,
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return str(write_tiny_suite(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def whole(suite, tmp_path_factory):
    """An unbroken run with everything; do not write into it."""
    return run(request(suite, tmp_path_factory.mktemp("whole")), Progress())


def request(suite, output, **changes):
    return RunRequest(suite, output=output, **(ASKED | changes))


class StopsAt(Progress):
    """Interrupts in a phase, after some of its steps."""

    def __init__(self, phase, steps):
        self.phase, self.left, self.here = phase, steps, False

    def start(self, phase, total):
        self.here = phase == self.phase

    def advance(self, steps=1, note=""):
        self.left -= steps if self.here else 0
        if self.here and self.left <= 0:
            raise KeyboardInterrupt


def test_the_tables_are_stored_loaded_and_scored(whole):
    record = whole.record
    assert set(TABLES) < set(record.tables)
    assert set(whole.sanity["explainer"]) == {"center", "random"}
    assert whole.sanity["id"].nunique() == 2
    assert whole.battery["id"].nunique() == whole.selections["id"].nunique() == 4
    assert whole.selections["mask"].map(type).eq(str).all()
    assert {"sanity", "battery"} < {phase.name for phase in record.phases}
    rescore(whole.folder, check=True)


def test_the_record_says_how_it_was_measured(whole):
    explaining = whole.record.explaining
    assert explaining["protocol"] == {
        "operators": ["mean"],
        "precision": "32",
        "images": 3,
        "sanity": 2,
        "battery": 4,
    }
    assert explaining["battery"]["attack_epsilon"] == 8 / 255
    assert set(explaining["explainers"]) == {"center", "random"}
    for cost in explaining["explainers"].values():
        assert cost["forwards"] > 0
        assert cost["seconds"] > 0


@pytest.mark.parametrize(("phase", "steps"), [("sanity", 3), ("battery", 9)])
def test_stopped_it_goes_on_to_the_same_numbers(suite, whole, tmp_path, phase, steps):
    with pytest.raises(RunInterrupted) as caught:
        run(request(suite, tmp_path), StopsAt(phase, steps))
    assert "--battery --sanity" in caught.value.next_step
    folder = next(tmp_path.rglob("run.json")).parent
    assert read_record(folder).status == "interrupted"
    assert (folder / "work" / f"{phase}.jsonl").is_file()
    resumed = run(request(suite, tmp_path), Progress())
    for name in ("explanations", *TABLES):
        assert resumed.record.tables[name] == whole.record.tables[name], name
    assert resumed.record.metrics == whole.record.metrics


def test_a_damaged_table_is_named(suite, whole, tmp_path):
    for name in TABLES:
        folder = tmp_path / name
        shutil.copytree(whole.folder, folder)
        path = folder / f"{name}.csv.gz"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(EnvironmentProblem, match=name):
            rescore(folder, check=True)
        path.unlink()
        with pytest.raises(EnvironmentProblem, match=name):
            load_run(folder)


NOISY = {"model": "ifam-vit-micro@epochs=1", "explainers": (), "images": 0, "battery": 0}
NOISY |= {"steps": None, "sanity": 0, "seed": 3, "mask_samples": 2}


@pytest.fixture(scope="module")
def noisy(suite, tmp_path_factory):
    """A two-stage model under noisy masks; do not write into it."""
    return run(request(suite, tmp_path_factory.mktemp("noisy"), **NOISY), Progress())


def test_noisy_masks_are_stored_scored_and_shown(noisy):
    table, record = noisy.mask_samples, noisy.record
    images = noisy.predictions["id"].nunique()
    assert len(table) == 3 * images == record.tables["mask_samples"].rows
    assert table["sample"].max() == 2
    free = table[table["sample"] == 0].set_index("id")["y_pred"]
    originals = noisy.predictions[noisy.predictions["variant"] == "original"]
    assert free.equals(originals.set_index("id")["y_pred"])
    assert record.explaining == {"mask_samples": {"samples": 2, "seed": 3}}
    assert "--mask-samples 2" in record.command
    assert {"noisy_accuracy", "noise_flip_rate"} < {row.metric for row in record.metrics}
    assert "masks" in {phase.name for phase in record.phases}
    for name in ("report.md", "report.html"):
        text = (noisy.folder / name).read_text(encoding="utf-8")
        assert "With and without noise in the mask, masks per image: 2" in text
    rescore(noisy.folder, check=True)


def test_noisy_masks_are_asked_for_later_and_stay(suite, noisy, tmp_path):
    def again(**changes):
        return run(request(suite, tmp_path, **(NOISY | changes)), Progress())

    first = again(mask_samples=0)
    assert first.mask_samples is None
    found = again()
    assert found.record.tables["mask_samples"] == noisy.record.tables["mask_samples"]
    assert found.record.model.weights == first.record.model.weights
    plain = again(images=None, mask_samples=0)  # says nothing of explanations: all is kept
    assert plain.record.tables["mask_samples"] == noisy.record.tables["mask_samples"]
    other = again(mask_samples=1)
    assert other.record.tables["mask_samples"].rows < found.record.tables["mask_samples"].rows


def test_explained_again_without_them_their_tables_are_gone(suite, whole, tmp_path):
    shutil.copytree(whole.folder.parents[3], tmp_path / "runs")
    again = run(request(suite, tmp_path / "runs", battery=0, sanity=0), Progress())
    assert again.sanity is None
    assert again.battery is None
    assert again.selections is None
    assert not set(TABLES) & set(again.record.tables)
    assert not [name for name in TABLES if (again.folder / f"{name}.csv.gz").exists()]
    rescore(again.folder, check=True)
