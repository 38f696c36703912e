"""Recipes are data: what the suite file says, over the defaults, checked."""

import pytest

from ifambench.errors import UsageError
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
    ],
)
def test_wrong_entries_are_named_with_file_and_key(suite, values, named):
    with pytest.raises(UsageError) as caught:
        recipe_for(with_recipe(suite, "vit", **values), "vit")
    assert named in str(caught.value)
    assert "recipe.vit" in str(caught.value)


def test_the_record_form_is_plain_data(suite):
    import json

    assert json.loads(json.dumps(recipe_for(suite, "ifam").as_dict()))["num_parts"] == 4
