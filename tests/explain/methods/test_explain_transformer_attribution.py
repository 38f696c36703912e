"""Transformer attribution against its definition, written out for one image in double precision."""

import copy

import pytest
import torch

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, check_needs, relevance_of
from ifambench.explain.methods import relevance_rules as rules
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.relprop import relprop_of
from ifambench.models.vit import micro_vit
from tests.explain.methods.traced_models import (
    ALL,
    IDS,
    TARGETS,
    backbone,
    explain,
    pixels_for,
    slowly,
)
from tests.models.small_models import masks_for, vit

NAME = "transformer-attribution"
ABLE = ["plain", "registers", "oracle", "ifam", "odd-grid", "explain-then-predict", "mapped"]
TINY = 1e-9  # the published stabiliser


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(relevance, x, weight):
    """R_i = sum_j (x_i w_ji)^+ / sum_k (x_k w_jk)^+ R_j, one row at a time."""
    rows = []
    for x_row, relevance_row in zip(x, relevance, strict=True):
        products = (x_row * weight).clamp(min=0)  # (out, in)
        total = products.sum(1)
        share = torch.where(total == 0, 0, relevance_row / (total + TINY))
        rows.append((products * share[:, None]).sum(0))
    return torch.stack(rows)


def product(relevance, left, right):
    """Every a_ij b_jk by its share in (a b)_ik, half to each factor."""
    terms = left[..., None] * right[..., None, :, :]  # (..., i, j, k)
    total = terms.sum(-2, keepdim=True)
    shares = torch.where(total == 0, 0, terms / (total + TINY) * relevance[..., None, :])
    return shares.sum(-1) / 2, shares.sum(-3) / 2


def addition(relevance, a, b):
    ratio = relevance / (a + b + TINY)
    of_a, of_b = a * ratio, b * ratio
    part = of_a.sum().abs() / (of_a.sum().abs() + of_b.sum().abs())
    total = relevance.sum()
    return of_a * (part * total / of_a.sum()), of_b * ((1 - part) * total / of_b.sum())


def block_backwards(block, x, relevance):
    """Tokens (N, D) before the block and their relevance after it."""
    heads = block.attn.num_heads
    normed = block.norm1(x)
    q, k, v = block.attn.qkv(normed).unflatten(-1, (3, heads, -1)).permute(1, 2, 0, 3)
    attention = (q @ k.mT * block.attn.scale).softmax(-1)
    out = (attention @ v).transpose(0, 1).flatten(1)
    middle = x + block.attn.proj(out)
    second = block.norm2(middle)
    active = torch.nn.functional.gelu(block.mlp.fc1(second))

    stay, went = addition(relevance, middle, block.mlp.fc2(active))
    went = linear(linear(went, active, block.mlp.fc2.weight), second, block.mlp.fc1.weight)
    relevance = (stay + went) * middle / (middle + TINY)
    stay, went = addition(relevance, x, block.attn.proj(out))
    went = linear(went, out, block.attn.proj.weight).unflatten(1, (heads, -1)).transpose(0, 1)
    of_attention, of_v = product(went, attention, v)
    of_q, of_k = product(of_attention, q, k.mT)
    of_qkv = torch.stack([of_q, of_k.mT, of_v]).permute(2, 0, 1, 3).flatten(1)
    went = linear(of_qkv, normed, block.attn.qkv.weight)
    return (stay + went) * x / (x + TINY), of_attention


@torch.no_grad()
def slow(model, one, gradients, index):
    net = backbone(model)
    head = getattr(getattr(model.unmapped, "stage_2", None), "head", None) or net.head
    norm = getattr(getattr(model.unmapped, "stage_2", None), "fc_norm", None) or net.fc_norm
    tokens = [one.first, *[tokens.detach()[0] for tokens in one.hidden]]
    start = torch.zeros(1, len(head.weight), dtype=torch.float64)
    start[0, index] = 1
    relevance = torch.zeros_like(tokens[0])
    relevance[0] = linear(start, norm(net.norm(tokens[-1][:1])), head.weight)[0]
    influence = []
    for block, x, gradient in zip(
        reversed(net.blocks), reversed(tokens[:-1]), reversed(gradients), strict=True
    ):
        relevance, of_attention = block_backwards(block, x, relevance)
        influence.append((gradient * of_attention).clamp(min=0).mean(0))
    rolled = torch.eye(len(tokens[0]), dtype=torch.float64)
    for mixed in reversed(influence):
        rolled = (torch.eye(len(tokens[0]), dtype=torch.float64) + mixed) @ rolled
    return rolled[0]


@pytest.mark.parametrize("kind", ABLE)
def test_equals_the_definition(kind):
    model = copy.deepcopy(ALL[kind]()).double()
    x = pixels_for(model).double()
    context = ExplainContext(IDS, masks=masks_for(model))
    found = relevance_of(NAME, model, x, TARGETS, context)
    for k, (image, one) in enumerate(zip(found, slowly(model, x), strict=True)):
        gradients = torch.autograd.grad(one.target, one.attention)
        expected = slow(model, one, [g[0] for g in gradients], one.index)
        expected = expected[model.num_prefix_tokens :].float()
        assert expected.std() > 0, k
        torch.testing.assert_close(image[one.keep], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ABLE)
def test_is_computed_in_double_precision(kind):
    model = ALL[kind]()
    found = explain(model, NAME)
    context = ExplainContext(IDS, masks=masks_for(model))
    precise = copy.deepcopy(model).double()
    expected = relevance_of(NAME, precise, pixels_for(model).double(), TARGETS, context)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-6)
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize("kind", ["ifam", "explain-then-predict", "mapped ifam"])
def test_the_mask_is_that_of_the_model(monkeypatch, kind):
    """Another precision may select other patches: what is explained is the prediction as it was."""
    model = inner = ALL[kind.removeprefix("mapped ")]()
    if kind == "mapped ifam":
        model = Mapped(inner, LabelMap(((0,), (1,), (2,)), "members")).eval()
    original, dtypes = type(inner).select, []
    keep = inner.select(pixels_for(model)).mask

    def select(of, x):
        dtypes.append(x.dtype)
        found = original(of, x)
        return found if x.dtype is torch.float32 else found._replace(mask=~found.mask)

    monkeypatch.setattr(type(inner), "select", select)
    with torch.inference_mode():
        found = explain(model, NAME).clone()
    assert dtypes == [torch.float32]
    for image, kept in zip(found, keep, strict=True):
        if kept.any() and not kept.all():
            assert image[~kept].max() < image[kept].min()


@pytest.mark.parametrize("kind", ["layer-scale", "norms", "no-class-token", "oracle-averaged"])
def test_is_not_offered_without_published_rules(kind):
    model = ALL[kind]()
    assert "relprop" not in model.capabilities
    with pytest.raises(UsageError, match=f'"{NAME}" needs .* "relprop"') as caught:
        check_needs(NAME, model)
    assert "generic-attention" in caught.value.choices


@pytest.mark.parametrize(
    ("change", "able"),
    [
        ({}, True),
        ({"reg_tokens": 4}, True),
        ({"pre_norm": True}, True),
        ({"init_values": 1e-5}, False),
        ({"qk_norm": True}, False),
        ({"scale_attn_norm": True}, False),
        ({"scale_mlp_norm": True}, False),
        ({"act_layer": torch.nn.Tanh}, False),
        ({"norm_layer": "rmsnorm"}, False),
        ({"final_norm": False}, True),
    ],
)
def test_which_networks_have_rules(change, able):
    assert bool(relprop_of(micro_vit(32, 3, **change), "token")) is able
    assert not relprop_of(micro_vit(32, 3, **change), "avg")


def test_linear_rule_by_hand():
    found = rules.through_linear(
        torch.tensor([[2.0, 3.0]]),
        torch.tensor([[1.0, -2.0, 4.0]]),
        torch.tensor([[1.0, -1.0, -5.0], [1.0, 1.0, 2.0]]),
    )
    # positive products (1, 2, 0) and (1, 0, 8)
    expected = torch.tensor([[2 / 3 + 3 / 9, 4 / 3, 24 / 9]])
    torch.testing.assert_close(found, expected)


def test_sums_are_shared_by_the_size_of_the_branches_of_each_image():
    a, b, relevance = (random(2, 3, 4, seed=seed).abs() for seed in range(3))
    of_a, of_b = rules.through_sum(relevance, a, b)
    torch.testing.assert_close((of_a + of_b).sum((1, 2)), relevance.sum((1, 2)))
    alone, _ = rules.through_sum(relevance[1:], a[1:], b[1:])
    torch.testing.assert_close(of_a[1:], alone)
    torch.testing.assert_close(of_a, a * relevance / (a + b))


def test_no_share_of_nothing():
    zero, one = torch.zeros(1), torch.ones(1)
    assert rules.divided(one, zero) == 0
    assert rules.divided(one, torch.full((1,), -1e-9, dtype=torch.float64)).isfinite()
    assert rules.through_copy(zero, one, one) == 0
    assert rules.through_copy(one, one, 2 * one) == 3
    nothing = rules.through_linear(torch.ones(1, 2), torch.zeros(1, 3), torch.ones(2, 3))
    assert not nothing.any()


@torch.no_grad()
def test_a_block_loses_no_relevance():
    model = vit().double()
    block = model.vit.blocks[0]
    x, relevance = random(2, 17, 64), random(2, 17, 64, seed=1)
    qkv = block.attn.qkv(block.norm1(x))
    q, k, v = qkv.unflatten(-1, (3, 2, 32)).permute(2, 0, 3, 1, 4)
    attention = (q @ k.mT * block.attn.scale).softmax(-1)
    seen = rules.BlockValues(x, qkv, attention, (attention @ v).transpose(1, 2).flatten(2))
    found, _ = rules.through_block(block, seen, relevance)
    torch.testing.assert_close(found.sum((1, 2)), relevance.sum((1, 2)), rtol=1e-4, atol=1e-4)


def test_depends_on_the_class_and_not_on_the_batch():
    model = vit()
    whole = explain(model, NAME)
    other = relevance_of(NAME, model, pixels_for(model), (TARGETS + 1) % 3, ExplainContext(IDS))
    assert (whole - other).abs().max() > 1e-4
    for k in range(5):
        one = relevance_of(NAME, model, pixels_for(model)[[k]], TARGETS[[k]], ExplainContext("a"))
        torch.testing.assert_close(one[0], whole[k], atol=1e-5, rtol=1e-3)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
