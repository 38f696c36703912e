"""Weights on disk: no pickle, with a sha256, written whole, read with clear errors."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifambench.atomic import write_bytes_atomic
from ifambench.errors import EnvironmentProblem

_MADE_BY = "made_by"
#: What `torch.load(weights_only=True)` raises for files that are cut, foreign or need code to run.
_UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    OSError,
)


def save_weights(path: Path, module: nn.Module, made_by: dict[str, Any]) -> str:
    """Write the module's tensors and what made them; returns the file's sha256.

    Equal tensors and an equal `made_by` give an equal file.
    """
    from safetensors.torch import save

    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    # one entry: safetensors writes several in random order
    data = save(tensors, metadata={_MADE_BY: json.dumps(made_by, sort_keys=True)})
    write_bytes_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def made_by(path: Path) -> dict[str, Any]:
    """What made a weights file of ours; empty for missing, damaged and foreign files."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return {}
    try:
        with safe_open(path, framework="pt") as opened:
            found = json.loads((opened.metadata() or {}).get(_MADE_BY, "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def load_weights(path: Path, module: nn.Module) -> str:
    """Fill the module from a safetensors file; returns the file's sha256.

    Raises:
        EnvironmentProblem: If the file is missing, damaged, of another model, or not finite.
    """
    fill(path, module, read_tensors(path))
    return sha256_of(path)


def fill(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Fill the module; `path` is for errors.

    Raises:
        EnvironmentProblem: If the tensors are of another model.
    """
    check_fit(path, tensors, module.state_dict())
    module.load_state_dict(tensors)


def read_any(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a PyTorch checkpoint, in fp32.

    Of a snapshot (`{"model_state": ..., "optimizer_state": ...}`), those of the model.

    Raises:
        EnvironmentProblem: If the file is missing, damaged, would run code, or is not finite.
    """
    found = read_tensors(path) if _is_safetensors(path) else _read_checkpoint(path)
    return {name: t.float() if t.is_floating_point() else t for name, t in found.items()}


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
    _check_finite(path, tensors)
    return tensors


def sha256_of(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_fit(path: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Refuse tensors whose names or shapes are not the expected ones.

    Raises:
        EnvironmentProblem: If there is such a tensor.
    """
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or extra:
        problem = f"lacks {missing[0]}" if missing else f"has the foreign tensor {extra[0]}"
        raise EnvironmentProblem(f"weights of another model: the file {problem}", where=str(path))
    for name, tensor in expected.items():
        if tensor.is_floating_point() and not found[name].is_floating_point():
            raise EnvironmentProblem(
                f"the weights are {_kind(found[name])}, not floating-point numbers",
                where=f"{path}: {name}",
            )
        if found[name].shape != tensor.shape:
            raise EnvironmentProblem(
                f"weights of another size: {tuple(found[name].shape)}, "
                f"the model has {tuple(tensor.shape)}",
                where=f"{path}: {name}",
            )


def _is_safetensors(path: Path) -> bool:
    """By name or content: a length of 8 bytes, then JSON."""
    if path.suffix == ".safetensors" or not path.is_file():
        return path.suffix == ".safetensors"
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The model's tensors in a file of `torch.save`."""
    try:
        found = _torch_load(path)
    except FileNotFoundError as error:
        raise EnvironmentProblem(f"no weights file {path}") from error
    except _UNREADABLE as error:
        raise EnvironmentProblem(
            "not a whole weights file, or one that would run code when it is read",
            where=str(path),
            next_step="get the file again, as safetensors or as a PyTorch state dict",
        ) from error
    state = found.get("model_state", found.get("state_dict", found)) if _is_dict(found) else None
    if not _is_dict(state) or not state or not all(map(torch.is_tensor, state.values())):
        raise EnvironmentProblem("the file holds no state dict", where=str(path))
    tensors = {str(name): tensor for name, tensor in state.items()}
    _check_finite(path, tensors)
    return tensors


def _torch_load(path: Path) -> Any:
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about damaged files, which are refused
        # mapped, the optimizer state of a snapshot is never read; only the newer format can be
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)


def _is_dict(found: Any) -> bool:
    return isinstance(found, dict)


def _check_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        _check_plain(path, name, tensor)
        # as fp32, which holds less than fp64
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise EnvironmentProblem("the weights are not finite", where=f"{path}: {name}")


def _check_plain(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse tensors without values, or with values of another storage."""
    plain = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta
    if not plain or tensor.is_complex():
        raise EnvironmentProblem(
            f"the weights are no dense tensors of real numbers, but {_kind(tensor)}",
            where=f"{path}: {name}",
        )


def _kind(tensor: Tensor) -> str:
    stored = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
    return f"{stored} {str(tensor.dtype).removeprefix('torch.')}"
