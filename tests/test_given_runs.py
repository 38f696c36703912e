"""Runs of given weights on files: no training images, ImageNet's classes, images that are broken.

The weights are random and small; the suite is `tinybirds` without its training images.
"""

import json

import pytest
import torch

from ifambench.board import check, collect, rank
from ifambench.comparable import record_differences
from ifambench.errors import EXIT_ENVIRONMENT, EXIT_PARTIAL, EXIT_USAGE, EnvironmentProblem
from ifambench.models.vit import micro_vit
from ifambench.pipeline import run
from ifambench.progress import Progress
from ifambench.request import RunRequest
from ifambench.rescore import rescore
from tests.cli.conftest import _plain_place, cli
from tests.data.bird_files import table_rows, write_birds, write_suite, write_table
from tests.models.small_models import lively
from tests.models.timm_cache import CNN, fill_cache, point_to

__all__ = ["_plain_place", "cli"]

ONLY_TEST = (
    ('values = { 0 = "train", 1 = "val", 2 = "test" }', 'values = { 2 = "test" }'),
    ("train = 24\nval = 8\n", ""),
    ("[expected.train]\nn = 24\ngroups = [10, 2, 2, 10]\n\n", ""),
    ("[expected.val]\nn = 8\ngroups = [2, 2, 2, 2]\n\n", ""),
    ('selection = "best_val_accuracy"', 'selection = "none"'),
)
IMAGENET = (
    "[splits]",
    '[imagenet]\nlandbird = ["0-99"]\nwaterbird = ["100-400", "999"]\n\n[splits]',
)


@pytest.fixture
def place(tmp_path):
    """A data folder with test images alone."""
    folder = write_birds(tmp_path / "data")
    write_table(folder, [row for row in table_rows(folder) if row[3] == "2"])
    return tmp_path


def weights(folder, classes=2, **more):
    torch.manual_seed(0)
    network = micro_vit(32, num_classes=classes, embed_dim=64, num_heads=1, **more)
    path = folder / "given.pt"
    torch.save(lively(network).state_dict(), path)
    return f"ckpt:{path}"


def asked(place, model, *changes, **more):
    suite = write_suite(place, *ONLY_TEST, *changes)
    options = {"data_dir": place / "data", "threads": 1} | more
    return RunRequest(str(suite), model, place / "runs", **options)


def images_of(place):
    return sorted((place / "data" / "tinybirds" / "images").rglob("*.jpg"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])


def test_a_suite_without_training_images(place):
    found = run(asked(place, weights(place), images=4, steps=2), Progress())
    record = found.record
    assert record.status == "complete"
    assert record.train_shares is None
    assert (record.protocol.train_split, record.protocol.select_split) == (None, None)
    assert record.protocol.selection == "none"
    assert {phase.name: phase.images for phase in record.phases}["train"] == 0
    assert len(found.predictions) == 16
    assert set(found.explanations["explainer"]) >= {"grad-cam", "random"}
    assert rescore(found.folder, check=True).metrics == record.metrics


@pytest.mark.parametrize("verb", ["run", "train"])
def test_nothing_can_be_trained_without_training_images(place, verb, cli):
    suite = write_suite(place, *ONLY_TEST)
    found = cli(verb, suite, "--model", "vit-micro", "--data-dir", place / "data")
    assert found.code == EXIT_USAGE
    assert "tinybirds has no training images" in found.err
    assert "timm:ARCHITECTURE.TAG" in found.err
    assert "Traceback" not in found.err


def test_classes_that_do_not_fit_are_one_clear_error(place, cli):
    suite = write_suite(place, *ONLY_TEST)
    found = cli("run", suite, "--model", weights(place, 3), "--data-dir", place / "data")
    assert found.code == EXIT_USAGE
    assert "the weights tell 3 classes apart, the suite has 2" in found.err


@pytest.mark.parametrize("scope", ["all", "members"])
def test_classes_of_imagenet_become_labels(place, scope):
    model = weights(place, 1000)
    scoped = ("[protocol.standard]", f'[protocol.standard]\nlabel_scope = "{scope}"')
    found = run(asked(place, model, IMAGENET, scoped, images=4, steps=2), Progress())
    labels = set(found.predictions["y_pred"])
    assert labels <= ({0, 1, 2} if scope == "all" else {0, 1})
    assert found.record.labels == ["landbird", "waterbird"]
    assert found.record.protocol.label_scope == scope
    assert found.record.model.parameters > 64_000
    # the intact end of the curves is the stored prediction
    both = found.explanations.merge(found.predictions[["id", "prob_pred"]], on="id")
    assert (both["score_full"] == both["prob_pred"]).all()
    assert found.explanations["score_full"].between(0, 1).all()
    scopes = asked(place, model, IMAGENET, scoped, images=4, steps=2)
    again = run(scopes, Progress())
    assert again.record.finished_at == found.record.finished_at


def test_a_cnn_off_the_shelf(place, monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    fill_cache(folder, CNN)
    point_to(monkeypatch, folder)
    found = run(asked(place, CNN, IMAGENET, images=2, steps=2), Progress())
    assert found.record.model.weights.source == CNN
    assert found.record.model.data_config["crop_pct"] == 0.95
    assert found.record.model.capabilities == ["conv"]
    assert set(found.explanations["explainer"]) == {"grad-cam", "random"}
    assert found.folder.parents[1].name == "timm-test_resnet.r160_in1k"


def test_a_broken_image_stops_the_run(place):
    bad = images_of(place)[-1]
    cut(bad)
    with pytest.raises(EnvironmentProblem) as caught:
        run(asked(place, weights(place)), Progress())
    assert caught.value.where == str(bad)


def test_broken_images_are_left_out_when_asked(place, cli):
    bad = images_of(place)[-2:]
    for path in bad:
        cut(path)
    suite = write_suite(place, *ONLY_TEST)
    words = ["run", suite, "--model", weights(place), "--data-dir", place / "data"]
    words += ["--output", place / "runs", "--threads", "1", "--skip-bad-images"]
    found = cli(*words, "--format", "json")
    assert found.code == EXIT_PARTIAL
    record = json.loads(found.out)["record"]
    assert record["status"] == "partial"
    (warning,) = record["warnings"]
    assert warning.startswith("2 images could not be read and were left out: ")
    assert all(path.name in warning for path in bad)
    assert record["tables"]["predictions"]["rows"] == 14
    assert "--skip-bad-images" in record["command"]
    assert "the run is partial" in found.err
    again = cli(*words, "--format", "json")
    assert again.code == EXIT_PARTIAL
    assert json.loads(again.out)["record"]["finished_at"] == record["finished_at"]


def test_a_partial_run_is_scored_but_neither_ranked_nor_compared(place):
    cut(images_of(place)[-1])
    found = run(asked(place, weights(place), skip_bad_images=True), Progress())
    assert rescore(found.folder, check=True).metrics == found.record.metrics
    (row,) = rank(collect(place / "runs")).to_dict("records")
    assert row["unranked"] == "not complete (partial)"
    assert "status" in record_differences(found.record, found.record)
    assert not [text for text in check(place / "runs") if "stale" not in text]


def test_the_flag_changes_nothing_when_all_images_are_whole(place):
    found = run(asked(place, weights(place), skip_bad_images=True), Progress())
    plain = run(asked(place, weights(place)), Progress())
    assert plain.record.status == "complete"
    assert plain.record.finished_at == found.record.finished_at


def test_broken_training_images_are_left_out_too(tmp_path):
    write_birds(tmp_path / "data")
    bad = images_of(tmp_path)[0]
    cut(bad)
    suite = write_suite(tmp_path)
    model = "vit-micro@image_size=32,epochs=1"
    request = RunRequest(
        str(suite), model, tmp_path / "runs", data_dir=tmp_path / "data", threads=1
    )
    with pytest.raises(EnvironmentProblem):
        run(request, Progress())
    options = vars(request) | {"skip_bad_images": True}
    record = run(RunRequest(**options), Progress()).record
    assert record.status == "partial"
    assert bad.name in record.warnings[-1]


def test_offline_lists_everything_at_once(place, monkeypatch, cli):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    suite = write_suite(place, *ONLY_TEST)
    point_to(monkeypatch, place / "hub")
    words = ["run", suite, "--model", CNN, "--data-dir", place / "nothing", "--offline"]
    found = cli(*words)
    assert found.code == EXIT_ENVIRONMENT
    assert "2 things are not on this machine" in found.err
    assert "images of tinybirds" in found.err
    assert f"weights {CNN}" in found.err
    words[words.index("--data-dir") + 1] = place / "data"
    found = cli(*words)
    assert "1 thing is not on this machine" in found.err
    assert "data fetch" not in found.err


def test_offline_with_everything_here(place, monkeypatch, cli):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # so that what the command sets is undone
    suite = write_suite(place, *ONLY_TEST)
    words = ["run", suite, "--model", weights(place), "--data-dir", place / "data", "--offline"]
    assert cli(*words, "--output", place / "runs", "--threads", "1").code == 0
