"""Guided backpropagation and DeepLIFT on CNNs, against definitions without captum."""

from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, check_needs, relevance_of
from ifambench.explain.methods import deeplift
from ifambench.explain.methods.input_gradients import pool_pixels
from ifambench.models.base import Classifier, DataConfig
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.off_the_shelf import OffTheShelf
from ifambench.models.timm_import import import_timm
from tests.explain.methods.traced_models import IDS, TARGETS
from tests.models.small_models import vit

NAMES = ["guided-backprop", "deeplift"]
CONTEXT = ExplainContext(IDS)
PIXELS = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def cnn(architecture: str = "test_resnet", num_classes: int = 3) -> OffTheShelf:
    """A network with residuals, overlapping max pools and ReLUs in place; random norms."""
    torch.manual_seed(0)
    network = import_timm().create_model(architecture, num_classes=num_classes)
    with torch.no_grad():
        network.get_classifier().weight.normal_(std=0.5)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.3)
                module.running_mean.normal_(std=0.3)
    return OffTheShelf(network, DataConfig(64)).eval()


class Small(Classifier):
    """One convolution, one ReLU, one max pool that overlaps, the mean; any activation."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"conv"})

    def __init__(self, act: nn.Module, *, twice: bool = False) -> None:
        super().__init__()
        self.data_config, self.num_classes = DataConfig(64), 3
        self.patch_grid, self.num_prefix_tokens = (4, 4), 0
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 5, padding=2), nn.Conv2d(6, 6, 3, padding=1)
        self.act, self.pool, self.head = act, nn.MaxPool2d(3, 2, 1), nn.Linear(6, 3)
        self.twice = twice

    def logits(self, images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        found = self.second(self.pool(self.act(self.first(images))))
        return self.head((self.act(found) if self.twice else found).mean((2, 3)))


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return slope.clamp(min=0) * (x > 0)


class GuidedReLU(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Guided.apply(x)


def replace_relus(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.ReLU):
            setattr(module, name, GuidedReLU())
        else:
            replace_relus(child)


def test_guided_backprop_by_the_definition():
    found = relevance_of("guided-backprop", cnn(), PIXELS, TARGETS, CONTEXT)
    guided = cnn()
    replace_relus(guided)
    for k in range(5):
        one = PIXELS[k : k + 1].clone().requires_grad_()
        guided.logits(one)[0, TARGETS[k]].backward()
        torch.testing.assert_close(found[k], pool_pixels(guided, one.grad)[0], atol=1e-4, rtol=1e-4)


def test_guided_backprop_may_meet_a_relu_twice():
    model = Small(nn.ReLU(), twice=True).eval()
    found = relevance_of("guided-backprop", model, PIXELS, TARGETS, CONTEXT)
    guided = Small(nn.ReLU(), twice=True).eval()
    replace_relus(guided)
    x = PIXELS.clone().requires_grad_()
    guided.logits(x).gather(1, TARGETS[:, None]).sum().backward()
    torch.testing.assert_close(found, pool_pixels(guided, x.grad), atol=1e-5, rtol=1e-4)


NETWORKS = {
    "overlapping-pools": cnn,
    "one-pool": lambda: Small(nn.ReLU(inplace=True)).eval(),
    "a-relu-at-two-places": lambda: Small(nn.ReLU(), twice=True).eval(),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_deeplift_is_complete(kind):
    model = NETWORKS[kind]()
    found = relevance_of("deeplift", model, PIXELS, TARGETS, CONTEXT)
    with torch.no_grad():
        ends = (model.logits(PIXELS) - model.logits(0 * PIXELS))[range(5), TARGETS]
    assert ends.abs().max() > 0.05
    torch.testing.assert_close(found.sum((1, 2)), ends, atol=2e-4 * float(ends.abs().max()), rtol=0)


def test_deeplift_of_one_relu_by_hand():
    class OneRelu(Small):
        def logits(self, images: torch.Tensor, masks: Any = None) -> torch.Tensor:
            return self.head(self.act(self.first(images)).mean((2, 3)))

    model = OneRelu(nn.ReLU()).eval()
    found = relevance_of("deeplift", model, PIXELS, TARGETS, CONTEXT)
    x = PIXELS.clone().requires_grad_()
    into, reference = model.first(x), model.first(0 * x).detach()
    ratio = (into.relu() - reference.relu()) / (into - reference)
    weights = model.head.weight[TARGETS][:, :, None, None] / 64**2
    (slope,) = torch.autograd.grad((into * (ratio * weights).detach()).sum(), x)
    torch.testing.assert_close(found, pool_pixels(model, x * slope).detach(), atol=1e-6, rtol=1e-4)


def test_what_did_not_change_passes_its_derivative():
    x = torch.tensor([[2.0, -1.0, 3.0, -2.0]])
    both = torch.cat([x, torch.tensor([[2.0, -1.0, -1.0, 2.0]])]).requires_grad_()
    (slope,) = torch.autograd.grad(deeplift._Relu()(both)[:1].sum(), both)
    torch.testing.assert_close(slope, torch.tensor([[1, 0, 3 / 4, 1 / 2], [0, 0, 0, 0]]))
    same = x.reshape(1, 1, 2, 2).repeat(2, 1, 1, 1).requires_grad_()
    (slope,) = torch.autograd.grad(deeplift._Pool(nn.MaxPool2d(2))(same)[:1].sum(), same)
    torch.testing.assert_close(slope.flatten(1), torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0]]))


@pytest.mark.parametrize("name", NAMES)
def test_with_labels_of_several_classes(name):
    inner = cnn(num_classes=7)
    model = Mapped(inner, LabelMap(((0, 3), (1, 2, 6), (4, 5)), "members")).eval()
    found = relevance_of(name, model, PIXELS, TARGETS, CONTEXT)
    members = [model.label_map.members[target] for target in TARGETS.tolist()]
    raw = inner.logits(PIXELS).detach()
    best = [max(m, key=row.__getitem__) for m, row in zip(members, raw, strict=True)]
    expected = relevance_of(name, inner, PIXELS, torch.tensor(best), CONTEXT)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_left_as_it_is(name):
    model = cnn()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    in_place = [getattr(module, "inplace", None) for module in model.modules()]
    assert True in in_place
    relevance_of(name, model, PIXELS, TARGETS, CONTEXT)
    assert in_place == [getattr(module, "inplace", None) for module in model.modules()]
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        assert not any(hooks)
        assert not hasattr(module, "input")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_networks_without_relu_are_refused(name):
    with pytest.raises(UsageError, match="needs a network with ReLU modules"):
        relevance_of(name, Small(nn.GELU()).eval(), PIXELS, TARGETS, CONTEXT)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_deeplift_equals_captum_without_max_pools():
    from captum.attr import DeepLift

    model = Small(nn.ReLU()).eval()
    model.pool = nn.AvgPool2d(2)
    module = nn.Sequential(model.first, model.act, model.pool, model.second)
    network = nn.Sequential(module, nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.head)
    found = relevance_of("deeplift", model, PIXELS, TARGETS, CONTEXT)
    theirs = DeepLift(network).attribute(PIXELS, 0 * PIXELS, target=TARGETS)
    torch.testing.assert_close(found, pool_pixels(model, theirs).detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_vit_has_no_feature_maps(name):
    with pytest.raises(UsageError, match='the capability "conv"'):
        check_needs(name, vit())


@pytest.mark.parametrize("name", NAMES)
def test_no_warning_reaches_the_user(name, recwarn):
    relevance_of(name, cnn(), PIXELS, TARGETS, CONTEXT)
    assert not recwarn.list
