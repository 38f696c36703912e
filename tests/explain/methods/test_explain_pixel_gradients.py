"""Saliency, input x gradient, integrated gradients and SmoothGrad against their definitions."""

import numpy as np
import pytest
import torch

from ifambench.explain.base import EXPLAINER_REGISTRY, ExplainContext, relevance_of
from ifambench.explain.methods import integrated_gradients, smoothgrad
from ifambench.explain.methods.input_gradients import input_gradient, pool_pixels
from tests.explain.methods.traced_models import ALL, IDS, TARGETS, pixels_for
from tests.explain.toy_models import SIDE, Function, OnePatch
from tests.models.small_models import masks_for

NAMES = ["saliency", "input-x-gradient", "integrated-gradients", "smoothgrad"]
MODELS = {kind: build() for kind, build in ALL.items()}
WEIGHTS = torch.randn(2, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(3))


def context(model, n: int = 5, **more) -> ExplainContext:
    return ExplainContext(IDS[:n], masks=masks_for(model, n), **more)


def linear() -> Function:
    return Function(lambda x: x.flatten(1) @ WEIGHTS.T + 0.5)


def bright(n: int = 3, seed: int = 5) -> torch.Tensor:
    return torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) + 0.5


def by_hand(model, x: torch.Tensor, k: int) -> torch.Tensor:
    """Gradient of one image alone, (3, H, W)."""
    one = x[k : k + 1].clone().requires_grad_()
    masks = masks_for(model)
    model.logits(one, None if masks is None else masks[k : k + 1])[0, TARGETS[k]].backward()
    model.zero_grad(set_to_none=True)
    return one.grad[0]


def blocks(values: torch.Tensor, side: int) -> torch.Tensor:
    """Sums over squares, by slicing."""
    h, w = values.shape[1] // side, values.shape[2] // side
    cut = [
        [values[:, r * side : (r + 1) * side, c * side : (c + 1) * side].sum() for c in range(w)]
        for r in range(h)
    ]
    return torch.tensor(cut)


@pytest.mark.parametrize("kind", MODELS)
def test_one_image_at_a_time(kind):
    model, x = MODELS[kind], pixels_for(MODELS[kind])
    side = model.data_config.image_size // model.patch_grid[0]
    absolute = relevance_of("saliency", model, x, TARGETS, context(model))
    signed = relevance_of("input-x-gradient", model, x, TARGETS, context(model))
    for k in range(5):
        slope = by_hand(model, x, k)
        expected = blocks(slope.abs(), side)
        torch.testing.assert_close(absolute[k], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(signed[k], blocks(x[k] * slope, side), atol=1e-4, rtol=1e-4)


def test_equal_captum():
    from captum.attr import Saliency

    model, x = MODELS["plain"], pixels_for(MODELS["plain"])
    theirs = Saliency(model.logits).attribute(x.clone().requires_grad_(), target=TARGETS)
    found = relevance_of("saliency", model, x, TARGETS, context(model))
    torch.testing.assert_close(found, pool_pixels(model, theirs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["oracle", "oracle-averaged", "ifam", "explain-then-predict"])
@pytest.mark.parametrize("name", ["saliency", "input-x-gradient"])
def test_dropped_patches_have_no_gradient(kind, name):
    model, x = MODELS[kind], pixels_for(MODELS[kind])
    found = relevance_of(name, model, x, TARGETS, context(model))
    keep = masks_for(model) if "true_masks" in model.capabilities else model.select(x).mask
    assert (found[~keep] == 0).all()
    assert (found[keep] != 0).any()


@pytest.mark.parametrize("name", ["input-x-gradient", "integrated-gradients"])
def test_a_linear_model_is_explained_exactly(name):
    model, x, targets = linear(), bright(), torch.tensor([0, 1, 1])
    found = relevance_of(name, model, x, targets, ExplainContext("abc"))
    expected = pool_pixels(model, x * WEIGHTS[targets].reshape(x.shape))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    ends = model.logits(x) - model.logits(0 * x)
    torch.testing.assert_close(found.sum((1, 2)), ends[range(3), targets], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["plain", "registers", "oracle", "odd-grid"])
def test_integrated_gradients_are_complete_on_a_vit(kind):
    model, x = MODELS[kind], pixels_for(MODELS[kind])
    missing, rise = completeness(model, x)
    assert rise.abs().max() > 0.1
    assert missing.abs().max() < 0.01 * rise.abs().max()


def completeness(model, x) -> tuple[torch.Tensor, torch.Tensor]:
    """By how much the relevance misses the rise of the logit over the baseline 0, and that rise."""
    masks = masks_for(model)
    with torch.no_grad():
        ends = model.logits(x, masks) - model.logits(0 * x, masks)
    rise = ends[range(5), TARGETS]
    found = relevance_of("integrated-gradients", model, x, TARGETS, context(model))
    return found.sum((1, 2)) - rise, rise


def test_too_few_points_are_not_complete(monkeypatch):
    model, x = MODELS["plain"], pixels_for(MODELS["plain"])
    fine = completeness(model, x)[0]
    monkeypatch.setattr(integrated_gradients, "STEPS", 2)
    rough = completeness(model, x)[0]
    assert rough.abs().max() > 10 * fine.abs().max()


def test_integrated_gradients_by_the_definition():
    model, x = MODELS["plain"], pixels_for(MODELS["plain"])
    places, weights = np.polynomial.legendre.leggauss(50)
    total = torch.zeros_like(x)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        slope = input_gradient(model, float(place) * x, TARGETS, context(model))
        total += float(weight) * slope
    found = relevance_of("integrated-gradients", model, x, TARGETS, context(model))
    torch.testing.assert_close(found, pool_pixels(model, x * total), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_batch_size_changes_nothing(name, monkeypatch):
    monkeypatch.setattr(integrated_gradients, "STEPS", 7)
    monkeypatch.setattr(smoothgrad, "SAMPLES", 7)
    model, x = MODELS["oracle"], pixels_for(MODELS["oracle"])
    whole = relevance_of(name, model, x, TARGETS, context(model))
    for size in (1, 2, 11):
        found = relevance_of(name, model, x, TARGETS, context(model, batch_size=size))
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["plain", "ifam", "mapped"])
def test_smoothgrad_without_noise_is_the_gradient(kind, monkeypatch):
    monkeypatch.setattr(smoothgrad, "NOISE", 0.0)
    model, x = MODELS[kind], pixels_for(MODELS[kind])
    found, plain = (
        relevance_of(name, model, x, TARGETS, context(model)) for name in ("smoothgrad", "saliency")
    )
    torch.testing.assert_close(found, plain, atol=1e-4, rtol=1e-4)


def test_noise_of_smoothgrad_is_a_share_of_the_range():
    model = Function(lambda x: torch.stack([x.pow(3).flatten(1).sum(1) / 3] * 2, dim=1))
    x, targets = bright(2), torch.zeros(2, dtype=torch.long)
    x[1] *= 2
    found = smoothgrad.mean_gradient(model, x, targets, ExplainContext("ab"))
    # the gradient is x^2, and its mean x^2 + the variance of the noise
    variance = (found - x.square()).mean((1, 2, 3))
    width = 0.15 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3)))
    torch.testing.assert_close(variance, width.square(), atol=0, rtol=0.3)
    again = smoothgrad.mean_gradient(model, x[1:], targets[1:], ExplainContext("b"))
    torch.testing.assert_close(again[0], found[1])


def test_smoothgrad_averages_before_the_absolute_value():
    model = Function(lambda x: torch.stack([x.square().flatten(1).sum(1) / 2] * 2, dim=1))
    x = torch.zeros(2, 3, SIDE, SIDE)
    x[:, :, 0, 0] = 1  # the gradient is x + the noise, which is the only thing elsewhere
    found = relevance_of("smoothgrad", model, x, torch.zeros(2, dtype=torch.long), of_two())
    pixels = 3 * (SIDE // 4) ** 2
    size = pixels * 0.15 * (2 / torch.pi) ** 0.5  # of a patch's noise in one copy
    torch.testing.assert_close(
        found[:, 1:].mean() / size, torch.tensor(1 / smoothgrad.SAMPLES**0.5), atol=0, rtol=0.3
    )


def test_noise_of_smoothgrad_belongs_to_the_image_and_the_seed():
    model, x = MODELS["plain"], pixels_for(MODELS["plain"])[:1].repeat(2, 1, 1, 1)
    targets = torch.tensor([1, 1])
    found = relevance_of("smoothgrad", model, x, targets, ExplainContext("ab"))
    assert not torch.equal(found[0], found[1])
    same = relevance_of("smoothgrad", model, x, targets, ExplainContext("aa"))
    torch.testing.assert_close(same[0], same[1])
    other = relevance_of("smoothgrad", model, x, targets, ExplainContext("ab", seed=1))
    assert not torch.allclose(other, found)


@pytest.mark.parametrize("name", NAMES)
def test_the_only_patch_that_matters_is_the_only_one(name):
    x, targets = bright(), torch.ones(3, dtype=torch.long)
    found = relevance_of(name, OnePatch(), x, targets, ExplainContext("abc")).flatten(1)
    assert (found[:, OnePatch.patch] > 0).all()
    found[:, OnePatch.patch] = 0
    assert not found.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_sees_nothing_has_an_empty_map(name):
    blind = Function(lambda x: torch.ones(len(x), 2))
    found = relevance_of(
        name, blind, bright(), torch.tensor([0, 1, 1]), ExplainContext(["a", "b", "c"])
    )
    assert not found.any()


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_selection_has_an_empty_map(name, monkeypatch):
    monkeypatch.setattr(smoothgrad, "SAMPLES", 2)
    for kind in ("oracle", "oracle-averaged"):
        model, x = MODELS[kind], pixels_for(MODELS[kind])
        masks = torch.zeros(5, *model.patch_grid, dtype=torch.bool)
        found = relevance_of(name, model, x, TARGETS, ExplainContext(IDS, masks=masks))
        assert not found.any()


@pytest.mark.parametrize("name", NAMES)
def test_one_patch_and_one_class(name):
    model = Function(lambda x: x.flatten(1).sum(1, keepdim=True), num_classes=1)
    model.patch_grid = (1, 1)
    found = relevance_of(name, model, bright(), torch.zeros(3, dtype=torch.long), of_three())
    assert found.shape == (3, 1, 1)
    expected = 3.0 * SIDE**2 if name in ("saliency", "smoothgrad") else bright().sum((1, 2, 3))
    torch.testing.assert_close(found[:, 0, 0], torch.as_tensor(expected).expand(3))


def of_two() -> ExplainContext:
    return ExplainContext(["a", "b"])


def of_three() -> ExplainContext:
    return ExplainContext(["a", "b", "c"])


def test_each_needs_no_capability():
    assert not any(EXPLAINER_REGISTRY.entry(name).info["needs"] for name in NAMES)
