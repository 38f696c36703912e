"""The curve engine against definitions, closed forms and a naive loop."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from ifambench.explain.curves import Asked, Memo, measure_curves, patch_curves, step_counts
from ifambench.explain.fills import fill_of
from ifambench.explain.operators import FILLS, operators_of
from ifambench.explain.ranking import Orders, join_orders, patch_orders
from ifambench.explain.scoring import Scorer, scorer_of
from ifambench.metrics.deletion import curve_auc
from ifambench.models.base import Classifier
from ifambench.predict.forward import probabilities
from tests.explain.toy_models import (
    GRID,
    Additive,
    Function,
    N,
    OnePatch,
    naive_curves,
    scored,
)
from tests.models.small_models import KINDS, images, masks_for

IDS = [f"image-{k}" for k in range(5)]
RNG = np.random.default_rng(0)


class Case(NamedTuple):
    """A small random model and what it predicts."""

    model: Classifier
    masks: torch.Tensor | None
    targets: torch.Tensor

    def scorer(self, operator: str = "mean", chosen=slice(None), **more) -> Scorer:
        masks = None if self.masks is None else self.masks[chosen]
        ids = np.array(IDS)[chosen].tolist()
        given = {"operator": operator, "ids": ids, "masks": masks, "batch_size": 64}
        pixels, targets = images()[chosen], self.targets[chosen]
        return scorer_of(self.model, pixels, targets, **(given | more))


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest) -> Case:
    model = KINDS[request.param]()
    masks = masks_for(model)
    with torch.no_grad():
        return Case(model, masks, model.logits(images(), masks).argmax(1))


def some_orders(seed: int = 1) -> Orders:
    return patch_orders(relevance_of_five(seed), IDS)


def relevance_of_five(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(5, *GRID)).astype(np.float32)


def one_order(relevance: np.ndarray) -> Orders:
    return patch_orders(relevance.astype(np.float32).reshape(-1, *GRID), IDS[: len(relevance)])


def areas(curves) -> tuple[np.ndarray, np.ndarray]:
    return tuple(curve_auc(curves.fractions, c) for c in (curves.deletion, curves.insertion))


def assert_same(one, two, atol: float = 1e-6) -> None:
    for kind in ("deletion", "insertion"):
        np.testing.assert_allclose(getattr(one, kind), getattr(two, kind), atol=atol)
        logits = getattr(one, f"{kind}_logit"), getattr(two, f"{kind}_logit")
        np.testing.assert_allclose(*logits, atol=20 * atol)  # logits are of the order of 10


@pytest.mark.parametrize(
    ("operator", "steps"), [("mean", 1), ("mean", 16), *((name, 5) for name in FILLS)]
)
def test_equal_to_a_naive_loop(case: Case, operator: str, steps: int) -> None:
    relevance = relevance_of_five()
    relevance[2] = relevance[2] > 0  # ties: several orders
    orders = patch_orders(relevance, IDS)
    assert len(orders.image) == 9
    curves = patch_curves(case.scorer(operator, batch_size=7), orders, steps)
    fill = fill_of(operator, images(), IDS, case.model.data_config, 0).expand(5, -1, -1, -1)
    deletion, insertion = naive_curves(
        case.model, images(), fill, case.targets, orders, step_counts(16, steps), case.masks
    )
    assert np.abs(curves.deletion - deletion).max() < 1e-6
    assert np.abs(curves.insertion - insertion).max() < 1e-6


def test_batch_size_order_and_other_images_change_nothing(case: Case) -> None:
    for operator in operators_of(case.model):
        whole = patch_curves(case.scorer(operator), some_orders(), 8)
        for batch_size in (1, 9):
            other = patch_curves(case.scorer(operator, batch_size=batch_size), some_orders(), 8)
            assert_same(other, whole)
        mixed = [3, 0, 4, 1, 2]
        orders = patch_orders(relevance_of_five()[mixed], [IDS[k] for k in mixed])
        found = patch_curves(case.scorer(operator, mixed), orders, 8)
        np.testing.assert_allclose(found.deletion, whole.deletion[mixed], atol=1e-6)
        alone = patch_orders(relevance_of_five()[2:3], IDS[2:3])
        found = patch_curves(case.scorer(operator, slice(2, 3)), alone, 8)
        np.testing.assert_allclose(found.insertion, whole.insertion[2:3], atol=1e-6)


def test_least_relevant_first_is_insertion_backwards(case: Case) -> None:
    for operator in operators_of(case.model):
        most = patch_curves(case.scorer(operator), some_orders(), 16)
        least = patch_curves(case.scorer(operator), patch_orders(-relevance_of_five(), IDS), 16)
        np.testing.assert_allclose(least.deletion, most.insertion[:, ::-1], atol=1e-6)
        np.testing.assert_array_equal(most.deletion[:, 0], most.insertion[:, -1])
        np.testing.assert_array_equal(most.deletion[:, -1], most.insertion[:, 0])


def test_explainers_measured_together_or_alone_have_the_same_curves(case: Case) -> None:
    asked = [Asked(some_orders(seed)) for seed in range(3)]
    for operator in operators_of(case.model):
        together = measure_curves(case.scorer(operator), asked, 5)
        memo, scorer = Memo(), case.scorer(operator)
        for one, curves in zip(asked, together, strict=True):
            assert_same(measure_curves(case.scorer(operator), [one], 5)[0], curves)
            (waited,) = measure_curves(scorer, [one], 5, memo)
            assert_same(waited, curves)
            assert waited.n_forwards == curves.n_forwards
        # the intact end is shared, so is the empty one
        assert memo.n_evaluated <= sum(curves.n_forwards for curves in together) - 2 * 5


def test_additive_model_has_the_closed_form() -> None:
    parts = RNG.uniform(-0.02, 0.05, (5, N))
    base = 0.3
    relevance = RNG.normal(size=(5, N))
    order = np.argsort(-relevance, axis=1)
    c, j = np.take_along_axis(parts, order, 1), np.arange(1, N + 1)
    curves = patch_curves(scored(Additive(parts, base), 5), one_order(relevance), N)
    deletion, insertion = areas(curves)
    np.testing.assert_allclose(deletion, base + (c * (j - 0.5)).sum(1) / N, atol=1e-6)
    np.testing.assert_allclose(insertion, base + (c * (N - j + 0.5)).sum(1) / N, atol=1e-6)
    srg = insertion - deletion
    np.testing.assert_allclose(srg, (c * (N + 1 - 2 * j)).sum(1) / N, atol=1e-6)
    np.testing.assert_allclose(curves.deletion[:, 0], base + parts.sum(1), atol=1e-6)
    np.testing.assert_allclose(curves.deletion[:, -1], base, atol=1e-6)


def test_the_best_order_of_an_additive_model_gains_gini_times_sum() -> None:
    parts = RNG.uniform(0, 0.05, (5, N))
    deletion, insertion = areas(patch_curves(scored(Additive(parts, 0.1), 5), one_order(parts), N))
    ascending, j = np.sort(parts, axis=1), np.arange(1, N + 1)
    gini = (ascending * (2 * j - N - 1)).sum(1) / (N * parts.sum(1))
    np.testing.assert_allclose(insertion - deletion, gini * parts.sum(1), atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_one_patch_model(first: bool) -> None:
    parts = np.zeros((2, N))
    parts[:, 6] = 0.9
    relevance = RNG.uniform(0, 0.5, (2, N))
    relevance[:, 6] = 1 if first else -1
    curves = patch_curves(scored(Additive(parts, 0.05), 2), one_order(relevance), N)
    deletion, insertion = areas(curves)
    low, high = 0.05 + 0.9 / (2 * N), 0.95 - 0.9 / (2 * N)
    np.testing.assert_allclose(deletion, low if first else high, atol=1e-6)
    np.testing.assert_allclose(insertion, high if first else low, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("steps", [1, 3, 5, 7, 16])
def test_constant_model_has_exactly_no_gain(steps: int, classes: int) -> None:
    model = Function(lambda pixels: torch.tensor([[0.3, 1.7]])[:, :classes].expand(len(pixels), -1))
    for relevance in (RNG.normal(size=(5, N)), np.zeros((5, N))):
        curves = patch_curves(scored(model, 5, target=classes - 1), one_order(relevance), steps)
        deletion, insertion = areas(curves)
        assert (insertion - deletion == 0).all()


def test_a_model_of_one_class_is_always_sure() -> None:
    model = Function(lambda pixels: pixels.mean((1, 2, 3))[:, None], num_classes=1)
    curves = patch_curves(scored(model, 5, target=0), one_order(RNG.normal(size=(5, N))), 4)
    assert (curves.deletion == 1).all()
    assert (curves.insertion == 1).all()
    assert np.ptp(curves.deletion_logit) > 0


def gains(relevance_draws: list[np.ndarray]) -> np.ndarray:
    """SRG of many images of one additive model."""
    n = len(relevance_draws[0])
    parts = np.tile(RNG.uniform(0, 0.05, N), (n, 1))
    ids = [f"many-{k}" for k in range(n)]
    orders = join_orders(
        patch_orders(r.astype(np.float32).reshape(-1, *GRID), ids) for r in relevance_draws
    )
    model = scored(Additive(parts, 0.1), n, ids=ids, batch_size=512)
    deletion, insertion = areas(patch_curves(model, orders, 8))
    return insertion - deletion


@pytest.mark.parametrize("kind", ["random", "constant", "half tied"])
def test_orders_without_knowledge_gain_nothing_on_average(kind: str) -> None:
    n = 200
    draws = {
        "random": [RNG.normal(size=(n, N)) for _ in range(5)],
        "constant": [np.zeros((n, N))],
        "half tied": [np.maximum(RNG.normal(size=(n, N)), 0)],
    }[kind]
    found = gains(draws)
    assert found.std() > 0
    assert abs(found.mean()) < 3 * found.std() / np.sqrt(n)


def test_ties_do_not_know_the_raster_order() -> None:
    """Half of the patches tie at 0, and all that matters is a patch among them, left or right."""
    n = 300
    relevance = np.zeros((n, *GRID), np.float32)
    relevance[:, :2] = RNG.uniform(0.1, 1, (n, 2, GRID[1]))
    ids = [f"tied-{k}" for k in range(n)]
    found = []
    for patch in (N - 1, N - GRID[1]):  # the model and its mirror image
        parts = np.zeros((n, N))
        parts[:, patch] = 0.5
        model = scored(Additive(parts, 0.1), n, ids=ids, batch_size=512)
        deletion, _ = areas(patch_curves(model, patch_orders(relevance, ids), N))
        found.append(deletion)
    difference = found[0] - found[1]
    assert difference.std() > 0
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(n)


def test_equal_inputs_are_evaluated_once() -> None:
    seen = []
    one_patch = OnePatch()

    def function(pixels: torch.Tensor) -> torch.Tensor:
        seen.extend(p.numpy().tobytes() for p in pixels)
        return one_patch.logits(pixels)

    relevance = np.zeros((2, N))
    relevance[:, :4] = 1  # ties, so five orders that agree where all of the mask is kept or gone
    mask = one_order(relevance)
    asked = [Asked(mask, np.full(len(mask.image), 4)), Asked(mask), Asked(one_order(-relevance))]
    curves = measure_curves(scored(Function(function), 2, batch_size=3), asked, 4)
    assert len(seen) == len(set(seen))
    # the shared empty end is one input, and belongs to nobody
    assert len(seen) - 1 < sum(one.n_forwards for one in curves)
    assert curves[0].n_forwards == curves[1].n_forwards  # the mask is a point of the curve
    assert curves[1].n_forwards < 2 * 5 * 2 * 3


def test_scores_of_a_mask_are_exact(case: Case) -> None:
    mask = torch.rand(5, *GRID, generator=torch.Generator().manual_seed(3)) > 0.6
    mask[3], mask[4] = False, True
    orders = patch_orders(mask.numpy().astype(np.float32), IDS)
    area = mask.flatten(1).sum(1).numpy()[orders.image]
    (curves,) = measure_curves(case.scorer(), [Asked(orders, area)], 3)
    for keep, found in ((~mask, curves.without_top), (mask, curves.only_top)):
        pixels = images() * keep.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
        with torch.no_grad():
            expected = probabilities(case.model.logits(pixels, case.masks))
        np.testing.assert_allclose(found, expected[np.arange(5), case.targets], atol=1e-6)
    np.testing.assert_allclose(curves.only_top[4], curves.deletion[4, 0], atol=1e-6)
    np.testing.assert_allclose(curves.only_top[3], curves.deletion[3, -1], atol=1e-6)


def test_batches_are_full() -> None:
    sizes = []

    def function(pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return OnePatch().logits(pixels)

    asked = [Asked(one_order(RNG.random((5, N)))) for _ in range(2)]
    measure_curves(scored(Function(function), 5, batch_size=64), asked, 16)
    assert sizes[0] == 1  # the empty end
    assert set(sizes[1:-1]) == {64}
    assert 2 * 5 * 2 * 15 - 100 < sum(sizes) <= 1 + 5 + 2 * 5 * 2 * 15


def test_grid_of_steps() -> None:
    assert step_counts(64, 16).tolist() == list(range(0, 65, 4))
    assert step_counts(5, 2).tolist() == [0, 3, 5]
    assert step_counts(3, 100).tolist() == [0, 1, 2, 3]
    assert step_counts(1, 16).tolist() == [0, 1]


def test_one_step_is_both_ends() -> None:
    curves = patch_curves(
        scored(Additive(np.full((2, N), 0.05), 0.1), 2), one_order(RNG.random((2, N))), 1
    )
    np.testing.assert_allclose(curves.deletion, [[0.9, 0.1]] * 2, atol=1e-6)
    assert curves.n_forwards == 2


def test_an_image_of_one_patch_has_no_order() -> None:
    model = Function(lambda pixels: torch.stack([pixels.mean((1, 2, 3)) * k for k in (0, 3)], 1))
    model.patch_grid = (1, 1)
    orders = patch_orders(np.ones((2, 1, 1), np.float32), IDS[:2])
    for steps in (1, 50):
        curves = patch_curves(scored(model, 2), orders, steps)
        assert curves.deletion.shape == (2, 2)
        deletion, insertion = areas(curves)
        assert (insertion - deletion == 0).all()


def test_the_published_definition_of_deletion_and_insertion() -> None:
    """RISE (Petsiuk et al. 2018), a loop over one image: its points, its fill, its trapezoids."""
    model = KINDS["plain"]()
    pixels, saliency = images(2), relevance_of_five()[:2]
    with torch.no_grad():
        targets = model.logits(pixels).argmax(1)
    curves = patch_curves(scorer_of(model, pixels, targets), patch_orders(saliency, IDS[:2]), 4)
    for k, (start, finish) in enumerate(zip(pixels, torch.zeros_like(pixels), strict=True)):
        order = np.flip(np.argsort(saliency[k].ravel()))
        for kind, now, then in (("deletion", start, finish), ("insertion", finish, start)):
            now, scores = now.clone(), []
            for step in range(5):
                with torch.no_grad():
                    scores.append(model.logits(now[None]).softmax(1)[0, targets[k]].item())
                for patch in order[4 * step : 4 * step + 4]:
                    r, c = 8 * (patch // 4), 8 * (patch % 4)
                    now[:, r : r + 8, c : c + 8] = then[:, r : r + 8, c : c + 8]
            area = (sum(scores) - scores[0] / 2 - scores[-1] / 2) / (len(scores) - 1)
            found = curve_auc(curves.fractions, getattr(curves, kind))[k]
            assert found == pytest.approx(area, abs=1e-6)
    assert curve_auc([0, 0.5, 1], [1, 0.5, 0]) == 0.5


def test_half_precision_is_near_and_computed_in_it(case: Case) -> None:
    exact = patch_curves(case.scorer(), some_orders(), 4)
    half = patch_curves(case.scorer(precision="bf16"), some_orders(), 4)
    change = np.abs(half.deletion_logit - exact.deletion_logit)
    assert 0 < change.max() < 0.05 * np.abs(exact.deletion_logit).max()
    assert np.abs(half.insertion - exact.insertion).max() < 0.1
    # a wide softmax of bf16 logits: the probabilities are no multiples of 2^-8
    assert len(np.unique(np.mod(half.deletion * 2**8, 1))) > 10
