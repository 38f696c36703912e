import pytest
import torch

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.models.explain_then_predict import (
    ExplainThenPredict,
    build_gradcam_vit,
    build_rollout_vit,
)
from ifambench.models.pick import pick_patches
from ifambench.models.timm_vit import TimmVit, build_vit
from tests.models.small_models import CLASSES, GRID, SIDE, images, lively

BUILDERS = {"grad-cam": build_gradcam_vit, "attention-rollout": build_rollout_vit}


def build(explainer: str, keep_fraction: float = 0.0) -> ExplainThenPredict:
    torch.manual_seed(0)
    return lively(BUILDERS[explainer](CLASSES, SIDE, keep_fraction=keep_fraction))


@pytest.fixture(scope="module", params=BUILDERS)
def explainer(request: pytest.FixtureRequest) -> str:
    return request.param


def plain_of(model: ExplainThenPredict) -> TimmVit:
    plain = build_vit(CLASSES, SIDE).eval()
    plain.load_state_dict(model.state_dict())  # the same tensors under the same names
    return plain


@pytest.mark.parametrize("keep_fraction", [0.0, 0.25])
def test_predicts_from_what_explains_the_plain_model(explainer: str, keep_fraction: float) -> None:
    model = build(explainer, keep_fraction)
    plain, x = plain_of(model), images()
    with torch.no_grad():
        predicted = plain.logits(x).argmax(1)
    relevance = relevance_of(explainer, plain, x, predicted, ExplainContext(["a"] * 5))
    keep = pick_patches(relevance, keep_fraction)
    assert 0 < keep.float().mean() < 1
    with torch.no_grad():
        assert torch.equal(model.selection(x), keep)
        assert torch.equal(model.logits(x), plain.logits_from_patches(x, keep))


def test_keeping_everything_is_the_plain_model(explainer: str) -> None:
    model = build(explainer, keep_fraction=1.0)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images()), plain_of(model).logits(images()))


def test_without_gradient_everything_is_kept() -> None:
    model = build("grad-cam")
    with torch.no_grad():
        model.vit.head.weight.zero_()
        selection = model.select(images())
    assert selection.mask.all()
    assert (selection.foreground == 1).all()


def test_works_within_inference_mode(explainer: str) -> None:
    model = build(explainer)
    with torch.inference_mode():
        inside = model.logits(images())
    with torch.no_grad():
        torch.testing.assert_close(inside.clone(), model.logits(images()))


def test_independent_of_the_batch(explainer: str) -> None:
    model = build(explainer)
    with torch.no_grad():
        together = model.select(images()).mask
        alone = torch.cat([model.select(image[None]).mask for image in images()])
    assert torch.equal(together, alone)


def test_leaves_no_gradient_behind(explainer: str) -> None:
    model = build(explainer)
    selection = model.select(images())
    assert not selection.foreground.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_foreground_is_the_relevance_from_0_to_1(explainer: str) -> None:
    model = build(explainer)
    selection = model.select(images())
    flat = selection.foreground.flatten(1)
    assert torch.equal(flat.amin(1), torch.zeros(5))
    assert torch.equal(flat.amax(1), torch.ones(5))
    assert torch.equal(flat.argsort(1), model.relevance(images()).flatten(1).argsort(1))
    assert selection.part_maps.shape == (5, 2, *GRID)


def test_refuses_a_wrong_fraction() -> None:
    with pytest.raises(UsageError, match="keep_fraction"):
        build("grad-cam", keep_fraction=2.0)
