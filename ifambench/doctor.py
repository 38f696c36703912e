"""What this machine offers, and whether the benchmark works on it.

Each check gives findings instead of raising, so that one broken part does not hide the others.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ifambench import __version__
from ifambench.data.folders import data_root, data_state
from ifambench.errors import IfamBenchError, UsageError
from ifambench.models.sizes import SIZES
from ifambench.records.provenance import PACKAGES
from ifambench.registry import Registry
from ifambench.settings import cache_folder, resolve
from ifambench.suites.catalog import load_suite, suite_names

State = Literal["ok", "info", "warning", "broken"]

_MODELS = Registry(kind="model", package="ifambench.models", constant="MODELS")
_PACKAGE = Path(__file__).parent
_FAILURES = (ImportError, RuntimeError, OSError, AttributeError, ValueError, TypeError, KeyError)
"""What a broken installation raises when it is used; anything else is a bug of ours."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: The kind of thing: software, device, setting, data, weights, model.
        what: Its name.
        state: `info` says nothing good or bad; `broken` means that runs will fail.
        found: What was found.
        fix: The command or action that mends it.
    """

    part: str
    what: str
    state: State
    found: str
    fix: str = ""


def examine(output: Path) -> list[Finding]:
    """Everything that can be checked in a few seconds.

    Args:
        output: Where runs would be written.
    """
    return [
        *_software(),
        *_settings(output),
        *_data(),
        *_weights(),
        *_torch(),
        *_models(),
    ]


def _software() -> Iterator[Finding]:
    yield Finding("software", "ifambench", "ok", __version__)
    old = sys.version_info < (3, 11)
    python = f"{platform.python_version()} on {platform.platform()}"
    yield Finding("software", "python", "broken" if old else "ok", python)
    for name in PACKAGES:
        try:
            yield Finding("software", name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            fix = f"pip install {name}"
            yield Finding("software", name, "broken", "not installed", fix)


def _settings(output: Path) -> Iterator[Finding]:
    try:
        for name, setting in resolve(Path()).items():
            if setting.value is not None:
                yield Finding("setting", name, "info", f"{setting.value} ({setting.origin})")
    except UsageError as error:
        yield Finding("setting", "file", "broken", f"{error.what} ({error.where})")
    yield _folder("cache folder", cache_folder())
    yield _folder("output folder", output)


def _folder(what: str, folder: Path) -> Finding:
    """Whether files can be made in a folder, or where it would be made."""
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return Finding("setting", what, "ok", str(folder))
    except OSError as error:
        found = f"{folder}: {error.strerror or error}"
        return Finding("setting", what, "broken", found, "choose another folder (--output)")


def _data() -> Iterator[Finding]:
    """Whether the images of suites that are read from files are on this machine."""
    for name in suite_names():
        try:
            suite = load_suite(name).suite
            state, folder = data_state(suite)
            where = str(folder or f"{state} in {data_root()}")
        except UsageError as error:
            yield Finding("data", name, "warning", error.what, f"ifambench validate {name}")
            continue
        if suite.source is not None:
            fix = "" if folder else f"ifambench show {name}"
            yield Finding("data", name, "ok" if folder else "info", where, fix)


def _weights() -> Iterator[Finding]:
    """The weights that ship with ifambench, against the checksum beside them."""
    starts = {size.pretrained for size in SIZES.values()}
    wanted = {name for name in starts if not name.startswith("timm:")}
    found = {path.stem: path for path in sorted(_PACKAGE.rglob("*.safetensors"))}
    for name in sorted({*found, *wanted}):
        if name not in found:
            fix = "reinstall ifambench, or pass --pretrained"
            yield Finding("weights", name, "broken", "not in this installation", fix)
        else:
            yield _checked_weights(name, found[name])


def _checked_weights(name: str, path: Path) -> Finding:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        promised = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Finding("weights", name, "warning", f"no checksum beside it ({error})")
    if digest != promised:
        return Finding("weights", name, "broken", "sha256 differs", "reinstall ifambench")
    return Finding("weights", name, "ok", f"sha256 {digest[:12]}")


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except _FAILURES as error:
        yield Finding("device", "torch", "broken", str(error), "pip install torch")
        return
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    yield Finding("device", "cpu", "ok", threads)
    for index in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(index)
        yield Finding("device", f"cuda:{index}", "ok", name)
    if torch.backends.mps.is_available():
        yield Finding("device", "mps", "ok", "Apple GPU")
    yield _torchvision(torch.__version__)


def _torchvision(torch_version: str) -> Finding:
    """Whether torchvision was built for the installed torch; `import_timm` can do without."""
    try:
        version = importlib.metadata.version("torchvision")
    except importlib.metadata.PackageNotFoundError:
        return Finding("software", "torchvision", "warning", "not installed", "pip install timm")
    found = f"{version} with torch {torch_version}"
    try:
        import torchvision  # noqa: F401
    except _FAILURES as error:
        text = f"{found}: builds differ ({error}); worked around"
        return Finding("software", "torchvision", "warning", text)
    return Finding("software", "torchvision", "ok", found)


def _models() -> Iterator[Finding]:
    for name, entry in _MODELS.entries().items():
        if entry.info.get("size", "micro") != "micro":
            continue  # the same code as the micro network, and no weights to try it with
        started = time.perf_counter()
        try:
            shape = _forward(entry.load())
        except (*_FAILURES, IfamBenchError) as error:
            text = f"{type(error).__name__}: {error}".partition("\n")[0]
            yield Finding("model", name, "broken", text, "pip install --upgrade torch timm")
        else:
            milliseconds = 1000 * (time.perf_counter() - started)
            yield Finding("model", name, "ok", f"logits {shape} in {milliseconds:.0f} ms")


def _forward(build: Any) -> tuple[int, ...]:
    """Logits of a fresh model for one batch of grey images.

    Raises:
        ValueError: If the logits have a wrong shape or are not finite.
    """
    import numpy as np
    import torch

    torch.manual_seed(0)
    model = build(num_classes=2, image_size=64).eval()
    images = model.data_config.normalise(np.full((4, 64, 64, 3), 128, np.uint8))
    masks = torch.ones(4, *model.patch_grid, dtype=torch.bool)
    needs_masks = "true_masks" in model.capabilities
    with torch.inference_mode():
        logits = model.logits(images, masks if needs_masks else None)
    if tuple(logits.shape) != (4, 2) or not bool(torch.isfinite(logits).all()):
        raise ValueError(f"wrong logits, shape {tuple(logits.shape)}")
    return tuple(logits.shape)
