"""Explainers that read attention, against slow definitions with unfused attention."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.methods import chunks
from ifambench.explain.methods.gradients import attention_gradient, carried, traced
from ifambench.models import trace as trace_module
from ifambench.registry import Registry
from tests.explain.methods.traced_models import (
    ALL,
    IDS,
    PLAIN,
    TARGETS,
    explain,
    odd_grid,
    pixels_for,
    slowly,
)
from tests.models.small_models import SIDE, lively, masks_for, vit

MODELS = Registry("model", "ifambench.models", "MODELS")
NAMES = ["raw-attention", "gradient-attention", "generic-attention", "legrad", "attention-rollout"]
CLASS_TOKEN_OR_NOT = [*NAMES, "grad-cam", "normgrad"]
EVERY = [*CLASS_TOKEN_OR_NOT, "transformer-attribution"]
WITH_RULES = [(kind, EVERY[-1]) for kind in ("plain", "registers", "odd-grid")]
SPECIFIC = ["gradient-attention", "generic-attention", "legrad"]


@pytest.fixture(params=ALL)
def model(request):
    return ALL[request.param]()


def of_attention(one):
    """dy/dA of every block, (heads, N, N)."""
    found = torch.autograd.grad(one.target, one.attention, retain_graph=True)
    return [gradient[0] for gradient in found]


def slow_raw(one):
    return one.readout @ one.attention[-1][0].mean(0)


def slow_gradient(one):
    gradient = of_attention(one)[-1]
    return one.readout @ (gradient * one.attention[-1][0]).relu().mean(0)


def slow_generic(one):
    relevance = torch.eye(len(one.readout))
    for attention, gradient in zip(one.attention, of_attention(one), strict=True):
        relevance = relevance + (gradient * attention[0]).relu().mean(0) @ relevance
    return one.readout @ relevance


def slow_legrad(one):
    maps = []
    for attention, tokens in zip(one.attention, one.hidden, strict=True):
        score = one.score(tokens[0].mean(0))
        (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
        maps.append(gradient[0].relu().mean(dim=(0, 1)))
    return torch.stack(maps).mean(0)


SLOW = {
    "raw-attention": slow_raw,
    "gradient-attention": slow_gradient,
    "generic-attention": slow_generic,
    "legrad": slow_legrad,
}


@pytest.mark.parametrize("name", SLOW)
def test_equals_the_slow_definition(model, name):
    prefix = model.num_prefix_tokens
    for found, one in zip(explain(model, name), slowly(model), strict=True):
        expected = SLOW[name](one).detach()[prefix:]
        assert expected.std() > 0
        torch.testing.assert_close(found[one.keep], expected, atol=1e-5, rtol=1e-4)


def test_attention_gradients_equal_those_of_the_unfused_path(model):
    context = ExplainContext(IDS, masks=masks_for(model))
    with traced(model, pixels_for(model), TARGETS, context) as (trace, chosen):
        of_heads = torch.autograd.grad(chosen, trace.inside.heads)
    ours = [attention_gradient(trace.inside, k, grad) for k, grad in enumerate(of_heads)]
    for image, one in enumerate(slowly(model)):
        valid = trace.valid[image]
        for found, expected in zip(ours, of_attention(one), strict=True):
            assert expected.any()
            part = found[image][:, valid][:, :, valid]
            torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_fused_attention_stays_on(monkeypatch, name):
    model = vit()
    fused, dropped = [], []
    original = F.scaled_dot_product_attention

    def counting(*args, **kwargs):
        fused.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counting)
    for block in model.vit.blocks:
        block.attn.attn_drop.register_forward_hook(lambda *_: dropped.append(1))
    explain(model, name)
    assert len(fused) == 3
    assert not dropped
    assert all(block.attn.fused_attn for block in model.vit.blocks)


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("grad-cam", 0),
        ("normgrad", 0),
        ("legrad", 0),
        ("raw-attention", 1),
        ("gradient-attention", 1),
        ("generic-attention", 3),
        ("attention-rollout", 3),
    ],
)
def test_attention_is_made_only_where_it_is_read(monkeypatch, name, maps):
    made = []
    original = trace_module._attention
    monkeypatch.setattr(
        trace_module, "_attention", lambda *given: made.append(1) or original(*given)
    )
    explain(vit(), name)
    assert len(made) == maps


def test_slices_of_the_attention():
    with torch.no_grad():
        attention = vit().trace(pixels_for(vit())).attention
    assert len(attention) == 3
    assert len(attention[1:]) == 2
    assert torch.equal(attention[1:][0], attention[-2])
    assert torch.equal(next(iter(reversed(attention))), attention[2])
    with pytest.raises(IndexError):
        attention[3]


@pytest.mark.parametrize("name", NAMES)
def test_no_class_makes_a_difference_only_where_stated(model, name):
    context = ExplainContext(IDS, masks=masks_for(model))
    other = relevance_of(name, model, pixels_for(model), (TARGETS + 1) % 3, context)
    assert torch.equal(other, explain(model, name)) is (name not in SPECIFIC)


@pytest.mark.parametrize("name", ["gradient-attention", "generic-attention"])
def test_one_layer_form(name):
    """Without an MLP and norm, gradient x attention is what a patch adds through each head."""
    model = linear_in_the_values()
    x = pixels_for(model)
    with torch.no_grad():
        trace = model.trace(x)
    inside, attention = trace.inside, trace.attention[0]
    out = model.vit.head.weight[TARGETS] @ model.vit.blocks[0].attn.proj.weight  # (B, heads d)
    slope = torch.einsum("bhd,bhnd->bhn", out.unflatten(1, (2, -1)), inside.values[0])
    added = (attention[:, :, 0] * slope).detach()  # (B, heads, N)
    found = explain(model, name).flatten(1)
    torch.testing.assert_close(found, added.relu().mean(1)[:, 1:], atol=1e-6, rtol=1e-5)
    # complete: without the relu, all tokens together are the logit less what the rest adds
    rest = model.vit.head(inside.hidden[0][:, 0] + model.vit.blocks[0].attn.proj.bias)
    chosen = (trace.logits - rest).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(added.sum((1, 2)), chosen.detach(), atol=1e-5, rtol=1e-5)


def linear_in_the_values():
    model = vit(depth=1, final_norm=False)
    with torch.no_grad():
        for parameter in model.vit.blocks[0].mlp.fc2.parameters():
            parameter.zero_()
    return model


@pytest.mark.parametrize("pooled", ["token", "avg"])
def test_gradient_behind_the_last_block(pooled):
    """With a class token the last block's patch tokens have no gradient at all."""
    model = vit(global_pool=pooled, fc_norm=False)
    with traced(model, pixels_for(model), TARGETS, ExplainContext(IDS)) as (trace, chosen):
        inside = trace.inside
        wanted = [inside.hidden[-1], inside.hidden[-2], trace.cam_tokens]
        last, before, layer = (g[:, 1:] for g in torch.autograd.grad(chosen, wanted))
    assert bool(last.any()) is (pooled == "avg")
    assert before.any()
    assert layer.any()


def test_an_input_that_makes_no_difference_gives_a_map_of_zeros():
    model = vit()
    with torch.no_grad():
        model.vit.head.weight.zero_()
    for name in ("gradient-attention", "legrad", "grad-cam", "normgrad"):
        assert not explain(model, name).any()
    found = explain(model, "generic-attention")  # the identity alone: no patch is read
    assert not found.any()


@pytest.mark.parametrize(("kind", "name"), [*product(PLAIN, CLASS_TOKEN_OR_NOT), *WITH_RULES])
def test_patches_and_positions_permuted_together(kind, name):
    model = ALL[kind]().double()
    h, w = model.patch_grid
    order = torch.randperm(h * w, generator=torch.Generator().manual_seed(3))
    pixels = pixels_for(model).double()
    expected = explain(model, name, pixels).flatten(1)[:, order]
    x = F.unfold(pixels, 8, stride=8)[:, :, order]
    side = model.data_config.image_size
    prefix = model.num_prefix_tokens
    with torch.no_grad():
        positions = model.vit.pos_embed
        positions[:, prefix:] = positions[:, prefix:][:, order].clone()
    found = explain(model, name, F.fold(x, side, 8, stride=8))
    torch.testing.assert_close(found.flatten(1), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_chunks_make_no_difference(monkeypatch, name):
    seen = []
    for kind in ("odd-grid", "oracle", "ifam"):
        model = ALL[kind]()
        whole = explain(model, name)
        original = type(model).trace

        def trace(of, x, *more, call=original):
            seen.append(len(x))
            return call(of, x, *more)

        monkeypatch.setattr(type(model), "trace", trace)  # some explainers make a copy
        monkeypatch.setattr(chunks, "_TOKENS", 2 * (model.num_prefix_tokens + whole[0].numel()))
        found = explain(model, name)
        monkeypatch.undo()
        torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-4)
    assert seen == [2, 2, 1] * 3


def test_chunks_are_bounded_by_tokens():
    small, large = vit(), odd_grid(518, patch_size=14, embed_dim=8, depth=1, num_heads=1)
    assert chunks.chunk_size(small, 64) == 64
    assert large.num_prefix_tokens + 37 * 37 == 1374
    assert chunks.chunk_size(large, 64) == 2
    assert chunks.chunk_size(large, 1) == 1


@pytest.mark.parametrize("name", ["generic-attention", "legrad", "grad-cam"])
def test_registers_of_a_large_grid_are_dropped(name):
    model = odd_grid(518, patch_size=14, embed_dim=8, depth=1, num_heads=1)
    assert explain(model, name, pixels_for(model, 1)).shape == (1, 37, 37)


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_left_behind(monkeypatch, name):
    model = vit()
    explain(model, name)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())

    def broken(*_):
        raise ArithmeticError

    monkeypatch.setattr(model.vit.norm, "forward", broken)
    with pytest.raises(ArithmeticError):
        explain(model, name)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", ["oracle", "ifam", "explain-then-predict"])
def test_dropped_patches_come_last(kind, name):
    model = ALL[kind]()
    for found, one in zip(explain(model, name), slowly(model), strict=True):
        if one.keep.any() and not one.keep.all():
            assert found[~one.keep].max() < found[one.keep].min()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("oracle", EVERY[-1]), *product(["oracle", "oracle-averaged"], CLASS_TOKEN_OR_NOT)],
)
def test_an_empty_mask_gives_a_constant_map(kind, name):
    model = ALL[kind]()
    masks = torch.zeros(5, 4, 4, dtype=torch.bool)
    context = ExplainContext(IDS, masks=masks)
    assert not relevance_of(name, model, pixels_for(model), TARGETS, context).any()
    masks[0, 1, 1] = masks[0, 2, 1] = True
    found = relevance_of(name, model, pixels_for(model), TARGETS, context)
    assert not found[1:].any()
    assert found[0][masks[0]].min() > found[0][~masks[0]].max()


def test_carried_rows_are_those_of_the_whole_product():
    generator = torch.Generator().manual_seed(5)
    mixing = [torch.rand(2, 4, 4, generator=generator, dtype=torch.float64) for _ in range(3)]
    readout = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    product = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
    for mixed in mixing:
        product = product + mixed @ product
    expected = (readout[:, None] @ product)[:, 0]
    torch.testing.assert_close(carried(readout, reversed(mixing)), expected)


@pytest.mark.parametrize("kind", ["late-vit-micro", "pdiscoformer-vit-micro"])
@pytest.mark.parametrize("name", CLASS_TOKEN_OR_NOT)
def test_heads_of_another_form(kind, name):
    """Late masking and part discovery read the tokens by a mask, or by part maps."""
    torch.manual_seed(0)
    model = lively(MODELS.load(kind)(num_classes=3, image_size=SIDE))
    found = explain(model, name)
    assert found.std() > 0
    masks = masks_for(model, 1)
    context = ExplainContext(["a"], masks=masks)
    alone = relevance_of(name, model, pixels_for(model, 1), TARGETS[:1], context)
    torch.testing.assert_close(alone[0], found[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SPECIFIC)
def test_a_plug_ins_trace_without_blocks_is_refused(monkeypatch, name):
    model = vit()
    original = model.trace
    monkeypatch.setattr(model, "trace", lambda *given: original(*given)._replace(inside=None))
    with pytest.raises(UsageError, match="does not show its blocks"):
        explain(model, name)
    assert explain(model, "raw-attention").std() > 0
