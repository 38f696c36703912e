"""A cache of the hub with random weights under the names of timm's smallest published models."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from ifambench.models.timm_import import import_timm

CNN, VIT = "timm:test_resnet.r160_in1k", "timm:test_vit.r160_in1k"


def point_to(monkeypatch, folder: Path) -> None:
    """Use a folder as the hub's cache, offline."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def fill_cache(folder: Path, source: str) -> Path:
    """Put random weights, large enough that images matter, into the cache; returns the file."""
    name = source.removeprefix("timm:")
    repository = folder / f"models--timm--{name}"
    path = repository / "snapshots" / "local" / "model.safetensors"
    path.parent.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("local")
    torch.manual_seed(0)
    network = import_timm().create_model(name)
    with torch.no_grad():
        network.get_classifier().weight.normal_(std=0.5)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path
