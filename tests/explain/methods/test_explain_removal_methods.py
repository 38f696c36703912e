"""Occlusion, RISE and KernelSHAP against games whose answer is known."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
import torch

from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.methods import kernel_shap, rise
from tests.explain.methods.traced_models import ALL, IDS, TARGETS, pixels_for
from tests.explain.toy_models import SIDE, Function, N, OnePatch
from tests.models.small_models import masks_for

NAMES = ["occlusion", "rise", "kernel-shap"]
RANDOM = np.random.default_rng(7)


def game(name: str, value, grid=(4, 4), ids=("a", "b"), seed: int = 0) -> np.ndarray:
    """The relevance in a game `value(keep (M, n) float64) -> (M,)`, (B, n)."""
    model = Function(None)
    model.patch_grid = grid

    def score(index: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        assert keep.dtype == torch.bool
        assert keep.shape == (len(index), *grid)
        found = value(keep.flatten(1).double().numpy()) + 0.0 * index.numpy()
        return torch.from_numpy(found).float()

    images = torch.zeros(len(ids), 3, SIDE, SIDE)
    targets = torch.zeros(len(ids), dtype=torch.long)
    context = ExplainContext(ids, seed=seed, score=score)
    return relevance_of(name, model, images, targets, context).flatten(1).double().numpy()


def shapley(value, n: int) -> np.ndarray:
    """By the definition, all coalitions."""
    found = np.zeros(n)
    for p in range(n):
        others = [q for q in range(n) if q != p]
        for size in range(n):
            weight = factorial(size) * factorial(n - 1 - size) / factorial(n)
            for members in combinations(others, size):
                keep = np.zeros((2, n))
                keep[:, list(members)] = 1
                keep[1, p] = 1
                without, with_p = value(keep)
                found[p] += weight * (with_p - without)
    return found


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 2), (2, 3), (3, 3)])
def test_small_grids_have_exact_shapley_values(grid):
    n = grid[0] * grid[1]
    table = RANDOM.random(2**n)

    def value(keep: np.ndarray) -> np.ndarray:
        return table[(keep @ 2.0 ** np.arange(n)).astype(int)]

    found = game("kernel-shap", value, grid)
    np.testing.assert_allclose(found, [shapley(value, n)] * 2, atol=2e-6)


def test_sampled_shapley_values_are_exact_for_pairs_of_patches():
    single, pair = RANDOM.normal(size=N), np.triu(RANDOM.normal(size=(N, N)), 1)

    def value(keep: np.ndarray) -> np.ndarray:
        return 0.3 + keep @ single + np.einsum("mp,pq,mq->m", keep, pair, keep)

    expected = single + (pair + pair.T).sum(1) / 2
    np.testing.assert_allclose(game("kernel-shap", value), [expected] * 2, atol=1e-4)


def test_sampled_shapley_values_of_three_patches_that_need_each_other():
    def value(keep: np.ndarray) -> np.ndarray:
        return keep[:, 2] * keep[:, 5] * keep[:, 11]

    found = game("kernel-shap", value, ids=[f"image-{k}" for k in range(20)])
    expected = np.zeros(N)
    expected[[2, 5, 11]] = 1 / 3
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert np.abs(found - expected).max() < 0.05
    assert np.abs(found.mean(0) - expected).max() < 0.01


def test_more_patches_than_pairs_stay_complete(monkeypatch):
    monkeypatch.setattr(kernel_shap, "SAMPLES", 20)
    single = RANDOM.normal(size=N)
    found = game("kernel-shap", lambda keep: keep @ single)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(1), single.sum(), atol=1e-5)


def test_sizes_of_sampled_sets_follow_the_kernel(monkeypatch):
    monkeypatch.setattr(kernel_shap, "SAMPLES", 40_000)
    sets, weights = kernel_shap._pairs("a", 0, 20)
    assert (weights == 1).all()
    sizes = np.arange(1, 20)
    expected = 1 / (sizes * (20 - sizes))
    found = np.bincount(sets.sum(1), minlength=20)[1:] / len(sets)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.01)
    np.testing.assert_allclose(sets.mean(0), 0.5, atol=0.02)


def test_rise_is_the_mean_score_of_the_sets_with_the_patch(monkeypatch):
    monkeypatch.setattr(rise, "SAMPLES", 30)
    asked = []
    values = RANDOM.random(60)

    def value(keep: np.ndarray) -> np.ndarray:
        asked.append(keep)
        return values

    found = game("rise", value)
    (keep,) = asked
    keep, scores = keep.reshape(2, 30, N), values.astype(np.float32).reshape(2, 30)
    for image in range(2):
        for p in range(N):
            there = keep[image, :, p] == 1
            expected = scores[image, there].mean()
            assert found[image, p] == pytest.approx(expected, abs=1e-6)
    assert not np.array_equal(keep[0], keep[1])


def test_rise_of_a_sum():
    single = RANDOM.normal(size=N)
    found = game("rise", lambda keep: keep @ single, ids=[f"image-{k}" for k in range(40)])
    expected = single / 2 + single.sum() / 2  # the patch is there, each other one half of the time
    assert np.abs(found.mean(0) - expected).max() < 0.05
    assert np.corrcoef(found[0], expected)[0, 1] > 0.95


def test_rise_gives_0_to_a_patch_that_is_never_there(monkeypatch):
    monkeypatch.setattr(rise, "SAMPLES", 1)
    found = game("rise", lambda keep: np.ones(len(keep)))
    assert set(found.flatten().tolist()) == {0.0, 1.0}


def test_occlusion_takes_one_patch_at_a_time():
    single = RANDOM.normal(size=N)
    found = game("occlusion", lambda keep: np.exp(keep @ single - single.sum()))
    np.testing.assert_allclose(found, [1 - np.exp(-single)] * 2, atol=1e-5)


@pytest.mark.parametrize("kind", ["plain", "no-class-token", "oracle", "ifam", "mapped"])
def test_occlusion_equals_captums_feature_ablation(kind):
    from captum.attr import FeatureAblation

    model = ALL[kind]()
    x, masks = pixels_for(model), masks_for(model)
    context = ExplainContext(IDS, masks=masks)
    h, w = model.patch_grid
    side = model.data_config.image_size // h
    patches = torch.arange(h * w).reshape(1, 1, h, w)
    patches = patches.repeat_interleave(side, 2).repeat_interleave(side, 3)

    def probability(pixels: torch.Tensor, shown: torch.Tensor | None) -> torch.Tensor:
        raw = model.unmapped.logits(pixels, shown)
        return (raw if model.label_map is None else model.label_map.scores(raw)).softmax(1)

    with torch.no_grad():
        theirs = FeatureAblation(probability).attribute(
            x, 0.0, target=TARGETS, feature_mask=patches, additional_forward_args=(masks,)
        )
    found = relevance_of("occlusion", model, x, TARGETS, context)
    torch.testing.assert_close(found, theirs[:, 0, ::side, ::side], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["rise", "kernel-shap"])
def test_sets_belong_to_the_image_and_the_seed(name):
    def value(keep: np.ndarray) -> np.ndarray:
        return (keep @ np.arange(N)) ** 3 / 1e5

    one = game(name, value, ids=["a", "b"])
    assert not np.array_equal(one[0], one[1])
    np.testing.assert_array_equal(game(name, value, ids=["b"])[0], one[1])
    assert not np.array_equal(game(name, value, ids=["a", "b"], seed=1), one)


@pytest.mark.parametrize("name", NAMES)
def test_the_only_patch_that_matters_comes_first(name):
    x = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5)) * 0.2 + 0.1
    targets = torch.ones(3, dtype=torch.long)
    found = relevance_of(name, OnePatch(), x, targets, ExplainContext("abc")).flatten(1)
    assert (found.argmax(1) == OnePatch.patch).all()
    if name != "rise":
        found[:, OnePatch.patch] = 0
        torch.testing.assert_close(found, torch.zeros(3, N), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_sees_nothing_has_a_constant_map(name):
    blind = Function(lambda x: torch.tensor([[0.3, 1.2]]).expand(len(x), -1))
    x = torch.rand(3, 3, SIDE, SIDE)
    found = relevance_of(name, blind, x, torch.tensor([0, 1, 1]), ExplainContext("abc"))
    assert (found == found[:, :1, :1]).all()
    if name != "rise":
        assert not found.any()


def test_the_operator_of_the_run_is_used():
    found = [game(name, lambda keep: keep[:, 3])[:, 3] for name in NAMES]
    np.testing.assert_allclose(found, 1, atol=1e-6)
