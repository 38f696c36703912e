"""The model that one image is explained with, and the names of its classes."""

from __future__ import annotations

import difflib
from pathlib import Path

import torch

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.loaded import RunModel, load_run_model
from ifambench.models.base import Classifier
from ifambench.models.catalog import choose_model
from ifambench.models.load import load_model
from ifambench.models.missing import is_here
from ifambench.models.timm_import import import_timm
from ifambench.records.record import RECORD_FILE, read_record
from ifambench.suites.checks import IMAGENET_CLASSES
from ifambench.suites.labels import IMAGENET, label_set

_LISTED = 20
"""Classes that an error names, at most."""


def named_model(
    name: str, device: torch.device | str, offline: bool = False
) -> tuple[Classifier, list[str]]:
    """A model with weights on the device, and the name of each class.

    Args:
        name: Given weights (`ckpt:`, `hf-hub:`, `timm:`, a published name), or a run folder.
        device: Where to compute.
        offline: Whether weights that are not on this machine are an error.

    Raises:
        UsageError: If there is no such run or model, or it needs the true mask.
        EnvironmentProblem: If weights are missing or damaged.
    """
    run = Path(name)
    folder = run.parent if run.name == RECORD_FILE else run
    if (folder / RECORD_FILE).is_file():
        loaded = _of_run(folder, device)
        model, labels = loaded.model, loaded.record.labels
    else:
        model, labels = _given(name, offline), _labels_beside(name)
        _refuse_true_masks(model)
        model = model.to(device).eval()
    return model, _names(labels, model.num_classes)


def class_index(text: str, names: list[str]) -> int:
    """The class that a name, a WordNet id or an index means.

    Raises:
        UsageError: If there is no such class.
    """
    count = len(names)
    for index, name in enumerate(names):
        if text in (name, *name.removesuffix(")").split(" (")):
            return index
    if text.isascii() and text.isdecimal() and int(text) < count:
        return int(text)
    few = names if count <= _LISTED else []
    close = difflib.get_close_matches(text, names, n=3, cutoff=0.5)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    raise UsageError(
        f'the model has no class "{text}"{hint}',
        where="--target",
        choices=[*few, f"an index from 0 to {count - 1}"],
    )


def _of_run(folder: Path, device: torch.device | str) -> RunModel:
    path, record = folder / "weights.safetensors", read_record(folder)
    if record.model.weights.source == "trained here" and not path.is_file():
        raise EnvironmentProblem(
            "the weights of the run are not stored",
            where=str(path),
            next_step=f"put the file there, or repeat the run: {record.command} --fresh",
        )
    return load_run_model(folder, device, check=_refuse_true_masks)


def _given(name: str, offline: bool) -> Classifier:
    if "/" in name and ":" not in name:
        raise UsageError(
            "there is no run in this folder" if Path(name).is_dir() else "there is no run",
            where=f"--model {name}",
            choices=["a run folder", "ckpt:PATH", "hf-hub:OWNER/REPO", "timm:ARCHITECTURE.TAG"],
            next_step="name a folder that holds run.json",
        )
    source = choose_model(name).source
    if source is None:
        raise UsageError(
            f"{name} is an architecture: it has no weights to explain",
            where="--model",
            choices=["a run folder", "ckpt:PATH", "hf-hub:OWNER/REPO", "timm:ARCHITECTURE.TAG"],
            next_step=f"ifambench run SUITE --model {name}",
        )
    if offline and not is_here(source):
        raise EnvironmentProblem(
            f"the weights {source} are not on this machine",
            where="--offline",
            next_step="give the command once without --offline",
        )
    return load_model(name)


def _labels_beside(model: str) -> list[str]:
    """The labels of the run that a weights file lies in, if it does."""
    path = Path(model.removeprefix("ckpt:")).expanduser()
    folder = path if path.is_dir() else path.parent
    there = model.startswith("ckpt:") and (folder / RECORD_FILE).is_file()
    return read_record(folder).labels if there else []


def _refuse_true_masks(model: Classifier) -> None:
    if "true_masks" in model.capabilities:
        raise UsageError(
            "the model is shown the true object, which a single image does not have",
            where="--model",
            next_step="choose a model that needs no true masks",
        )


def _names(labels: list[str], count: int) -> list[str]:
    if not labels and count == IMAGENET_CLASSES:
        labels = _imagenet_names()
    return [labels[k] if k < len(labels) else f"class {k}" for k in range(count)]


def _imagenet_names() -> list[str]:
    """A word for each class, and its WordNet id."""
    info = import_timm().data.ImageNetInfo(IMAGENET)
    words = [info.index_to_description(k).split(",")[0] for k in range(IMAGENET_CLASSES)]
    return [f"{word} ({key})" for word, key in zip(words, label_set(IMAGENET), strict=True)]
