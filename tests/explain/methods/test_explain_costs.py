"""What explainers state of their cost is what they do, counted at the first layer."""

import pytest
import torch

from ifambench.explain.base import EXPLAINER_REGISTRY, ExplainContext, relevance_of
from tests.explain.methods.test_explain_relu_networks import cnn
from tests.explain.methods.traced_models import IDS, TARGETS, pixels_for
from tests.models.small_models import KINDS, masks_for, vit

SHOWN = 2
RULES = 5  # forward passes that the rules of transformer attribution are worth


def passes(name: str, model, layer) -> float:
    """Forward passes per image; those of a batch of images and baselines count twice."""
    seen = []
    handle = layer.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    x = pixels_for(model)[:SHOWN]
    context = ExplainContext(IDS[:SHOWN], masks=masks_for(model, SHOWN))
    relevance_of(name, model, x, TARGETS[:SHOWN], context)
    handle.remove()
    return sum(seen) / SHOWN


def stated(name: str, patches: int) -> float:
    alone, per_patch = EXPLAINER_REGISTRY.entry(name).info["forwards"]
    return alone + per_patch * patches


@pytest.mark.parametrize(
    "name",
    ["raw-attention", "attention-rollout", "occlusion", "rise", "kernel-shap", "random", "edge"],
)
def test_forward_passes(name):
    model = vit()
    assert passes(name, model, model.vit.blocks[0]) == stated(name, 16)


@pytest.mark.parametrize("name", ["ifam-mask", "ifam-soft", "ifam-parts"])
def test_forward_passes_of_stage_1(name):
    model = KINDS["ifam"]()
    assert passes(name, model, model.stage_1.vit.blocks[0]) == stated(name, 16)
    assert passes(name, model, model.stage_2.vit.blocks[0]) == 0


ATTENTION = ["gradient-attention", "generic-attention", "legrad", "grad-cam", "normgrad"]
PIXELS = ["saliency", "input-x-gradient", "integrated-gradients", "smoothgrad"]


@pytest.mark.parametrize("name", ATTENTION + PIXELS)
def test_each_forward_pass_has_one_backward_pass_worth_two(name):
    model = vit()
    assert 3 * passes(name, model, model.vit.blocks[0]) == stated(name, 16)


def test_passes_of_transformer_attribution():
    model = vit()
    name = "transformer-attribution"
    assert 3 * passes(name, model, model.vit.blocks[0]) + RULES == stated(name, 16)


@pytest.mark.parametrize("name", ["guided-backprop", "deeplift", "grad-cam", "saliency"])
def test_passes_of_cnns(name):
    model = cnn()
    first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    assert 3 * passes(name, model, first) == stated(name, 16)


@pytest.mark.parametrize("name", ["integrated-gradients", "smoothgrad", "rise", "kernel-shap"])
def test_the_text_says_the_same_number(name):
    info = EXPLAINER_REGISTRY.entry(name).info
    count = int(info["cost"].split()[0])
    assert count * (3 if info["family"] == "gradient" else 1) == stated(name, 16)
