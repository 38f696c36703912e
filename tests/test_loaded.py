import shutil
from types import SimpleNamespace

import pytest
import torch

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.loaded import _suite_of, changed_predictions, evaluated_rows, load_run_model
from ifambench.models.catalog import choose_model
from ifambench.predict.loop import predict
from ifambench.records.store import read_record, write_record
from ifambench.suites.catalog import load_suite
from tests.data import bird_files
from tests.stored_model import store_model


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return store_model(tmp_path_factory.mktemp("stored"))


@pytest.fixture
def copied(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "run")


def test_the_model_of_a_run_predicts_what_was_stored(stored):
    loaded = load_run_model(stored / "run.json")
    assert loaded.model.stage_1.num_parts == 3  # an override in the name
    assert not loaded.model.training
    data, rows = evaluated_rows(loaded)
    found = predict(loaded.model, data, rows, batch_size=5, device="cpu")
    assert len(found) == 24
    assert changed_predictions(loaded, found) == 0
    assert changed_predictions(loaded, found.assign(y_pred=1 - found["y_pred"])) == 24


def test_a_field_that_the_recipe_did_not_have_yet(copied):
    record = read_record(copied)
    older = {k: v for k, v in record.recipe.items() if k != "temperature"} | {"gone": 1}
    write_record(copied, record.model_copy(update={"recipe": older}))
    assert load_run_model(copied).model.stage_1.temperature == 1.0


def test_weights_elsewhere(copied, tmp_path):
    moved = shutil.move(copied / "weights.safetensors", tmp_path / "elsewhere.safetensors")
    with pytest.raises(EnvironmentProblem, match="not stored") as caught:
        load_run_model(copied)
    assert "--weights" in caught.value.next_step
    assert load_run_model(copied, weights=moved).record.model.name == "ifam-vit-micro@num_parts=3"


def test_other_weights_are_refused(copied):
    path = copied / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EnvironmentProblem, match="not those of the record"):
        load_run_model(copied)


@pytest.mark.parametrize("status", ["started", "interrupted"])
def test_an_unfinished_run_is_refused(copied, status):
    record = read_record(copied)
    write_record(copied, record.model_copy(update={"status": status}))
    with pytest.raises(UsageError, match=status) as caught:
        load_run_model(copied)
    assert caught.value.next_step == record.command


def test_a_changed_suite_file_is_refused(copied):
    record = read_record(copied)
    suite = record.suite.model_copy(update={"digest": "other"})
    write_record(copied, record.model_copy(update={"suite": suite}))
    with pytest.raises(UsageError, match="has changed since"):
        load_run_model(copied)


def test_explain_then_predict_is_loaded_like_any_other(tmp_path):
    loaded = load_run_model(store_model(tmp_path, "gradcam-vit-micro@keep_fraction=0.5"))
    assert (loaded.model.explainer, loaded.model.keep_fraction) == ("grad-cam", 0.5)
    assert loaded.device == torch.device("cpu")


def test_parts_that_the_run_removed_stay_removed(copied):
    record = read_record(copied)
    model = record.model.model_copy(update={"name": f"{record.model.name},remove_parts=0+2"})
    write_record(copied, record.model_copy(update={"model": model}))
    loaded = load_run_model(copied)
    assert loaded.model.stage_1.num_parts == 3
    assert loaded.model.interventions.remove_parts == (0, 2)


def test_a_run_without_some_parts_has_the_weights_of_the_whole_model(copied, tmp_path):
    record = read_record(copied)
    name = f"{record.model.name},remove_parts=0"
    own = tmp_path / "s@1" / "without" / "standard" / "seed0"
    shutil.copytree(copied, own)
    model = record.model.model_copy(update={"name": name})
    write_record(own, record.model_copy(update={"model": model}))
    whole = tmp_path / "s@1" / choose_model(record.model.name).folder / "standard" / "seed0"
    whole.mkdir(parents=True)
    (own / "weights.safetensors").rename(whole / "weights.safetensors")
    assert load_run_model(own).model.interventions.remove_parts == (0,)


@pytest.mark.parametrize(
    ("changes", "serves"),
    [({}, True), ({"version": "2.0.0"}, False), ({"id": "other"}, False)],
)
def test_another_minor_version_of_a_file_suite_serves(changes, serves, tmp_path):
    path = bird_files.write_suite(tmp_path)
    suite = load_suite(str(path)).suite
    asked = SimpleNamespace(**({"id": suite.id, "version": "1.7.0", "digest": "old"} | changes))
    record = SimpleNamespace(
        suite=asked,
        labels=list(suite.labels),
        groups=list(suite.groups.names),
        command=f"ifambench run {path} --model vit-micro",
    )
    run = SimpleNamespace(record=record, folder=tmp_path)
    if serves:
        assert _suite_of(run).suite == suite
    else:
        with pytest.raises(UsageError, match="has changed since"):
            _suite_of(run)
