import numpy as np
import pytest
import torch

from ifambench.explain.curves import empty_logits, fill_patches, patch_curves, step_counts
from ifambench.explain.ranking import Orders, join_orders, patch_orders
from ifambench.metrics.deletion import curve_auc
from ifambench.predict.forward import forward_of, probabilities
from tests.explain.toy_models import GRID, Additive, N, OnePatch, naive_curves, scored
from tests.models.small_models import KINDS, images, masks_for

IDS = [f"image-{k}" for k in range(5)]
RNG = np.random.default_rng(0)


def one_order(relevance: np.ndarray) -> Orders:
    return patch_orders(relevance.astype(np.float32).reshape(-1, *GRID), IDS[: len(relevance)])


def areas(curves) -> tuple[np.ndarray, np.ndarray]:
    return tuple(curve_auc(curves.fractions, c) for c in (curves.deletion, curves.insertion))


@pytest.fixture(scope="module", params=KINDS)
def model_images(request: pytest.FixtureRequest):
    """A small random model, its images as the engine takes them."""
    model = KINDS[request.param]()
    masks = masks_for(model)
    forward = forward_of(model, masks)
    with torch.no_grad():
        clean = probabilities(forward(images(), torch.arange(5)))
    empty = probabilities(empty_logits(forward, images(), per_image=masks is not None))
    targets = clean.argmax(1)
    found = scored(forward, 5, clean.max(1), empty[np.arange(5), targets])
    return type(found)(forward, images(), (4, 4), targets, found.full, found.empty)


@pytest.mark.parametrize("steps", [1, 3, 5, 16])
def test_equal_to_a_naive_loop(model_images, steps: int) -> None:
    relevance = RNG.normal(size=(5, 4, 4)).astype(np.float32)
    relevance[2] = relevance[2] > 0  # ties: several orders
    orders = patch_orders(relevance, IDS)
    assert len(orders.image) == 9
    curves = patch_curves(model_images, orders, steps, batch_size=7)
    deletion, insertion = naive_curves(model_images, orders, step_counts(16, steps))
    assert np.abs(curves.deletion - deletion).max() < 1e-6
    assert np.abs(curves.insertion - insertion).max() < 1e-6


def test_batch_size_and_other_images_change_nothing(model_images) -> None:
    relevance = RNG.normal(size=(5, 4, 4)).astype(np.float32)
    whole = patch_curves(model_images, patch_orders(relevance, IDS), 8, 64)
    for batch_size in (1, 9):
        other = patch_curves(model_images, patch_orders(relevance, IDS), 8, batch_size)
        np.testing.assert_allclose(other.deletion, whole.deletion, atol=1e-6)
        np.testing.assert_allclose(other.insertion, whole.insertion, atol=1e-6)
    mixed = [3, 0, 4, 1, 2]
    inner = model_images.forward
    shuffled = type(model_images)(
        lambda pixels, index: inner(pixels, torch.tensor(mixed)[index]),
        model_images.pixels[mixed],
        (4, 4),
        *(v[mixed] for v in (model_images.targets, model_images.full, model_images.empty)),
    )
    found = patch_curves(shuffled, patch_orders(relevance[mixed], [IDS[k] for k in mixed]), 8, 64)
    np.testing.assert_allclose(found.deletion, whole.deletion[mixed], atol=1e-6)


def test_least_relevant_first_is_insertion_backwards(model_images) -> None:
    relevance = RNG.normal(size=(5, 4, 4)).astype(np.float32)
    most = patch_curves(model_images, patch_orders(relevance, IDS), 16, 64)
    least = patch_curves(model_images, patch_orders(-relevance, IDS), 16, 64)
    np.testing.assert_allclose(least.deletion, most.insertion[:, ::-1], atol=1e-6)


def test_additive_model_has_the_closed_form() -> None:
    parts = RNG.uniform(-0.02, 0.05, (5, N))
    base = 0.3
    images_ = scored(Additive(parts, base), 5, base + parts.sum(1), np.full(5, base))
    relevance = RNG.normal(size=(5, N))
    order = np.argsort(-relevance, axis=1)
    c, j = np.take_along_axis(parts, order, 1), np.arange(1, N + 1)
    deletion, insertion = areas(patch_curves(images_, one_order(relevance), N, 64))
    np.testing.assert_allclose(deletion, base + (c * (j - 0.5)).sum(1) / N, atol=1e-6)
    np.testing.assert_allclose(insertion, base + (c * (N - j + 0.5)).sum(1) / N, atol=1e-6)
    srg = insertion - deletion
    np.testing.assert_allclose(srg, (c * (N + 1 - 2 * j)).sum(1) / N, atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_one_patch_model(first: bool) -> None:
    parts = np.zeros((2, N))
    parts[:, 6] = 0.9
    relevance = np.zeros((2, N)) + RNG.uniform(0, 0.5, (2, N))
    relevance[:, 6] = 1 if first else -1
    model = scored(Additive(parts, 0.05), 2, np.full(2, 0.95), np.full(2, 0.05))
    deletion, insertion = areas(patch_curves(model, one_order(relevance), N, 64))
    low, high = 0.05 + 0.9 / (2 * N), 0.95 - 0.9 / (2 * N)
    np.testing.assert_allclose(deletion, low if first else high, atol=1e-6)
    np.testing.assert_allclose(insertion, high if first else low, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 16])
def test_constant_model_has_exactly_no_gain(steps: int) -> None:
    p = probabilities(torch.tensor([[0.3, 1.7]]))[0, 1]
    model = scored(
        lambda pixels, _: torch.tensor([[0.3, 1.7]]).expand(len(pixels), -1),
        5,
        np.full(5, p),
        np.full(5, p),
    )
    for relevance in (RNG.normal(size=(5, N)), np.zeros((5, N))):
        deletion, insertion = areas(patch_curves(model, one_order(relevance), steps, 64))
        assert (insertion - deletion == 0).all()


def gains(relevance_draws: list[np.ndarray]) -> np.ndarray:
    """SRG of many images of one additive model."""
    n = len(relevance_draws[0])
    parts = np.tile(RNG.uniform(0, 0.05, N), (n, 1))
    model = scored(Additive(parts, 0.1), n, 0.1 + parts.sum(1), np.full(n, 0.1))
    ids = [f"many-{k}" for k in range(n)]
    orders = join_orders(
        patch_orders(r.astype(np.float32).reshape(-1, *GRID), ids) for r in relevance_draws
    )
    deletion, insertion = areas(patch_curves(model, orders, 8, 512))
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


def test_equal_inputs_are_evaluated_once() -> None:
    seen = []
    model = OnePatch()

    def forward(pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        seen.extend(zip(index.tolist(), (p.numpy().tobytes() for p in pixels), strict=True))
        return model.logits(pixels)

    relevance = np.zeros((2, N))
    relevance[:, :4] = 1  # ties, so five orders that agree where all of the mask is kept or gone
    images_ = scored(forward, 2, np.ones(2), np.zeros(2))
    curves = patch_curves(images_, one_order(relevance), 4, 3)
    assert len(seen) == len(set(seen)) == curves.n_forwards
    assert curves.n_forwards < 2 * 5 * 2 * 3


def test_batches_are_full() -> None:
    sizes = []

    def forward(pixels: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return OnePatch().logits(pixels)

    patch_curves(scored(forward, 5, np.ones(5), np.zeros(5)), one_order(RNG.random((5, N))), 16, 64)
    assert sizes[:-1] == [64, 64]
    assert sum(sizes) == 5 * 2 * 15


def test_grid_of_steps() -> None:
    assert step_counts(64, 16).tolist() == list(range(0, 65, 4))
    assert step_counts(5, 2).tolist() == [0, 3, 5]
    assert step_counts(3, 100).tolist() == [0, 1, 2, 3]
    assert step_counts(1, 16).tolist() == [0, 1]


def test_one_step_needs_no_forward_pass() -> None:
    def forward(pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    curves = patch_curves(
        scored(forward, 2, np.ones(2), np.zeros(2)), one_order(RNG.random((2, N))), 1, 8
    )
    assert curves.deletion.tolist() == [[1, 0], [1, 0]]
    assert curves.n_forwards == 0


def test_filling() -> None:
    pixels = torch.rand(2, 3, 8, 12) + 1
    keep = torch.tensor([[[True, False, True]] * 2, [[False] * 3, [True] * 3]])
    filled = fill_patches(pixels, keep)
    assert (filled[0, :, :, 4:8] == 0).all()
    assert torch.equal(filled[0, :, :, :4], pixels[0, :, :, :4])
    assert (filled[1, :, :4] == 0).all()
    assert torch.equal(filled[1, :, 4:], pixels[1, :, 4:])
    with pytest.raises(ValueError, match="does not divide"):
        fill_patches(torch.rand(1, 3, 8, 8), torch.ones(1, 3, 3, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["plain", "ifam"])
def test_the_empty_image_is_the_same_for_all(kind: str) -> None:
    model = KINDS[kind]()
    forward = forward_of(model, None)
    shared = empty_logits(forward, images(), per_image=False)
    each = empty_logits(forward, images(), per_image=True)
    torch.testing.assert_close(shared, each, atol=1e-6, rtol=0)
