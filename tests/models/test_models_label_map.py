"""Classes of ImageNet become labels: the argmax of 1,000 classes, and sums of probabilities."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.curves import patch_curves
from ifambench.explain.ranking import Orders
from ifambench.explain.scoring import scorer_of
from ifambench.models.base import Classifier, DataConfig
from ifambench.models.label_map import LabelMap, Mapped, as_labels, label_map
from ifambench.models.timm_vit import TimmVit
from ifambench.models.vit import micro_vit
from ifambench.predict.forward import Batch, probabilities
from ifambench.predict.loop import classify
from ifambench.suites.labels import label_set
from tests.models.small_models import SIDE, images, keeps, lively

MEMBERS = {"dog": ["151-153", "7"], "cat": ["281"], "bird": ["80-99"]}
CLASSES = {"dog": [151, 152, 153, 7], "cat": [281], "bird": list(range(80, 100))}


ANIMALS = SimpleNamespace(id="animals", labels=list(MEMBERS), imagenet=MEMBERS)
"""What of a suite is read."""


class _Fixed(Classifier):
    """Gives stored logits."""

    def __init__(self, raw):
        super().__init__()
        self.raw = raw
        self.data_config, self.num_classes = DataConfig(8), raw.shape[1]
        self.patch_grid, self.num_prefix_tokens = (1, 1), 0

    def logits(self, images, masks=None):
        return self.raw


def raw_logits(n=400):
    return 3 * torch.randn(n, 1000, generator=torch.Generator().manual_seed(0))


def test_the_label_of_the_largest_of_all_logits_wins():
    raw = raw_logits()
    found = label_map(ANIMALS, "all").logits(raw).argmax(dim=1).numpy()
    of_class = np.full(1000, 3)
    for k, members in enumerate(CLASSES.values()):
        of_class[members] = k
    expected = of_class[raw.argmax(dim=1).numpy()]
    assert (found == expected).all()
    assert len(np.unique(found)) > 1


def test_among_members_alone():
    raw = raw_logits()
    every = [index for members in CLASSES.values() for index in members]
    best = [every[k] for k in raw[:, every].argmax(dim=1)]
    names = [next(k for k, part in enumerate(CLASSES.values()) if index in part) for index in best]
    to_labels = label_map(ANIMALS, "members")
    assert to_labels.logits(raw).shape == (len(raw), 3)
    assert to_labels.logits(raw).argmax(dim=1).tolist() == names


@pytest.mark.parametrize("scope", ["all", "members"])
def test_probabilities_are_sums_over_the_classes(scope):
    raw = raw_logits(20)
    prob = raw.double().softmax(dim=1).numpy()
    sums = np.stack([prob[:, part].sum(axis=1) for part in CLASSES.values()], axis=1)
    if scope == "all":
        sums = np.concatenate([sums, 1 - sums.sum(axis=1, keepdims=True)], axis=1)
    expected = sums / sums.sum(axis=1, keepdims=True)
    found = probabilities(label_map(ANIMALS, scope).scores(raw.double()))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_prediction_decides_by_the_largest_and_reports_the_sum():
    raw = torch.full((1, 1000), -10.0)
    raw[0, 281], raw[0, 80:100] = 2.0, 1.9  # one cat, twenty birds a little below it
    model = Mapped(_Fixed(raw), label_map(ANIMALS, "members"))
    found = classify(model, Batch(torch.zeros(1, 3, 8, 8), None))
    assert found.logits.argmax(dim=1).tolist() == [1]
    prob = probabilities(found.scores)
    assert prob[0, 2] > prob[0, 1]
    followed = scorer_of(model, torch.zeros(1, 3, 8, 8), torch.tensor([2]))
    curves = patch_curves(followed, Orders(np.zeros((1, 1), np.int64), np.zeros(1, np.int64)), 1)
    np.testing.assert_allclose(curves.deletion, prob[:, [2, 2]])


def vit_of_1000():
    torch.manual_seed(0)
    return lively(TimmVit(micro_vit(SIDE, num_classes=1000), DataConfig(SIDE)))


def test_what_the_model_can_do_is_mapped_too():
    inner = vit_of_1000()
    model = as_labels(inner, ANIMALS, "all", "ckpt:x").eval()
    assert isinstance(model, Mapped)
    assert model.capabilities == inner.capabilities
    assert model.num_classes == 4
    assert model.describe()["parameters"] == inner.describe()["parameters"]
    to_labels = model.label_map
    with torch.no_grad():
        whole = to_labels.logits(inner.logits(images()))
        part = to_labels.logits(inner.logits_from_patches(images(), keeps()))
        torch.testing.assert_close(model.logits(images()), whole)
        torch.testing.assert_close(model.logits_from_patches(images(), keeps()), part)
        torch.testing.assert_close(model.trace(images()).logits, whole, rtol=0, atol=1e-4)


def test_grad_cam_of_a_label_is_that_of_its_largest_class():
    inner = vit_of_1000()
    model = Mapped(inner, label_map(ANIMALS, "all"))
    with torch.no_grad():
        classes = inner.logits(images())[:, CLASSES["bird"]].argmax(dim=1) + 80
    context = ExplainContext([str(k) for k in range(5)])
    birds = torch.full((5,), 2)
    found = relevance_of("grad-cam", model, images(), birds, context)
    torch.testing.assert_close(found, relevance_of("grad-cam", inner, images(), classes, context))


def test_a_map_of_every_class_has_no_rest():
    halves = {"a": ["0-499"], "b": ["500-999"]}
    suite = SimpleNamespace(id="halves", labels=["a", "b"], imagenet=halves)
    assert len(label_map(suite, "all").members) == 2


def test_the_labels_of_imagenet_need_no_map():
    suite = SimpleNamespace(id="whole", labels=list(label_set("imagenet-1k")), imagenet={})
    model = vit_of_1000()
    assert as_labels(model, suite, "all", "timm:x.y") is model
    assert model.unmapped is model
    assert model.label_map is None


def test_classes_that_do_not_fit():
    other = SimpleNamespace(id="animals", labels=list(MEMBERS), imagenet={})
    with pytest.raises(UsageError, match="those of ImageNet-1k, and animals maps its 3 labels"):
        as_labels(vit_of_1000(), other, "all", "timm:x.y")
    with pytest.raises(UsageError, match="1000 classes apart, the suite has 3"):
        as_labels(vit_of_1000(), other, "all", "ckpt:x")
    two = TimmVit(micro_vit(SIDE, num_classes=2), DataConfig(SIDE))
    with pytest.raises(UsageError, match="2 classes apart, the suite has 3"):
        as_labels(two, ANIMALS, "all", "ckpt:x")


def test_a_map_is_of_plain_numbers():
    assert LabelMap(((0,), (1, 2)), "all").logits(torch.eye(3)).tolist() == [[1, 0], [0, 1], [0, 1]]
