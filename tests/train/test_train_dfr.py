"""Deep feature reweighting."""

import numpy as np
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.errors import UsageError
from ifambench.models.timm_vit import build_vit
from ifambench.train.dfr import _choose_strength, _fit_balanced, refit_last_layer
from ifambench.train.linear_head import Features
from ifambench.train.recipes import recipe_for
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


def test_the_head_is_replaced_and_nothing_else(data):
    torch.manual_seed(0)
    model = build_vit(num_classes=2, image_size=64)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    sets = [train_set(data, split, model, torch.device("cpu")) for split in ("train", "val")]
    recipe = recipe_for(data.suite, "vit")
    found = refit_last_layer(model, *sets, recipe, seed=0)
    assert found["dfr_strength"] in recipe.strengths
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"vit.head.weight", "vit.head.bias"}


def test_blind_to_a_feature_that_only_tells_the_attribute():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2, 3], [400, 20, 20, 400])
    y, place = group // 2, group % 2
    x = np.stack([y + rng.normal(0, 0.7, len(y)), 3.0 * place + rng.normal(0, 0.1, len(y))], 1)
    linear = _fit_balanced(Features(x, y, group), 1.0, rng, 2)
    assert abs(linear.weight[1, 1]) < 0.3 * abs(linear.weight[1, 0])


def test_three_classes():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 60)
    x = np.eye(3)[y] + rng.normal(0, 0.1, (180, 3))
    data = Features(x, y, y)
    assert _fit_balanced(data, 1.0, rng, 3).right(data).mean() > 0.95


def test_too_few_validation_images_of_a_class_are_refused():
    y = np.array([0] * 9 + [1])
    data = Features(np.random.default_rng(0).normal(size=(10, 2)), y, y)
    rng = np.random.default_rng(1)
    assert 9 in rng.permutation(10)[1::2]  # the only image of class 1 is held out
    with pytest.raises(UsageError, match="lack a class"):
        _choose_strength(data, (1.0,), np.random.default_rng(1), 2)
