"""The contract, over every registered explainer and every kind of model."""

import pytest
import torch

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.explain import base
from ifambench.explain.base import (
    EXPLAINER_REGISTRY,
    ExplainContext,
    check_needs,
    default_explainers,
    relevance_of,
)
from tests.explain.toy_models import OnePatch
from tests.models.small_models import GRID, KINDS, images, masks_for

IDS = [f"test-{k}" for k in range(5)]
TARGETS = torch.tensor([0, 1, 2, 1, 0])
MODELS = {kind: build() for kind, build in KINDS.items()}
CASES = [
    (kind, name)
    for kind, model in MODELS.items()
    for name, entry in EXPLAINER_REGISTRY.entries().items()
    if set(entry.info["needs"]) <= model.capabilities
]


def explain(kind: str, name: str, chosen: list[int] | None = None, **more) -> torch.Tensor:
    """The relevance of the images at the chosen places."""
    model = MODELS[kind]
    chosen = list(range(5)) if chosen is None else chosen
    masks = masks_for(model)
    context = ExplainContext(
        [IDS[k] for k in chosen], masks=None if masks is None else masks[chosen], **more
    )
    return relevance_of(name, model, images()[chosen], TARGETS[chosen], context)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_shape_and_type(kind: str, name: str) -> None:
    relevance = explain(kind, name)
    assert relevance.shape == (5, *GRID)
    assert relevance.dtype == torch.float32
    assert relevance.isfinite().all()
    assert not relevance.requires_grad
    if EXPLAINER_REGISTRY.entry(name).info["binary"]:
        assert set(relevance.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_deterministic(kind: str, name: str) -> None:
    one = explain(kind, name)
    torch.manual_seed(123)
    assert torch.equal(one, explain(kind, name))
    with torch.inference_mode():
        torch.testing.assert_close(one, explain(kind, name).clone(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_independent_of_the_batch(kind: str, name: str) -> None:
    whole = explain(kind, name)
    mixed = [4, 2, 0, 3, 1]
    torch.testing.assert_close(explain(kind, name, mixed), whole[mixed], atol=1e-5, rtol=0)
    for k in range(5):
        torch.testing.assert_close(explain(kind, name, [k])[0], whole[k], atol=1e-5, rtol=0)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_leaves_the_model_alone(kind: str, name: str, frozen: bool) -> None:
    model = MODELS[kind]
    parameters = list(model.parameters())
    expected = explain(kind, name)
    random = torch.get_rng_state()
    model.train()
    for parameter in parameters:
        parameter.requires_grad_(not frozen)
        parameter.grad = torch.ones_like(parameter)
    try:
        assert torch.equal(explain(kind, name), expected)
        assert model.training
        assert all(p.requires_grad is not frozen for p in parameters)
        assert all((p.grad == 1).all() for p in parameters)
        assert not any(m._forward_hooks or m._backward_hooks for m in model.modules())
        assert torch.equal(torch.get_rng_state(), random)
    finally:
        model.eval()
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_depends_on_the_class_as_declared(kind: str, name: str) -> None:
    model, masks = MODELS[kind], masks_for(MODELS[kind])
    context = ExplainContext(IDS, masks=masks)
    other = relevance_of(name, model, images(), (TARGETS + 1) % 3, context)
    same = torch.equal(other, explain(kind, name))
    assert same is not EXPLAINER_REGISTRY.entry(name).info["class_specific"]


@pytest.mark.parametrize("name", ["grad-cam", "attention-rollout"])
def test_dropped_patches_come_last(name: str) -> None:
    for kind in ("oracle", "oracle-averaged", "ifam"):
        relevance = explain(kind, name)
        model = MODELS[kind]
        with torch.no_grad():
            kept = model.select(images()).mask if kind == "ifam" else masks_for(model)
        for image, keep in zip(relevance, kept, strict=True):
            if keep.any() and not keep.all():
                assert image[~keep].max() < image[keep].min()
            assert (image[~keep] <= 0).all()


@pytest.mark.parametrize("name", ["grad-cam", "attention-rollout"])
def test_empty_selection_gives_a_constant_map(name: str) -> None:
    context = ExplainContext(IDS, masks=torch.zeros(5, *GRID, dtype=torch.bool))
    assert not relevance_of(name, MODELS["oracle"], images(), TARGETS, context).any()
    context.masks[0, 1, 1] = True
    found = relevance_of(name, MODELS["oracle"], images(), TARGETS, context)
    assert not found[1:].any()
    assert found[0].flatten().argmax() == 5


@pytest.mark.parametrize("name", ["grad-cam", "attention-rollout", "ifam-mask", "ifam-soft"])
def test_finds_the_only_patch_that_matters(name: str) -> None:
    model = OnePatch()
    bright = torch.rand(3, 3, 8, 8) + 0.5
    found = relevance_of(
        name, model, bright, torch.ones(3, dtype=torch.long), ExplainContext("abc")
    )
    assert (found.flatten(1).argmax(1) == model.patch).all()
    assert (found.flatten(1).topk(2).values.diff(dim=1) < 0).all()


def test_random_depends_on_image_seed_and_draw() -> None:
    one = explain("plain", "random")
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, explain("plain", "random", seed=1))
    assert not torch.equal(one, explain("plain", "random", draw=1))
    assert torch.equal(one, explain("registers", "random"))
    assert torch.equal(one.flatten(1).sort(1).values[0], (torch.arange(16) + 0.5) / 16)


def test_center_is_highest_in_the_middle() -> None:
    found = explain("plain", "center")[0]
    assert (found == found.amax()).nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert found[0, 0] == -(1.5**2 + 1.5**2)
    assert torch.equal(found, found.T)
    assert torch.equal(found, found.flip(0))


def test_default_explainers() -> None:
    assert default_explainers(MODELS["ifam"]) == ["ifam-mask", "ifam-soft", "grad-cam", "random"]
    for kind in ("plain", "oracle"):
        expected = ["grad-cam", "attention-rollout", "random"]
        assert default_explainers(MODELS[kind]) == expected
    bare = type("Bare", (OnePatch,), {"capabilities": frozenset()})()
    assert default_explainers(bare) == ["random"]
    for model in (*MODELS.values(), bare):
        for name in default_explainers(model):
            check_needs(name, model)


def test_missing_ability_is_named_with_what_works() -> None:
    with pytest.raises(UsageError, match=r'"ifam-mask" needs .* "selection"') as caught:
        explain("plain", "ifam-mask")
    assert caught.value.choices == ("attention-rollout", "center", "grad-cam", "random")


def test_unknown_explainer() -> None:
    with pytest.raises(UsageError, match="did you mean grad-cam"):
        explain("plain", "gradcam")


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (torch.zeros(5, 1, *GRID), r"shape \(5, 1, 4, 4\)"),
        (torch.full((5, *GRID), torch.nan), "the relevance of random is not finite.*test-0"),
    ],
)
def test_faulty_plug_ins_are_caught(monkeypatch, result: torch.Tensor, problem: str) -> None:
    class Faulty(type(EXPLAINER_REGISTRY)):
        def load(self, name: str):
            return lambda *_: result

    monkeypatch.setattr(base, "EXPLAINER_REGISTRY", Faulty(**vars(EXPLAINER_REGISTRY)))
    with pytest.raises(EnvironmentProblem, match=problem):
        explain("plain", "random")
