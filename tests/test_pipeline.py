"""The whole flow on a tiny suite: same numbers twice, after every kind of kill, from the tables."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from ifambench import pipeline
from ifambench.errors import (
    CheckFailed,
    EnvironmentProblem,
    IfamBenchError,
    RunInterrupted,
    UsageError,
)
from ifambench.pipeline import make_plan, run, train
from ifambench.progress import Progress
from ifambench.records.lock import run_lock
from ifambench.records.store import load_gallery, load_run, read_record, write_record, write_table
from ifambench.request import RunRequest
from ifambench.rescore import rescore
from ifambench.train.pretrain import PretrainRequest, pretrain
from tests.tiny import write_tiny_suite


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Suite file and backbone."""
    folder = tmp_path_factory.mktemp("inputs")
    suite = str(write_tiny_suite(folder))
    backbone = pretrain(PretrainRequest(suite, folder / "backbone", steps=2), Progress())
    return {"suite": suite, "pretrained": backbone}


def request(inputs, output, model="ifam-vit-micro", **changes):
    return RunRequest(**(inputs | {"model": model, "output": output, "threads": 1} | changes))


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """An unbroken run."""
    return run(request(inputs, tmp_path_factory.mktemp("whole")), Progress())


class StopsAt(Progress):
    """Interrupts in a phase, after some steps of it."""

    def __init__(self, phase, steps):
        self.phase, self.left, self.messages = phase, steps, []
        self.here = False

    def start(self, phase, total):
        self.here = phase == self.phase

    def advance(self, steps=1, note=""):
        self.left -= steps if self.here else 0
        if self.here and self.left <= 0:
            raise KeyboardInterrupt

    def message(self, text):
        self.messages.append(text)


def metrics(record):
    return [m.model_dump() for m in record.metrics]


def test_a_run_leaves_everything_that_is_promised(whole):
    names = {path.name for path in whole.folder.iterdir()}
    assert names == {
        *("run.json", "predictions.csv.gz", "explanations.csv.gz", "curves.csv", "training.csv"),
        *("gallery.npz", "weights.safetensors", "report.md", "report.html", "training.png"),
    }
    assert whole.folder.parts[-4:] == ("tinydigits@1", "ifam-vit-micro", "standard", "seed0")
    record = whole.record
    assert record.status == "complete"
    assert record.labels == ["zero", "one"]
    assert record.model.weights.sha256
    assert record.train_shares == [0.45, 0.05, 0.05, 0.45]
    assert {phase.name for phase in record.phases} == {"data", "train", "predict", "explain"}
    assert len(whole.predictions) == 3 * 24
    assert set(whole.explanations["explainer"]) == {"ifam-mask", "ifam-soft", "grad-cam", "random"}


def test_every_metric_has_a_value_or_a_reason(whole):
    for metric in whole.record.metrics:
        assert metric.value is not None or metric.reason
        assert metric.value is None or np.isfinite(metric.value)


def test_the_gallery_has_images_of_every_group(whole):
    gallery = load_gallery(whole.folder)
    assert set(gallery["group"]) == set(whole.record.groups)
    assert gallery["images"].shape[1:] == (64, 64, 3)
    assert gallery["map:ifam-mask"].shape[1:] == (8, 8)


def test_the_same_seed_gives_the_same_record(inputs, whole, tmp_path):
    again = run(request(inputs, tmp_path), Progress())
    assert metrics(again.record) == metrics(whole.record)
    pd.testing.assert_frame_equal(again.predictions, whole.predictions)
    pd.testing.assert_frame_equal(again.explanations, whole.explanations)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_changes_no_prediction(inputs, whole, tmp_path, batch_size):
    other = run(request(inputs, tmp_path, batch_size=batch_size), Progress())
    assert (other.predictions["y_pred"] == whole.predictions["y_pred"]).all()
    for name in ("prob_true", "prob_pred"):
        np.testing.assert_allclose(other.predictions[name], whole.predictions[name], atol=1e-5)


@pytest.mark.parametrize(
    ("phase", "steps"), [("data", 3), ("train", 1), ("train", 6), ("predict", 1), ("explain", 17)]
)
def test_an_interrupted_run_ends_with_the_same_numbers(inputs, whole, tmp_path, phase, steps):
    with pytest.raises(RunInterrupted) as caught:
        run(request(inputs, tmp_path), StopsAt(phase, steps))
    assert "ifambench run" in str(caught.value)
    folder = next(tmp_path.rglob("run.json")).parent
    assert read_record(folder).status == "interrupted"
    resumed = run(request(inputs, tmp_path), Progress())
    assert resumed.record.status == "complete"
    assert metrics(resumed.record) == metrics(whole.record)
    assert not (folder / "work").exists()


def test_a_complete_run_is_reused(inputs, whole, monkeypatch):
    monkeypatch.setattr(pipeline, "_work", lambda *_: pytest.fail("run again"))
    output = whole.folder.parents[3]
    assert metrics(run(request(inputs, output), Progress()).record) == metrics(whole.record)


def test_another_request_for_the_same_folder_is_refused(inputs, whole):
    with pytest.raises(UsageError, match="another size and explain"):
        run(request(inputs, whole.folder.parents[3], size="240", steps=2), Progress())


def test_the_default_explainers_written_out_are_the_same_run(inputs, whole, monkeypatch):
    monkeypatch.setattr(pipeline, "_work", lambda *_: pytest.fail("run again"))
    names = ("grad-cam", "ifam-soft", "ifam-mask")
    run(request(inputs, whole.folder.parents[3], explainers=names), Progress())


def test_training_does_not_touch_a_complete_run(inputs, whole):
    output = whole.folder.parents[3]
    before = (whole.folder / "weights.safetensors").read_bytes()
    assert train(request(inputs, output), Progress()) == whole.folder / "weights.safetensors"
    with pytest.raises(UsageError, match="another size"):
        train(request(inputs, output, size="240"), Progress())
    assert (whole.folder / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": "vit-micro", "pretrained": None, "explainers": ("ifam-mask",)}, "selection"),
        ({"model": "vit-micro"}, "--pretrained"),
        ({"device": "cuda:7"}, "not available"),
        ({"seed": 2**64}, "--seed"),
        ({"images": -1}, "--images"),
        ({"size": "250"}, "not a size"),
    ],
)
def test_what_is_wrong_is_found_before_any_work(inputs, tmp_path, changes, named):
    with pytest.raises(IfamBenchError, match=named):
        run(request(inputs, tmp_path, **changes), Progress())
    assert not list(tmp_path.rglob("weights*"))


def test_a_damaged_backbone_is_found_before_any_work(inputs, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(inputs["pretrained"].read_bytes()[:9000])
    with pytest.raises(EnvironmentProblem, match="not a whole safetensors file"):
        run(request(inputs, tmp_path, pretrained=cut), Progress())
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize("name", ["run.json", "predictions.csv.gz", "weights.safetensors"])
def test_a_damaged_run_names_the_command_that_makes_it_anew(inputs, whole, tmp_path, name):
    shutil.copytree(whole.folder.parents[3], tmp_path / "copy")
    path = tmp_path / "copy" / whole.folder.relative_to(whole.folder.parents[3]) / name
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EnvironmentProblem, match="--fresh"):
        run(request(inputs, tmp_path / "copy"), Progress())


def test_tables_of_an_older_run_are_not_scored_into_an_unfinished_one(inputs, tmp_path):
    done = run(request(inputs, tmp_path, "oracle-vit-micro", pretrained=None), Progress())
    with pytest.raises(RunInterrupted):
        run(
            request(inputs, tmp_path, "oracle-vit-micro", pretrained=None, fresh=True),
            StopsAt("train", 1),
        )
    assert {path.name for path in done.folder.iterdir()} <= {"run.json", "work"}
    with pytest.raises(UsageError, match="interrupted"):
        rescore(done.folder, check=False)


def test_a_backbone_of_another_draw_is_a_warning_in_the_record(inputs, tmp_path):
    described = inputs["pretrained"].with_suffix(".json").read_text()
    other = tmp_path / "other.safetensors"
    other.write_bytes(inputs["pretrained"].read_bytes())
    other.with_suffix(".json").write_text(
        described.replace('"generation_seed": 5', '"generation_seed": 6')
    )
    assert make_plan(request(inputs, tmp_path)).warnings == ()
    warned = make_plan(request(inputs, tmp_path, pretrained=other)).warnings
    assert "generation seed 6" in warned[0]


def test_fresh_replaces_it(inputs, tmp_path):
    first = run(request(inputs, tmp_path, "vit-micro", pretrained=None), Progress())
    changed = run(
        request(inputs, tmp_path, "vit-micro", pretrained=None, steps=2, fresh=True), Progress()
    )
    assert changed.folder == first.folder
    assert changed.record.protocol.explain["steps"] == 2


def test_a_second_process_on_the_folder_is_turned_away(inputs, tmp_path):
    plan = pipeline.make_plan(request(inputs, tmp_path))
    with run_lock(plan.folder), pytest.raises(EnvironmentProblem, match="being worked on"):
        run(request(inputs, tmp_path), Progress())


def test_rescoring_finds_a_single_changed_prediction(inputs, tmp_path):
    done = run(request(inputs, tmp_path, "vit-micro", pretrained=None), Progress())
    rescore(done.folder, check=True)
    changed = done.predictions.copy()
    changed.loc[0, "y_pred"] = 1 - changed.loc[0, "y_pred"]
    table = write_table(done.folder / "predictions.csv.gz", changed)
    with pytest.raises(EnvironmentProblem, match=r"predictions\.csv\.gz"):
        rescore(done.folder, check=True)
    # even with a record that vouches for the changed table, the metrics give it away
    tables = done.record.tables | {"predictions": table}
    write_record(done.folder, done.record.model_copy(update={"tables": tables}))
    with pytest.raises(CheckFailed, match="accuracy"):
        rescore(done.folder, check=True)


def test_rescoring_finds_a_changed_metric_and_repairs_it(whole, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(whole.folder, folder)
    content = json.loads((folder / "run.json").read_text())
    content["metrics"][0]["value"] = 0.123
    (folder / "run.json").write_text(json.dumps(content))
    with pytest.raises(CheckFailed, match=content["metrics"][0]["metric"]):
        rescore(folder, check=True)
    rescore(folder, check=False)
    assert metrics(load_run(folder).record) == metrics(whole.record)


@pytest.mark.parametrize("model", ["oracle-vit-micro", "vit-micro+groupdro", "vit-micro+dfr"])
def test_every_model_and_method_runs(inputs, tmp_path, model):
    done = run(request(inputs, tmp_path, model, pretrained=None, images=4, steps=2), Progress())
    assert done.record.model.name == model
    assert done.record.model.labels_needed != "none"


def test_training_alone_leaves_weights_that_a_run_reuses(inputs, tmp_path):
    path = train(request(inputs, tmp_path, "vit-micro", pretrained=None), Progress())
    progress = StopsAt("nothing", 1)
    run(request(inputs, tmp_path, "vit-micro", pretrained=None), progress)
    assert any("weights reused" in text for text in progress.messages)
    assert path.is_file()


def test_the_stored_command_is_a_whole_command_line(whole):
    words = whole.record.command.split()
    assert words[:2] == ["ifambench", "run"]
    assert "--pretrained" in words
