"""The commands for Waterbirds and its like on miniatures in the layout of the real data."""

import re
from pathlib import Path

import pytest

from ifambench.assemble import started_record
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.catalog import choose_model
from ifambench.pipeline import make_plan, run
from ifambench.progress import Progress
from ifambench.records.store import read_table
from ifambench.request import RunRequest
from ifambench.suites.catalog import load_suite
from ifambench.train.facts import training_facts
from ifambench.train.recipes import recipe_for
from tests.data.bird_files import write_birds
from tests.suites.miniatures import nicopp, waterbirds_cub50

COUNTS = {"train": [10, 2, 2, 10], "val": [2, 2, 2, 2], "test": [4, 4, 4, 4]}


@pytest.fixture
def request_for(tmp_path):
    """From a model to a request whose suite is the shipped one but for its counts."""
    folder = write_birds(tmp_path)
    for species in list((folder / "images").iterdir()):
        species.rename(folder / species.name)
    folder.rename(tmp_path / "waterbird_complete95_forest2water2")
    text = load_suite("waterbirds").path.read_text(encoding="utf-8")
    for split, groups in COUNTS.items():
        text = re.sub(rf"(?m)^{split} = \d+$", f"{split} = {sum(groups)}", text)
        wanted = rf"(?m)^\[expected.{split}\]\nn = .*\ngroups = .*$"
        text, found = re.subn(
            wanted, f"[expected.{split}]\nn = {sum(groups)}\ngroups = {groups}", text
        )
        assert found == 1
    suite = tmp_path / "waterbirds" / "suite.toml"
    suite.parent.mkdir()
    suite.write_text(text, encoding="utf-8")

    def made(model: str, **more) -> RunRequest:
        return RunRequest(str(suite), model, tmp_path / "runs", data_dir=tmp_path, **more)

    return made


def test_the_published_recipe_runs_in_miniature(request_for):
    model = "ifam-vit-micro@image_size=32,epochs=2,batch_size=8,accumulate=2"
    found = run(request_for(model, threads=1), Progress())
    record = found.record
    assert record.status == "complete"
    assert record.suite.id == "waterbirds"
    assert record.training["lr"] == pytest.approx(1e-6 * (8 / 16) ** 0.5)
    assert record.training["selection"] == "best_val_accuracy"
    assert record.training["selected_epoch"] in (1, 2)
    assert "lr_rule 1e-06 x sqrt(8 / 16)" in (found.folder / "report.md").read_text()
    assert record.recipe["compat"] == "official"
    assert record.recipe["source"]
    assert len(found.predictions) == 16
    assert Path(found.folder / "report.html").is_file()


def test_given_weights_have_no_recipe_and_no_training_split(request_for):
    folder = run(request_for("vit-micro@image_size=32,epochs=1,batch_size=8"), Progress()).folder
    given = run(request_for(f"ckpt:{folder / 'weights.safetensors'}"), Progress())
    record = given.record
    assert (record.recipe, record.training) == ({}, {})
    assert (record.protocol.train_split, record.protocol.selection) == (None, "none")
    assert record.model.labels_needed == "unknown"
    assert "not trained" in (given.folder / "report.md").read_text()


def test_a_linear_probe_needs_no_group_labels_whatever_selects_the_epoch(request_for):
    asked = {"protocol": "group-labels"}
    for model, needed in (("vit-micro+probe", "none"), ("vit-micro", "val")):
        plan = make_plan(request_for(f"{model}@image_size=32", **asked))
        assert started_record(plan).model.labels_needed == needed


def test_the_rates_are_those_of_the_published_table():
    suite = load_suite("waterbirds").suite
    choice = choose_model("ifam-vit-b")
    recipe = recipe_for(suite, choice.family, choice.base_label)
    facts = training_facts(recipe, suite.splits["train"], "best_val_accuracy", 1)
    assert facts.lr == pytest.approx(2.828e-6, rel=1e-3)
    assert recipe.peak_lr(recipe.lr_stage_1) * recipe.lr_factors["prototypes"] == pytest.approx(
        2.828e-3, rel=1e-3
    )
    assert facts.weight_decay == pytest.approx(0.05 / (37 * 90) ** 0.5)
    assert facts.images_per_pass == 16


@pytest.mark.parametrize("model", ["ifam-vit-ti", "gradcam-vit-ti+dfr", "pdiscoformer-vit-ti"])
def test_the_tiny_networks_have_a_size_that_their_patches_tile(model):
    choice = choose_model(model)
    recipe = recipe_for(load_suite("waterbirds").suite, choice.family, choice.base_label)
    assert recipe.image_size == 224


def test_a_model_without_masks_is_planned_and_one_that_needs_them_refused(request_for):
    small = "@image_size=32,batch_size=8"
    assert make_plan(request_for(f"vit-micro+jtt{small}")).view.image_size == 32
    with pytest.raises(UsageError, match="waterbirds has no masks"):
        make_plan(request_for(f"oracle-vit-micro{small}"))


TINY = "vit-micro@image_size=32,epochs=1,batch_size=8,init=scratch"


def test_swapped_places_and_natural_photos_are_evaluated(tmp_path):
    waterbirds_cub50.write(tmp_path)
    asked = {"data_dir": tmp_path, "protocol": "swap", "size": "available", "threads": 1}
    found = run(RunRequest("waterbirds-cub50", TINY, tmp_path / "runs", **asked), Progress())
    assert (found.record.status, found.record.suite.size) == ("complete", "available")
    images = found.predictions.groupby("variant").size().to_dict()
    assert images.pop("original_context") == 5
    assert set(images.values()) == {10}
    rows = {(row.metric, row.variant): row for row in found.record.metrics if row.group == "all"}
    right = {name: rows["variant_accuracy", name].value for name in images}
    gap = rows["bg_gap", "mixed_same-mixed_rand"].value
    assert gap == pytest.approx(right["mixed_same"] - right["mixed_rand"])
    assert rows["gap_id_ood", "original_context"].n == 5
    pairs = read_table(found.folder / "pairing.csv.gz", found.record.tables["pairing"])
    swapped = pairs.groupby("variant").size().to_dict()
    assert swapped == {name: n for name, n in images.items() if name in swapped}
    assert {"mixed_same", "mixed_rand"} <= swapped.keys()


def test_of_what_is_available_only_groups_with_images_are_evaluated(tmp_path):
    nicopp.write(tmp_path)
    asked = {"data_dir": tmp_path, "size": "available", "threads": 1}
    record = run(RunRequest("nico++", TINY, tmp_path / "runs", **asked), Progress()).record
    assert record.groups == ["car_autumn", "fishing_rod_dim", "hot_air_balloon_autumn"]
    assert record.train_shares == pytest.approx([2 / 6, 1 / 6, 2 / 6])
    worst = next(row for row in record.metrics if row.metric == "worst_group_accuracy")
    assert worst.group in record.groups


def test_without_an_image_to_evaluate_nothing_is_trained(request_for, tmp_path):
    asked = request_for(TINY, size="available", threads=1)
    table = next(tmp_path.glob("*/metadata.csv"))
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if line.split(",")[3] != "2"))
    with pytest.raises(EnvironmentProblem, match='no image of the split "test"'):
        run(asked, Progress())
    assert not list(tmp_path.rglob("weights.safetensors"))
