import pytest
import torch

from ifambench.models.base import Classifier, Trace
from tests.models.small_models import KINDS, images, masks_for


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Classifier:
    return KINDS[request.param]()


def backbone(model: Classifier):
    return model.stage_2.vit if "selection" in model.capabilities else model.vit


def unfused_attention(model: Classifier) -> list[torch.Tensor]:
    """Attention as the unfused path hands it to `attn_drop`."""
    found: list[torch.Tensor] = []
    blocks = backbone(model).blocks
    handles = [
        block.attn.attn_drop.register_forward_hook(lambda _, __, out: found.append(out))
        for block in blocks
    ]
    for block in blocks:
        block.attn.fused_attn = False
    try:
        model.logits(images(), masks_for(model))
    finally:
        for block, handle in zip(blocks, handles, strict=True):
            block.attn.fused_attn = True
            handle.remove()
    return found


def trace_of(model: Classifier) -> Trace:
    with torch.no_grad():
        return model.trace(images(), masks_for(model))


def test_attention_is_that_of_the_unfused_path(model: Classifier) -> None:
    with torch.no_grad():
        expected = unfused_attention(model)
    trace = trace_of(model)
    assert len(trace.attention) == len(expected) == 3
    for ours, theirs in zip(trace.attention, expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-6


def test_attention_rows_sum_to_one_without_padding(model: Classifier) -> None:
    trace = trace_of(model)
    for attention in trace.attention:
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
        hidden = attention.masked_select(~trace.valid[:, None, None, :])
        assert not hidden.any()


def test_hooks_are_released(model: Classifier) -> None:
    trace_of(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_are_released_after_an_error() -> None:
    broken = KINDS["plain"]()
    broken.vit.blocks[1].forward = None  # not callable
    with pytest.raises(TypeError):
        broken.trace(images())
    assert not any(module._forward_hooks for module in broken.modules())


def test_readout_is_what_the_head_reads() -> None:
    token = trace_of(KINDS["registers"]()).readout
    assert torch.equal(token, torch.eye(token.shape[1])[:1].expand(5, -1))
    mean = trace_of(KINDS["no-class-token"]()).readout
    assert torch.equal(mean, torch.full((5, 16), 1 / 16))
    padded = trace_of(KINDS["oracle-averaged"]())
    assert not padded.readout[~padded.valid].any()
