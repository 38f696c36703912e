"""Copies of a model whose weights are drawn anew (Adebayo et al. 2018, arXiv 1810.03292).

Parameters are taken in the order in which they are registered, which is that of the forward pass;
a two-stage model registers stage 1 before stage 2. A *block* is an element of a list of modules
that is made of several modules itself: a transformer block, a residual block. With L blocks:

- `head`: everything behind the last block: final norm and classifier (of stage 2, if there is one);
- `last_block`: the last block alone;
- `cascading:<k>`: everything from the k-th last block on, for k about L/4, L/2 and 3L/4. In a
  two-stage model this goes down through stage 2 into stage 1;
- `all`: every parameter, class and register tokens and position embedding included.

A tensor is drawn from a normal distribution truncated at two standard deviations, with its own
mean and standard deviation (0.02 for one that is constant): what was learned is gone, and the scale
of the forward pass stays, which would else decide the outcome (Binder et al. 2023, arXiv
2211.12486). The seed of a tensor is made of its name, so it gets the same values in every copy.
Buffers, as the statistics of batch norm, stay.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from ifambench.explain.base import stable_hash
from ifambench.explain.sanity.subject import PROTOCOL
from ifambench.models.base import Classifier

_CUT = 2.0
_STD_IF_CONSTANT = 0.02
_DEPTHS = (0.25, 0.5, 0.75)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def randomised(model: Classifier, names: list[str], seed: int) -> Classifier:
    """A copy of the model with some parameters drawn anew; the model stays as it is.

    Args:
        model: The model.
        names: Parameters, as `named_parameters` calls them.
        seed: Of the new values; the global generator is not touched.
    """
    changed = copy.deepcopy(model)
    for name in names:
        _redraw(changed.get_parameter(name), stable_hash(PROTOCOL, "weights", name, seed) % 2**63)
    return changed


def depths(model: Classifier) -> dict[str, list[str]]:
    """Which parameters are drawn anew, by the name of the depth; see the module docstring.

    A network without blocks has `head`, which is its last module, and `all`.
    """
    names = [name for name, _ in model.named_parameters()]
    if not names:
        return {}
    starts = block_names(model)
    if not starts:
        return {"head": _of(names[-1].rpartition(".")[0], names), "all": names}
    blocks = [_of(block, names) for block in starts]
    found = {"head": names[names.index(blocks[-1][-1]) + 1 :], "last_block": blocks[-1]}
    for share in _DEPTHS:
        k = max(1, round(share * len(blocks)))
        found[f"cascading:{k}"] = names[names.index(blocks[-k][0]) :]
    return {depth: chosen for depth, chosen in found.items() if chosen} | {"all": names}


def block_names(model: nn.Module) -> list[str]:
    """The names of the blocks, in the order of the forward pass."""
    elements = [
        f"{name}.{key}" if name else key
        for name, module in model.named_modules()
        if isinstance(module, _CONTAINERS)
        for key, child in module.named_children()
        if not isinstance(child, _CONTAINERS) and _is_compound(child)
    ]
    inner = [a for a in elements if not any(b.startswith(f"{a}.") for b in elements)]
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}
    return sorted(inner, key=order.__getitem__)


def _is_compound(module: nn.Module) -> bool:
    return sum(any(True for _ in child.parameters()) for child in module.children()) > 1


def _of(module: str, names: list[str]) -> list[str]:
    """The parameters of a module; those of the network itself for an empty name."""
    if not module:
        return [name for name in names if "." not in name]
    return [name for name in names if name.startswith(f"{module}.")]


@torch.no_grad()
def _redraw(parameter: nn.Parameter, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.empty(parameter.shape)
    nn.init.trunc_normal_(unit, a=-_CUT, b=_CUT, generator=generator)
    old = parameter.detach().double()
    std = float(old.std(correction=0)) or _STD_IF_CONSTANT
    parameter.copy_(float(old.mean()) + std / _truncated_std() * unit)


def _truncated_std() -> float:
    """Standard deviation of the standard normal distribution between -2 and 2."""
    density = math.exp(-(_CUT**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * _CUT * density / math.erf(_CUT / math.sqrt(2)))
