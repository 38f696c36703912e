"""What can be wrong with a run request beyond its names: numbers, options, data, the device."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from ifambench.data.folders import find_data_folder, has_masks
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.base import Classifier
from ifambench.models.catalog import ModelChoice, builder_options
from ifambench.models.ifam import Ifam
from ifambench.models.interventions import remove_parts
from ifambench.plan_explain import ALL, PER_PATCH
from ifambench.request import RunRequest
from ifambench.suites.spec import Suite, Target
from ifambench.train.recipes import ARCHITECTURE

#: What a linear probe reads of a recipe; nothing is trained by gradient.
_OF_A_PROBE = ("image_size", "init", "probe_strengths", "source")
_LEAST = 3
_MAX_NUMBER = 2**63 - 1
_MAX_SEED = 2**32 - 1  # torch's CPU generator takes no more of a seed
_WORDS = {"images": ALL, "battery": ALL, "sanity": ALL, "steps": PER_PATCH}
"""What may stand in place of a number."""
_CHOICES = {"target": get_args(Target), "explain_precision": ("32", "bf16")}


def find_device(name: str, threads: int | None = None) -> torch.device:
    """The device of `--device`; `--threads` holds for this process from now on.

    Raises:
        EnvironmentProblem: If this machine has no such device.
    """
    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    there = {
        "cpu": True,
        "mps": torch.backends.mps.is_available(),
        "cuda": (device.index or 0) < torch.cuda.device_count(),
    }
    if not there.get(device.type, False):
        raise EnvironmentProblem(
            f'device "{name}" is not available',
            where="--device",
            next_step="ifambench doctor",
        )
    return device


def check_numbers(request: RunRequest) -> None:
    """Refuse numbers that are out of range.

    Raises:
        UsageError: Naming the option and its range.
    """
    lowest = {"batch_size": 1, "images": 0, "steps": 1, "threads": 1, "seed": 0}
    lowest |= {"devices": 1, "num_nodes": 1, "battery": 0, "sanity": 0, "mask_samples": 0}
    for name, low in lowest.items():
        value, word = getattr(request, name), _WORDS.get(name)
        if value is None or value == word:
            continue
        high = _MAX_SEED if name == "seed" else _MAX_NUMBER
        if not isinstance(value, int) or not low <= value <= high:
            or_word = f', or "{word}"' if word else ""
            raise UsageError(
                f"must be between {low} and {high}{or_word}, is {value}",
                where=f"--{name.replace('_', '-')}",
            )


def check_choices(request: RunRequest) -> None:
    """Refuse words that are none of an option's.

    Raises:
        UsageError: Naming the option and its choices.
    """
    for name, choices in _CHOICES.items():
        value = getattr(request, name)
        if value is not None and value not in choices:
            raise UsageError(
                f'unknown {name.replace("_", " ")} "{value}"',
                where=f"--{name.replace('_', '-')}",
                choices=list(choices),
            )


def refuse_without_effect(choice: ModelChoice) -> None:
    """Refuse what a model's name sets and neither its builder nor its training reads."""
    read = builder_options(choice.entry)
    for name in choice.overrides:
        shaping = name in ARCHITECTURE and read is not None and name not in read
        if shaping or (choice.method == "probe" and name not in {*_OF_A_PROBE, *ARCHITECTURE}):
            raise UsageError(
                f"{name} changes nothing in {choice.base_label}", where=f"--model {choice.label}"
            )


def check_data(suite: Suite, model: Classifier, request: RunRequest) -> None:
    """Missing files are found before anything is trained."""
    if suite.source is None:
        return
    folder = find_data_folder(suite, request.data_dir)
    if "true_masks" in model.capabilities and not has_masks(suite, folder):
        raise UsageError(
            f"{request.model} is shown the true objects, and {suite.id} has no masks",
            where=str(folder),
            next_step="add the masks the suite file names, or choose another model",
        )


def suite_has_masks(suite: Suite, data_dir: Path | None) -> bool:
    """Whether the true masks of the suite are at hand; its files have to be there."""
    if suite.source is None:
        return True
    return has_masks(suite, find_data_folder(suite, data_dir))


def check_part_grid(choice: ModelChoice, model: Classifier) -> None:
    """Refuse to train parts on fewer patches than the presence losses average over.

    Raises:
        UsageError: Naming the patches there are.
    """
    if choice.source is None and "parts" in model.capabilities and min(model.patch_grid) < _LEAST:
        high, wide = model.patch_grid
        raise UsageError(
            f"parts are looked for in {_LEAST} x {_LEAST} patches or more, "
            f"images of {model.data_config.image_size} pixels have {high} x {wide}",
            where=f"--model {choice.label}",
            next_step="choose a larger image_size",
        )


def check_parts(model: Classifier, request: RunRequest) -> None:
    """Remove the parts that are asked for, and refuse what only a two-stage model can do.

    Raises:
        UsageError: If the model has no such parts, or no mask to add noise to.
    """
    if request.remove_parts:
        remove_parts(model, request.remove_parts)
    if request.mask_samples and not isinstance(model.unmapped, Ifam):
        raise UsageError(
            f"{request.model} has no mask to add noise to",
            where="--mask-samples",
            choices=["a two-stage model, such as ifam-vit-b"],
        )
