"""A stored run is explained again without training, and never left half-written."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest

from ifambench import storing
from ifambench.errors import EnvironmentProblem, RunInterrupted, UsageError
from ifambench.pipeline import make_plan, run, train
from ifambench.progress import Progress
from ifambench.records.store import load_run, read_record
from ifambench.request import RunRequest
from ifambench.rescore import rescore
from ifambench.reuse import Stored
from ifambench.train import fit
from tests.tiny import write_tiny_suite

LESS = {"images": 4, "steps": 2}
MORE = {"images": 6, "steps": 3, "explainers": ("center",), "operators": ("mean", "drop")}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return str(write_tiny_suite(tmp_path_factory.mktemp("suite")))


@pytest.fixture(scope="module")
def first(suite, tmp_path_factory):
    """A run with few explanations; do not write into it."""
    return run(request(suite, tmp_path_factory.mktemp("first"), **LESS), Progress())


@pytest.fixture(scope="module")
def wanted(suite, tmp_path_factory):
    """The run with more explanations, from scratch."""
    return run(request(suite, tmp_path_factory.mktemp("wanted"), **MORE), Progress())


@pytest.fixture
def copy(first, tmp_path):
    """The output folder of a copy of the first run."""
    output = first.folder.parents[3]
    shutil.copytree(output, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be trained."""
    monkeypatch.setattr(fit, "_trained", lambda *_: pytest.fail("trained again"))


def request(suite, output, **changes):
    return RunRequest(
        **({"suite": suite, "model": "vit-micro", "threads": 1} | changes), output=output
    )


def folder_of(output):
    return next(output.rglob("run.json")).parent


def metrics(run):
    return [metric.model_dump() for metric in run.record.metrics]


class Tells(Progress):
    """Keeps messages, and is interrupted in a phase."""

    def __init__(self, stop=""):
        self.stop, self.messages, self.here = stop, [], False

    def start(self, phase, total):
        self.here = phase == self.stop

    def advance(self, steps=1, note=""):
        if self.here:
            raise KeyboardInterrupt

    def message(self, text):
        self.messages.append(text)


def test_explained_again_it_is_the_run_from_scratch(suite, first, wanted, copy, untrained):
    folder, told = folder_of(copy), Tells()
    report, weights = (
        (folder / name).read_bytes() for name in ("report.md", "weights.safetensors")
    )
    again = run(request(suite, copy, **MORE), told)
    assert again.record.status == "complete"
    assert metrics(again) == metrics(wanted)
    pd.testing.assert_frame_equal(again.predictions, wanted.predictions)
    pd.testing.assert_frame_equal(again.explanations, wanted.explanations)
    assert set(again.explanations["explainer"]) == {
        "center",
        "random",
        "center@drop",
        "random@drop",
    }
    assert (folder / "weights.safetensors").read_bytes() == weights
    assert (folder / "report.md").read_bytes() != report
    assert any(text.startswith("trained already") for text in told.messages)
    rescore(folder, check=True)
    assert run(request(suite, copy, **MORE), Progress()).record == again.record


def test_the_cost_of_the_training_is_kept(suite, first, copy, untrained):
    def costs(run):
        return {phase.name: phase for phase in run.record.phases}

    again = run(request(suite, copy, **MORE), Progress())
    for name in ("train", "predict"):
        assert costs(again)[name] == costs(first)[name]
    assert costs(again)["explain"] != costs(first)["explain"]


def test_stopped_while_explaining_the_old_run_is_still_there(suite, first, wanted, copy, untrained):
    with pytest.raises(RunInterrupted) as caught:
        run(request(suite, copy, **MORE), Tells("explain"))
    assert "--operator drop" in caught.value.next_step
    assert load_run(folder_of(copy)).record == first.record
    rescore(folder_of(copy), check=True)
    assert metrics(run(request(suite, copy, **MORE), Progress())) == metrics(wanted)


def test_train_over_a_complete_run_names_its_own_command(suite, copy):
    with pytest.raises(UsageError, match="a complete run with another size is there") as caught:
        train(replace(request(suite, copy, **MORE), size="240"), Progress())
    assert caught.value.next_step.startswith("ifambench train ")


def test_stopped_while_writing_it_goes_on_without_training(
    suite, wanted, copy, untrained, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storing, "gallery_of", stop)
        with pytest.raises(RunInterrupted):
            run(request(suite, copy, **MORE), Progress())
    assert read_record(folder_of(copy)).status == "interrupted"
    assert metrics(run(request(suite, copy, **MORE), Progress())) == metrics(wanted)


def test_without_its_weights_it_is_refused_and_both_ways_are_named(suite, first, copy):
    (folder_of(copy) / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match="weights are not stored") as caught:
        run(request(suite, copy, **MORE), Progress())
    assert "put its weights there" in caught.value.next_step
    assert "--fresh" in caught.value.next_step
    assert load_run(folder_of(copy)).record == first.record


def test_other_weights_are_refused(suite, copy):
    (folder_of(copy) / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(EnvironmentProblem, match="not those of the record"):
        run(request(suite, copy, **MORE), Progress())


def test_without_the_table_of_its_training_nothing_is_trained_over_it(suite, copy, untrained):
    (folder_of(copy) / "training.csv").unlink()
    with pytest.raises(EnvironmentProblem, match="table of the training is missing"):
        run(request(suite, copy, **MORE), Progress())


def test_changed_data_are_refused(suite, first, copy):
    plan = make_plan(request(suite, copy, **MORE))
    with pytest.raises(EnvironmentProblem, match="data are not those"):
        Stored(first, same=False).check_data(plan, SimpleNamespace(digest="other"))


def test_a_model_without_some_parts_is_explained_again(suite, tmp_path, untrained, monkeypatch):
    monkeypatch.undo()
    asked = {
        "model": "ifam-vit-micro@init=scratch",
        "remove_parts": (0,),
        "explainers": ("random",),
    }
    run(request(suite, tmp_path, **asked, **LESS), Progress())
    monkeypatch.setattr(fit, "_trained", lambda *_: pytest.fail("trained again"))
    again = run(request(suite, tmp_path, **asked, images=5), Progress())
    assert again.explanations["id"].nunique() == 5


def test_training_leaves_a_run_with_other_explanations_alone(suite, first, copy, untrained):
    assert train(request(suite, copy), Progress()) == folder_of(copy) / "weights.safetensors"
    assert load_run(folder_of(copy)).record == first.record


def test_a_plain_request_keeps_the_richer_explanations(suite, copy, untrained):
    folder = folder_of(copy)
    before = (folder / "run.json").read_bytes()
    plain = request(suite, copy)
    assert make_plan(plain).key()["explain"] != read_record(folder).key["explain"]
    assert run(plain, Progress()).folder == folder
    assert (folder / "run.json").read_bytes() == before
