"""From options to a checked `RunRequest`: everything that can be wrong is found before work starts.

Nothing here imports torch, so a typing error is answered at once.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from ifambench.cli.catalogues import EXPLAINERS
from ifambench.cli.options_measuring import operators
from ifambench.errors import EnvironmentProblem, UsageError, unknown_name
from ifambench.request import RunRequest

ALL = "all"
"""In place of a number of images, or of the name of an explainer."""

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True)
class Compute:
    """Where and how fast the work is done; nothing of it should change a result but by rounding."""

    device: str
    threads: int | None
    batch_size: int | None = None
    devices: int = 1
    num_nodes: int = 1
    precision: str | None = None


@dataclass(frozen=True)
class Explaining:
    """What is measured of the trained model; nothing of it matters for training."""

    explainers: tuple[str, ...] = ()
    images: int | str | None = None
    steps: int | str | None = None
    operators: tuple[str, ...] = ()
    target: str | None = None
    explain_precision: str | None = None
    battery: int | str = 0
    sanity: int | str = 0
    remove_parts: tuple[int, ...] = ()
    mask_samples: int = 0


@dataclass(frozen=True)
class Training:
    """What is trained, on what, and from where it starts."""

    suite: str
    model: str
    protocol: str | None
    seed: int
    size: str
    pretrained: Path | None
    data_dir: Path | None = None
    skip_bad_images: bool = False


def checked_request(
    training: Training,
    explaining: Explaining,
    compute: Compute,
    output: Path,
    fresh: bool,
    offline: bool = False,
) -> RunRequest:
    """The request for the pipeline.

    Raises:
        UsageError: If suite, model, method, protocol, explainer, operator, size or device is
            unknown.
        EnvironmentProblem: If nothing can be written to the output folder, or if files of the
            suite are missing.
    """
    check_training(training, offline)
    check_explaining(explaining)
    check_device(compute.device)
    check_writable(output)
    return RunRequest(
        **vars(training), **vars(explaining), **vars(compute), output=output, fresh=fresh
    )


def check_explaining(explaining: Explaining) -> None:
    """Raise a UsageError unless explainers and operators exist; what suits the model is seen later.

    Raises:
        UsageError: Naming the nearest ones.
    """
    for name in explaining.explainers:
        if name != ALL:
            EXPLAINERS.entry(name)
    for name in explaining.operators:
        if name not in operators():
            raise unknown_name("operator", name, operators(), list_command="ifambench run --help")


@overload
def number_or(word: str, text: str, option: str, lowest: int = 0) -> int | str: ...
@overload
def number_or(word: str, text: None, option: str, lowest: int = 0) -> None: ...
@overload
def number_or(word: str, text: str | None, option: str, lowest: int = 0) -> int | str | None: ...
def number_or(word: str, text: str | None, option: str, lowest: int = 0) -> int | str | None:
    """A whole number, or the word that may stand in its place; None stays None.

    >>> number_or("all", "8", "--images"), number_or("all", "all", "--images")
    (8, 'all')

    Raises:
        UsageError: If the text is neither, or the number is below `lowest`.
    """
    if text is None or text == word:
        return text
    if not text.isascii() or not text.isdecimal() or int(text) < lowest:
        raise UsageError(
            f'"{text}" is not a number of {option.removeprefix("--")}',
            where=option,
            choices=[f"a whole number from {lowest} on", word],
        )
    return int(text)


def check_training(training: Training, offline: bool = False) -> None:
    """Raise a UsageError unless suite, protocol, size, model and method exist and fit.

    Raises:
        EnvironmentProblem: If files of the suite are missing; offline, listing weights too.
    """
    from ifambench.cli.offline import check_offline
    from ifambench.data.load import check_files, split_sizes
    from ifambench.models.catalog import check_trainable, choose_model
    from ifambench.suites.catalog import load_suite, protocol_of

    suite = load_suite(training.suite).suite
    protocol_of(suite, training.protocol)
    split_sizes(suite, training.size)
    check_trainable(choose_model(training.model), suite)
    _check_backbone(training.pretrained)
    if offline:
        check_offline(training)
    check_files(suite, training.data_dir)


def _check_backbone(given: Path | None) -> None:
    if given is not None and not str(given).startswith("timm:") and not given.is_file():
        raise UsageError(
            f"no weights file {given}",
            where="--pretrained",
            choices=["a file", "timm:ARCHITECTURE.TAG"],
        )


def check_device(name: str) -> None:
    """Raise a UsageError unless the text can name a device; whether it exists is seen later."""
    if not _DEVICE.fullmatch(name):
        raise UsageError(
            f'"{name}" is not a device',
            where="--device",
            choices=["auto", "cpu", "mps", "cuda", "cuda:0"],
            next_step="ifambench doctor",
        )


def check_picture(path: Path, option: str) -> None:
    """Raise a UsageError unless the path can be that of a PNG file, before work starts.

    Raises:
        EnvironmentProblem: If nothing can be written there.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path} does not end in .png", where=option)
    if path.is_dir():
        raise UsageError(f"{path} is a folder", where=option, next_step="name a file in it")
    check_writable(path.parent, option)


def check_writable(folder: Path, option: str = "--output") -> None:
    """Raise an EnvironmentProblem unless files can be made in the folder, or where it would be."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write to the output folder: {error.strerror or error}",
            where=str(folder),
            next_step=f"correct the permissions, or choose another place ({option})",
        ) from error
