"""Grad-CAM and rollout against independent implementations and closed forms."""

from functools import partial

import pytest
import torch
from torch import nn

from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.methods.rollout import rollout
from ifambench.models.base import Classifier
from ifambench.models.tokens import Kept, all_patches, embed
from tests.models.small_models import GRID, KINDS, images, masks_for

IDS = [f"test-{k}" for k in range(5)]
TARGETS = torch.tensor([0, 1, 2, 1, 0])
WHOLE = ["plain", "no-class-token", "registers"]


def grad_cam(model: Classifier) -> torch.Tensor:
    context = ExplainContext(IDS, masks=masks_for(model))
    return relevance_of("grad-cam", model, images(), TARGETS, context)


def without_hooks(vit, kept: Kept, head) -> tuple[torch.Tensor, torch.Tensor]:
    """Token maps (B, n) and the tokens' gradient, with the last block written out."""
    mask = kept.valid[:, None, None, :]
    x = kept.tokens
    for block in vit.blocks[:-1]:
        x = block(x, attn_mask=mask)
    last = vit.blocks[-1]
    normed = last.norm1(x).detach().requires_grad_()
    x = x + last.ls1(last.attn(normed, attn_mask=mask))
    x = x + last.ls2(last.mlp(last.norm2(x)))
    head(vit.norm(x)).gather(1, TARGETS[:, None]).sum().backward()
    prefix = vit.num_prefix_tokens
    tokens, gradient = normed.detach()[:, prefix:], normed.grad[:, prefix:]
    n = kept.valid[:, prefix:].sum(1)
    maps = (tokens * (gradient.sum(1) / n[:, None])[:, None]).sum(2)
    return maps, normed.grad


@pytest.mark.parametrize("kind", WHOLE)
def test_grad_cam_without_hooks(kind: str) -> None:
    model = KINDS[kind]()
    kept = all_patches(embed(model.vit, images()), model.num_prefix_tokens)
    expected, _ = without_hooks(model.vit, kept, model.vit.forward_head)
    assert (grad_cam(model).flatten(1) - expected).abs().max() < 1e-6


def test_grad_cam_of_a_two_stage_model_without_hooks() -> None:
    model = KINDS["ifam"]()
    keep = model.select(images()).mask.flatten(1)
    kept = model.stage_2.kept(images(), keep)
    head = partial(model.stage_2.classify, valid=kept.valid)
    expected, gradient = without_hooks(model.stage_2.vit, kept, head)
    found = grad_cam(model).flatten(1)
    for image, maps, one in zip(found, expected, keep, strict=True):
        torch.testing.assert_close(image[one], maps[: int(one.sum())], atol=1e-6, rtol=0)
    assert not gradient[~kept.valid].any()


class Tapped(nn.Module):
    """A norm whose patch tokens pass through `tap` as an image (B, D, h, w)."""

    def __init__(self, norm: nn.Module, prefix: int) -> None:
        super().__init__()
        self.norm, self.prefix, self.tap = norm, prefix, nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        first, patches = x[:, : self.prefix], x[:, self.prefix :]
        image = self.tap(patches.transpose(1, 2).unflatten(2, GRID))
        return torch.cat([first, image.flatten(2).transpose(1, 2)], dim=1)


@pytest.mark.parametrize("kind", WHOLE)
def test_grad_cam_equals_captum(kind: str) -> None:
    from captum.attr import LayerGradCam

    model = KINDS[kind]()
    expected = grad_cam(model)
    tapped = Tapped(model.vit.blocks[-1].norm1, model.num_prefix_tokens)
    model.vit.blocks[-1].norm1 = tapped
    found = LayerGradCam(model.vit, tapped.tap).attribute(images(), TARGETS)
    assert found.shape == (5, 1, *GRID)
    assert (found[:, 0] - expected).abs().max() < 1e-6
    assert expected.min() < 0  # signed


def class_row(n: int) -> torch.Tensor:
    return torch.eye(n)[:1]


def test_rollout_of_uniform_attention() -> None:
    uniform = torch.full((1, 2, 197, 197), 1 / 197, dtype=torch.float64)
    found = rollout([uniform] * 12, class_row(197).double())[0]
    torch.testing.assert_close(found[1:], torch.full((196,), 0.005074902839467).double())
    assert float(found[0]) == pytest.approx(0.005319043464467)


def test_rollout_of_attention_to_itself() -> None:
    found = rollout([torch.eye(9).expand(1, 2, 9, 9)] * 4, class_row(9))
    assert torch.equal(found, class_row(9))


def test_rollout_of_one_patch_in_the_last_block() -> None:
    identity = torch.eye(9).expand(1, 2, 9, 9)
    last = identity.clone()
    last[:, :, 0] = torch.eye(9)[5]
    found = rollout([identity, identity, last], class_row(9))
    assert torch.equal(found, (class_row(9) + torch.eye(9)[5:6]) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_rollout_is_the_row_of_the_whole_product(kind: str) -> None:
    model = KINDS[kind]()
    with torch.no_grad():
        trace = model.trace(images(), masks_for(model))
    n = trace.valid.shape[1]
    product = torch.eye(n).expand(5, n, n)
    for attention in trace.attention:
        mixed = attention.mean(1) + torch.eye(n)
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    expected = (trace.readout[:, None] @ product)[:, 0]
    found = rollout(trace.attention, trace.readout)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(1), torch.ones(5))
    assert not found[~trace.valid].any()
