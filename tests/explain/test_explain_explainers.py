"""The contract, over every registered explainer and every kind of model."""

from functools import cache

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
from ifambench.explain.methods import integrated_gradients, kernel_shap, rise, smoothgrad
from ifambench.models.base import Classifier
from ifambench.models.pdiscoformer import build_pdiscoformer
from tests.explain.methods.test_explain_relu_networks import cnn
from tests.explain.methods.traced_models import mapped, picked
from tests.explain.toy_models import OnePatch
from tests.models.small_models import GRID, KINDS, images, lively, masks_for

IDS = [f"test-{k}" for k in range(5)]
TARGETS = torch.tensor([0, 1, 2, 1, 0])


def parts() -> Classifier:
    torch.manual_seed(0)
    return lively(build_pdiscoformer(num_classes=3, image_size=32))


BUILDS = KINDS | {"explain-then-predict": picked, "mapped": mapped, "parts": parts, "cnn": cnn}
MODELS = {kind: build() for kind, build in BUILDS.items()}
COVERAGE = torch.rand(5, *GRID, generator=torch.Generator().manual_seed(3))


def works(name: str, model: Classifier) -> bool:
    try:
        check_needs(name, model)
    except UsageError:
        return False
    return True


CASES = [
    (kind, name)
    for kind, model in MODELS.items()
    for name in EXPLAINER_REGISTRY.names()
    if works(name, model)
]


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract does not depend on how many there are."""
    monkeypatch.setattr(integrated_gradients, "STEPS", 3)
    monkeypatch.setattr(smoothgrad, "SAMPLES", 3)
    monkeypatch.setattr(rise, "SAMPLES", 8)
    monkeypatch.setattr(kernel_shap, "SAMPLES", 12)


def pixels_for(model: Classifier) -> torch.Tensor:
    side = model.data_config.image_size
    if side == 32:
        return images()
    return torch.randn(5, 3, side, side, generator=torch.Generator().manual_seed(1))


def explain(
    kind: str, name: str, chosen: list[int] | None = None, targets: torch.Tensor = TARGETS, **more
) -> torch.Tensor:
    """The relevance of the images at the chosen places."""
    model = MODELS[kind]
    chosen = list(range(5)) if chosen is None else chosen
    masks = masks_for(model)
    context = ExplainContext(
        [IDS[k] for k in chosen],
        masks=None if masks is None else masks[chosen],
        coverage=COVERAGE[chosen],
        **more,
    )
    return relevance_of(name, model, pixels_for(model)[chosen], targets[chosen], context)


@cache
def whole(kind: str, name: str) -> torch.Tensor:
    """All images in one batch."""
    return explain(kind, name)


def assert_near(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5 * float(1 + expected.abs().max()), rtol=0)


@pytest.mark.parametrize("name", EXPLAINER_REGISTRY.names())
def test_states_what_it_is(name: str) -> None:
    info = EXPLAINER_REGISTRY.entry(name).info
    assert {"summary", "needs", "cost", "binary", "class_specific"} <= set(info)
    fixed, per_patch = info["forwards"]
    assert min(fixed, per_patch) >= 0
    families = {"control", "attention", "gradient", "perturbation", "model"}
    assert info["family"] in families
    assert (fixed + per_patch == 0) is (info["family"] == "control")


def test_every_explainer_is_tried() -> None:
    assert {name for _, name in CASES} == set(EXPLAINER_REGISTRY.names())


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_shape_and_type(kind: str, name: str) -> None:
    relevance = whole(kind, name)
    assert relevance.shape == (5, *GRID)
    assert relevance.dtype == torch.float32
    assert relevance.isfinite().all()
    assert not relevance.requires_grad
    if EXPLAINER_REGISTRY.entry(name).info["binary"]:
        assert set(relevance.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_deterministic(kind: str, name: str) -> None:
    torch.manual_seed(123)
    assert torch.equal(whole(kind, name), explain(kind, name))
    with torch.inference_mode():
        assert_near(explain(kind, name).clone(), whole(kind, name))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_independent_of_the_batch(kind: str, name: str) -> None:
    mixed = [4, 2, 0, 3, 1]
    assert_near(explain(kind, name, mixed, batch_size=3), whole(kind, name)[mixed])
    for k in (0, 3):
        assert_near(explain(kind, name, [k])[0], whole(kind, name)[k])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_leaves_the_model_alone(kind: str, name: str) -> None:
    model = MODELS[kind]
    parameters = list(model.parameters())
    trained = [k % 2 == 0 for k in range(len(parameters))]
    expected = whole(kind, name)
    random = torch.get_rng_state()
    buffers = [buffer.clone() for buffer in model.buffers()]
    model.train()
    for parameter, moves in zip(parameters, trained, strict=True):
        parameter.requires_grad_(moves)
        parameter.grad = torch.ones_like(parameter)
    try:
        assert_near(explain(kind, name), expected)
        assert all(module.training for module in model.modules())
        assert [parameter.requires_grad for parameter in parameters] == trained
        assert all((p.grad == 1).all() for p in parameters)
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        assert not any(getattr(m, kinds) for m in model.modules() for kinds in hooks)
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(*pair) for pair in zip(buffers, model.buffers(), strict=True))
    finally:
        model.eval()
        for parameter in parameters:
            parameter.requires_grad_(True)
            parameter.grad = None


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_depends_on_the_class_as_declared(kind: str, name: str) -> None:
    other = explain(kind, name, targets=(TARGETS + 1) % 3)
    same = torch.equal(other, whole(kind, name))
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
    found = caught.value.choices
    assert list(found) == sorted(name for kind, name in CASES if kind == "plain")
    assert {"grad-cam", "saliency", "random"} < set(found)
    assert not {"guided-backprop", "ifam-parts"} & set(found)


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
