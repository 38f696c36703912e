"""Weights on disk: safetensors only, with a sha256, written whole, read with clear errors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.records.files import write_bytes_atomic

PRETRAINED = Path(__file__).with_name("pretrained")
_MADE_BY = "made_by"


class Backbone(NamedTuple):
    """A pretrained backbone file."""

    name: str
    path: Path
    sha256: str
    generation_seed: int | None
    """Seed of the generated suite it was pretrained on, where its description says so."""


def save_weights(path: Path, module: nn.Module, made_by: dict[str, str]) -> str:
    """Write the module's tensors and what made them; returns the file's sha256.

    Equal tensors and an equal `made_by` give an equal file.
    """
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    # one entry: safetensors writes several in random order
    data = save(tensors, metadata={_MADE_BY: json.dumps(made_by, sort_keys=True)})
    write_bytes_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def made_by(path: Path) -> dict[str, str]:
    """What made a weights file of ours; empty for missing, damaged and foreign files."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="pt") as opened:
            found: dict[str, str] = json.loads((opened.metadata() or {}).get(_MADE_BY, "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return found


def load_weights(path: Path, module: nn.Module) -> str:
    """Fill the module from a safetensors file; returns the file's sha256.

    Raises:
        EnvironmentProblem: If the file is missing, damaged, of another model, or not finite.
    """
    tensors = read_tensors(path)
    _check_fit(path, tensors, module.state_dict())
    module.load_state_dict(tensors)
    return sha256_of(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        EnvironmentProblem: If the file is missing, truncated or not safetensors, or has NaN.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"no weights file {path}") from error
    except (SafetensorError, OSError) as error:
        raise EnvironmentProblem(
            f"not a whole safetensors file: {error}",
            where=str(path),
            next_step="make the file again: ifambench pretrain, or ifambench train --fresh",
        ) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise EnvironmentProblem("the weights are not finite", where=f"{path}: {name}")
    return tensors


def find_backbone(name_or_path: str) -> Backbone:
    """A shipped backbone by name, or any safetensors file by path.

    Raises:
        UsageError: If there is neither.
    """
    path = PRETRAINED / f"{name_or_path}.safetensors"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        shipped = sorted(found.stem for found in PRETRAINED.glob("*.safetensors"))
        raise UsageError(
            f'no pretrained backbone "{name_or_path}"',
            choices=[*shipped, "a path to a .safetensors file"],
            next_step="ifambench pretrain SUITE --output PATH",
        )
    return Backbone(path.stem, path, sha256_of(path), _generation_seed(path))


def load_backbone(backbone: Backbone, vit: Any) -> None:
    """Fill a timm ViT without head from a pretrained backbone.

    Raises:
        EnvironmentProblem: If the file is damaged or belongs to another architecture.
    """
    tensors = read_tensors(backbone.path)
    expected = {k: v for k, v in vit.state_dict().items() if not k.startswith("head.")}
    _check_fit(backbone.path, tensors, expected)
    vit.load_state_dict(tensors, strict=False)


def _generation_seed(path: Path) -> int | None:
    try:
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return int(described["generation_seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def shipped_backbones() -> dict[str, dict[str, Any]]:
    """The description file of every shipped backbone (sha256, seed, recipe), by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(PRETRAINED.glob("*.json"))
    }


def sha256_of(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_fit(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        problem = f"lacks {missing[0]}" if missing else f"has the foreign tensor {extra[0]}"
        raise EnvironmentProblem(f"weights of another model: the file {problem}", where=str(path))
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise EnvironmentProblem(
                f"weights of another size: {tuple(found[name].shape)}, "
                f"the model has {tuple(tensor.shape)}",
                where=f"{path}: {name}",
            )
