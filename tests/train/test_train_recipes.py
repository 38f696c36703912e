"""Recipes are data: what the suite file says, over the defaults, checked."""

from contextlib import nullcontext
from dataclasses import fields

import pytest

from ifambench.errors import UsageError
from ifambench.models.catalog import MODEL_REGISTRY, choose_model, model_labels
from ifambench.suites.catalog import load_suite, suite_names
from ifambench.train import recipe_scope
from ifambench.train.recipes import LOSS_WEIGHTS, Recipe, recipe_for
from tests.tiny import tiny_suite


@pytest.fixture
def suite(tmp_path):
    return tiny_suite(tmp_path)


def with_recipe(suite, family, **values):
    return suite.model_copy(update={"recipe": suite.recipe | {family: values}})


def test_defaults_and_overrides(suite):
    assert recipe_for(suite, "unknown-family") == Recipe()
    recipe = recipe_for(suite, "ifam")
    assert recipe.epochs == 2
    assert recipe.losses == LOSS_WEIGHTS | {"rim": 1.0}


def test_a_method_starts_from_its_family(suite):
    changed = with_recipe(suite, "vit+groupdro", group_step=0.5)
    assert recipe_for(changed, "vit+groupdro").epochs == recipe_for(suite, "vit").epochs
    assert recipe_for(changed, "vit+groupdro").group_step == 0.5
    assert recipe_for(changed, "vit").group_step == Recipe().group_step


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"epoch": 3}, "epoch"),
        ({"losses": {"rimm": 1.0}}, "rimm"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"gumbel": 1}, "gumbel"),
        ({"losses": {"rim": "much"}}, "losses.rim"),
        ({"losses": 3}, "losses"),
        ({"lr_factors": {"head": 3.0}}, "head"),
        ({"strengths": 1.0}, "strengths"),
        ({"strengths": []}, "strengths"),
        ({"strengths": [1.0, "x"]}, "strengths"),
        ({"mask_gradient": "hard"}, "straight-through"),
        ({"augment": "cutmix"}, "cub"),
        ({"lr": 0.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"weight_decay": float("inf")}, "weight_decay"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"ema": 1.0}, "ema"),
        ({"batch_size": 10, "accumulate": 4}, "accumulate"),
    ],
)
def test_wrong_entries_are_named_with_file_and_key(suite, values, named):
    with pytest.raises(UsageError) as caught:
        recipe_for(with_recipe(suite, "vit", **values), "vit")
    assert named in str(caught.value)
    assert "recipe.vit" in str(caught.value)


def test_the_more_special_section_has_the_last_word(suite):
    recipe = {
        "vit": {"epochs": 1, "lr": 0.1, "clip": 1.0, "jitter": 0.1, "source": "family"},
        "vit+groupdro": {"lr": 0.2, "clip": 2.0, "jitter": 0.2},
        "vit-ti": {"clip": 3.0, "jitter": 0.3},
        "vit-ti+groupdro": {"jitter": 0.4},
    }
    changed = suite.model_copy(update={"recipe": recipe})
    found = recipe_for(changed, "vit+groupdro", "vit-ti+groupdro", {"epochs": "9"})
    assert (found.epochs, found.lr, found.clip, found.jitter) == (9, 0.2, 3.0, 0.4)
    assert found.source == "family"
    plain = recipe_for(changed, "vit", "vit-ti")
    assert (plain.epochs, plain.lr, plain.clip, plain.jitter) == (1, 0.1, 3.0, 0.3)


def test_overrides_are_read_by_the_type_of_the_field(suite):
    texts = {
        "num_parts": "8",
        "lr": "2e-4",
        "gumbel": "false",
        "mask_gradient": "soft",
        "losses.equivariance": "0",
        "lr_factors.prototypes": "1e3",
    }
    found = recipe_for(suite, "ifam", "ifam-vit-ti", texts)
    assert (found.num_parts, found.lr, found.gumbel) == (8, 2e-4, False)
    assert found.mask_gradient == "soft"
    assert found.losses == LOSS_WEIGHTS | {"equivariance": 0.0, "rim": 1.0}
    assert found.lr_factors["prototypes"] == 1000
    assert found.lr_factors["heads"] == 1
    listed = recipe_for(suite, "vit+dfr", "vit-ti+dfr", {"strengths": "1+0.3"})
    assert listed.strengths == (1.0, 0.3)


@pytest.mark.parametrize(
    ("key", "text", "named"),
    [
        ("parts", "8", "num_parts"),
        ("num_parts", "8.5", "whole number"),
        ("num_parts", "0", "positive"),
        ("lr", "fast", "a number"),
        ("gumbel", "no", "true or false"),
        ("mask_gradient", "hard", "straight-through"),
        ("losses", "0", "losses.entropy"),
        ("losses.shape", "0", "entropy"),
        ("lr.head", "1", "lr"),
    ],
)
def test_wrong_overrides_are_named_with_the_valid_ones(suite, key, text, named):
    with pytest.raises(UsageError) as caught:
        recipe_for(suite, "ifam", "ifam-vit-ti", {key: text})
    assert named in str(caught.value)
    assert "--model ifam-vit-ti@" in str(caught.value)


@pytest.mark.parametrize(
    ("family", "field", "whose"),
    [
        ("vit", "lr_stage_1=0.1", "models with parts"),
        ("oracle", "losses.entropy=0", "models with parts"),
        ("vit", "group_step=0.1", "groupdro"),
        ("vit+groupdro", "jtt_weight=3", "jtt"),
        ("vit+dfr", "probe_strengths=1", "probe"),
    ],
)
def test_an_override_that_changes_nothing_is_refused(suite, family, field, whose):
    key, _, value = field.partition("=")
    with pytest.raises(UsageError, match=whose) as caught:
        recipe_for(suite, family, "", {key: value})
    assert key.partition(".")[0] in caught.value.what


def test_every_field_with_an_owner_exists_and_so_does_the_owner():
    names = {field.name for field in fields(Recipe)}
    assert {*recipe_scope._OF_STAGE_1, *recipe_scope._METHOD_OF} <= names
    entries = MODEL_REGISTRY.entries().values()
    methods = {method for entry in entries for method in entry.info["methods"]}
    assert set(recipe_scope._METHOD_OF.values()) <= methods
    assert set(recipe_scope._WITHOUT_STAGE_1) <= {entry.info["family"] for entry in entries}


@pytest.mark.parametrize("method", ["rwg", "groupdro"])
def test_classes_are_not_balanced_twice(suite, method):
    balanced = with_recipe(suite, "vit", class_balanced=True)
    with pytest.raises(UsageError, match="twice"):
        recipe_for(balanced, f"vit+{method}")
    off = {"class_balanced": "false"}
    assert not recipe_for(balanced, f"vit+{method}", "", off).class_balanced
    assert recipe_for(balanced, "vit+jtt").class_balanced


def test_a_misspelt_field_is_told_the_near_ones(suite):
    with pytest.raises(UsageError, match=r'"epoch" \(did you mean epochs'):
        recipe_for(suite, "vit", "", {"epoch": "1"})


def test_groupdro_takes_whole_batches(suite):
    parted = with_recipe(suite, "vit", batch_size=8, accumulate=2)
    with pytest.raises(UsageError, match="accumulate must be 1, is 2"):
        recipe_for(parted, "vit+groupdro")
    assert recipe_for(parted, "vit+groupdro", "", {"accumulate": "1"}).accumulate == 1
    assert recipe_for(parted, "vit+jtt").accumulate == 2


@pytest.mark.parametrize(("text", "fits"), [("0", True), ("1", True), ("1.1", False)])
def test_the_share_of_patches_to_keep_may_be_all(suite, text, fits):
    with nullcontext() if fits else pytest.raises(UsageError, match=r"in \[0, 1\]"):
        found = recipe_for(suite, "vit", "gradcam-vit-ti", {"keep_fraction": text})
        assert found.keep_fraction == float(text)


def test_a_model_that_takes_over_weights_reads_the_sections_of_their_model(suite):
    recipe = {"vit-ti": {"image_size": 224, "lr": 0.1}, "gradcam-vit-ti": {"keep_fraction": 0.5}}
    changed = suite.model_copy(update={"recipe": recipe})
    found = recipe_for(changed, "vit+dfr", "gradcam-vit-ti+dfr")
    assert (found.image_size, found.lr, found.keep_fraction) == (224, 0.1, 0.5)
    assert recipe_for(changed, "vit", "vit-ti").keep_fraction == 0


@pytest.mark.parametrize("name", suite_names())
def test_the_sections_of_every_shipped_suite_belong_to_models(name):
    shipped = load_suite(name).suite
    choices = [choose_model(label) for label in model_labels()]
    families = {choice.family: "" for choice in choices}
    labels = {choice.base_label: choice.family for choice in choices}
    assert set(shipped.recipe) <= families.keys() | labels.keys()
    for section in shipped.recipe:
        recipe_for(shipped, labels.get(section, section), section)
    for choice in choices:  # each has a default that is not refused
        recipe_for(shipped, choice.family, choice.base_label)


def test_the_image_size_shapes_the_model_only_when_it_is_set(suite):
    assert "image_size" not in recipe_for(suite, "ifam").architecture()
    found = recipe_for(suite, "ifam", "", {"image_size": "128", "temperature": "0.5"})
    assert found.architecture()["image_size"] == 128
    assert found.architecture()["temperature"] == 0.5


def test_rates_are_for_a_batch_size_when_the_recipe_names_one():
    assert Recipe(batch_size=64).peak_lr(1e-3) == 1e-3
    assert Recipe(batch_size=64, lr_batch=16).peak_lr(1e-3) == 2e-3


def test_normalised_weight_decay_shrinks_with_the_number_of_steps():
    recipe = Recipe(epochs=5, batch_size=10, weight_decay=0.1, weight_decay_rule="normalised")
    assert recipe.effective_weight_decay(209) == pytest.approx(0.1 / (20 * 5) ** 0.5)
    assert Recipe(weight_decay=0.1).effective_weight_decay(209) == 0.1


def test_the_record_form_is_plain_data(suite):
    import json

    assert json.loads(json.dumps(recipe_for(suite, "ifam").as_dict()))["num_parts"] == 4
