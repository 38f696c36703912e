"""Small ViTs of every kind that can be traced, and slow readings of them, one image at a time."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.models.base import Classifier, DataConfig
from ifambench.models.explain_then_predict import build_gradcam_vit
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.timm_vit import TimmVit
from ifambench.models.vit import micro_vit
from tests.models.small_models import KINDS, images, lively, masks_for, vit

TARGETS = torch.tensor([0, 1, 2, 1, 0])
IDS = [f"test-{k}" for k in range(5)]


def odd_grid(size: int = 40, **kwargs: Any) -> Classifier:
    """5 x 5 patches, a class token and 4 registers."""
    torch.manual_seed(0)
    return lively(TimmVit(micro_vit(size, num_classes=3, reg_tokens=4, **kwargs), DataConfig(size)))


def picked() -> Classifier:
    torch.manual_seed(0)
    return lively(build_gradcam_vit(num_classes=3, image_size=32, keep_fraction=0.4))


def mapped() -> Classifier:
    torch.manual_seed(0)
    model = lively(TimmVit(micro_vit(32, num_classes=7), DataConfig(32)))
    return Mapped(model, LabelMap(((0, 3), (1, 2, 6), (4, 5)), "members")).eval()


ALL: dict[str, Callable[[], Classifier]] = {
    **KINDS,
    "odd-grid": odd_grid,
    "layer-scale": lambda: vit(init_values=0.3, qk_norm=True),
    "norms": lambda: vit(scale_attn_norm=True, scale_mlp_norm=True, pre_norm=True),
    "averaged-with-class-token": lambda: vit(global_pool="avg", fc_norm=False),
    "averaged-all": lambda: vit(global_pool="avg", pool_include_prefix=True),
    "explain-then-predict": picked,
    "mapped": mapped,
}
PLAIN = ["plain", "registers", "no-class-token", "odd-grid"]


def pixels_for(model: Classifier, n: int = 5) -> torch.Tensor:
    side = model.data_config.image_size
    if side == 32:
        return images(n)
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def explain(model: Classifier, name: str, x: torch.Tensor | None = None) -> torch.Tensor:
    x = pixels_for(model) if x is None else x
    context = ExplainContext(IDS[: len(x)], masks=masks_for(model, len(x)))
    return relevance_of(name, model, x, TARGETS[: len(x)], context)


def inner(model: Classifier) -> Classifier:
    return model.unmapped


def backbone(model: Classifier) -> Any:
    model = inner(model)
    return model.stage_2.vit if hasattr(model, "stage_2") else model.vit


class Slow(NamedTuple):
    """One image alone, through the unfused path, so that nothing is padded."""

    target: torch.Tensor
    """Logit of the target."""
    attention: list[torch.Tensor]
    """Per block (1, heads, N, N), in the graph."""
    hidden: list[torch.Tensor]
    """Tokens after each block, (1, N, D), in the graph."""
    before: torch.Tensor
    """Input of the last block's attention, (1, N, D), in the graph."""
    score: Callable[[torch.Tensor], torch.Tensor]
    """Target's logit from a vector (D,)."""
    keep: torch.Tensor
    """(h, w) bool: patches that have a token."""
    readout: torch.Tensor
    """(N,)."""
    first: torch.Tensor
    """Tokens before the first block, (N, D)."""
    index: int
    """The target, as a class of the network."""


def slowly(model: Classifier, x: torch.Tensor | None = None) -> Iterator[Slow]:
    x = pixels_for(model) if x is None else x
    for k in range(5):
        yield _one(model, x[k : k + 1], k)


def _one(model: Classifier, x: torch.Tensor, k: int) -> Slow:
    masks = masks_for(model)
    mask = None if masks is None else masks[k : k + 1]
    if "selection" in model.capabilities:
        mask = model.select(x).mask
    net, caught = backbone(model), {"attention": [], "hidden": [], "before": [], "first": []}
    handles = [net.blocks[-1].norm1.register_forward_hook(_catch(caught["before"]))]
    first = net.blocks[0]
    handles.append(first.register_forward_hook(lambda _, x, __: caught["first"].append(x[0])))
    for block in net.blocks:
        block.attn.fused_attn = False
        handles.append(block.attn.attn_drop.register_forward_hook(_catch(caught["attention"])))
        handles.append(block.register_forward_hook(_catch(caught["hidden"])))
    logits = model.logits(x) if mask is None else model.logits_from_patches(x, mask)
    for handle in handles:
        handle.remove()
    index = _class(model, x, int(TARGETS[k]))
    for block in net.blocks:
        block.attn.fused_attn = True
    keep = torch.ones(model.patch_grid, dtype=torch.bool) if mask is None else mask[0]
    hidden = caught["hidden"][-len(net.blocks) :]
    # the last ones: a selection by the same network came before
    one = Slow(
        logits[0, TARGETS[k]],
        caught["attention"][-len(net.blocks) :],
        hidden,
        caught["before"][-1],
        _score(model, index),
        keep,
        _readout(model, hidden[0].shape[1]).to(x),
        caught["first"][-1].detach()[0],
        index,
    )
    assert len(one.attention) == len(net.blocks)
    return one


def _catch(found: list[torch.Tensor]) -> Callable[..., None]:
    return lambda _, __, out: found.append(out)


def _class(model: Classifier, x: torch.Tensor, target: int) -> int:
    if model.label_map is None:
        return target
    raw = inner(model).logits(x)[0].detach()  # the largest class makes the label's logit
    return max(model.label_map.members[target], key=lambda c: float(raw[c]))


def _score(model: Classifier, index: int) -> Callable[[torch.Tensor], torch.Tensor]:
    net = backbone(model)
    head = getattr(inner(model), "stage_2", net)
    return lambda vector: head.head(head.fc_norm(net.norm(vector)))[index]


def _readout(model: Classifier, n: int) -> torch.Tensor:
    net = backbone(model)
    if net.global_pool == "token":
        return torch.eye(n)[0]
    read = torch.ones(n)
    if not net.pool_include_prefix:
        read[: net.num_prefix_tokens] = 0
    return read / read.sum()
