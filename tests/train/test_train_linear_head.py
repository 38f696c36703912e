"""Features of the frozen backbone, kept in a file; classifiers as heads."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from ifambench.data.load import load_data
from ifambench.errors import UsageError
from ifambench.models.timm_vit import TimmVit, build_vit
from ifambench.train.dfr import _fit_balanced
from ifambench.train.linear_head import Features, Linear, Scaling, as_linear, features, set_head
from ifambench.train.probe import fit_linear
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite


@pytest.fixture(scope="module")
def val_and_model(tmp_path_factory):
    data = load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("val",))
    torch.manual_seed(0)
    model = build_vit(num_classes=2, image_size=64)
    return train_set(data, "val", model, torch.device("cpu")), model


def test_features_are_computed_once(val_and_model, tmp_path, monkeypatch):
    val, model = val_and_model
    first = features(model, val, tmp_path / "work" / "x.npy")
    monkeypatch.setattr(TimmVit, "features", lambda *_: pytest.fail("computed again"))
    again = features(model, val, tmp_path / "work" / "x.npy")
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.group, val.group.numpy())


def test_a_damaged_file_is_computed_again(val_and_model, tmp_path):
    val, model = val_and_model
    first = features(model, val, tmp_path / "x.npy")
    content = (tmp_path / "x.npy").read_bytes()
    for damaged in (content[:500], b"", b"no array"):
        (tmp_path / "x.npy").write_bytes(damaged)
        assert np.array_equal(features(model, val, tmp_path / "x.npy").x, first.x)
    assert (tmp_path / "x.npy").read_bytes() == content


def test_the_head_of_raw_features_equals_the_classifier_of_standardised_ones(val_and_model):
    val, model = val_and_model
    rng = np.random.default_rng(0)
    found = features(model, val)
    linear = Linear(rng.normal(size=(2, 64)), rng.normal(size=2))
    scaling = Scaling.of(found)
    set_head(model.vit.head, scaling.raw(linear))
    expected = scaling.standardised(found).x @ linear.weight.T + linear.bias
    logits = model.logits(val.batch(torch.arange(len(val))).images).detach().numpy()
    assert np.allclose(logits, expected, atol=1e-3)


def test_a_binary_regression_as_two_logits():
    linear = as_linear(np.array([[2.0, -1.0]]), np.array([0.5]), np.array([0, 1]), 2)
    x = np.array([[0.3, 0.7]])
    logits = x @ linear.weight.T + linear.bias
    assert logits[0, 1] - logits[0, 0] == pytest.approx(2 * 0.3 - 0.7 + 0.5)


def test_which_images_are_right():
    data = Features(np.array([[1.0], [-1.0]]), np.array([1, 1]), np.array([0, 0]))
    linear = Linear(np.array([[-1.0], [1.0]]), np.zeros(2))
    assert linear.right(data).tolist() == [True, False]


def test_a_head_that_cannot_be_replaced_is_refused():
    with pytest.raises(UsageError, match="linear head"):
        set_head(nn.Identity(), Linear(np.zeros((2, 3)), np.zeros(2)))


@pytest.mark.parametrize("fitted", [[0, 2], [0, 1, 3]])
def test_a_class_without_images_is_never_predicted(fitted):
    rng = np.random.default_rng(0)
    rows = 1 if len(fitted) == 2 else len(fitted)
    linear = as_linear(rng.normal(size=(rows, 2)), rng.normal(size=rows), np.array(fitted), 4)
    predicted = (rng.normal(size=(200, 2)) @ linear.weight.T + linear.bias).argmax(1)
    assert set(predicted) <= set(fitted)
    assert np.isfinite(linear.bias).all()


@pytest.mark.parametrize("fit", [fit_linear, partial(_fit_balanced, rng=np.random.default_rng(0))])
def test_classes_keep_their_index_when_one_is_missing(fit):
    y = np.repeat([0, 1, 3], 30)
    x = np.eye(4)[y] + np.random.default_rng(0).normal(0, 0.1, (90, 4))
    data = Features(x, y, y)
    assert fit(data, 1.0, classes=4).right(data).mean() > 0.95


def test_one_class_alone_is_refused():
    data = Features(np.zeros((4, 2)), np.ones(4, np.int64), np.ones(4, np.int64))
    with pytest.raises(UsageError, match="two classes"):
        fit_linear(data, 1.0, 2)
