"""Ours against the published forward pass, from tensors in the published layout."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ifambench.models.checkpoints import build_given
from ifambench.models.ifam import Ifam
from ifambench.models.interventions import Interventions
from tests.models.small_ifam import (
    BACKBONES,
    published_forward,
    published_state,
    some_images,
    tiny_ifam,
)

FIXTURES = os.environ.get("IFAMBENCH_FIXTURES")


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def in_double(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The formulas are compared without fp32's rounding, which depends on the order of sums."""
    return {name: tensor.double() for name, tensor in state.items()}


def ours_of(model: Ifam, images: Tensor, removed: tuple[int, ...]) -> dict[str, Tensor]:
    with torch.no_grad():
        parts = model.stage_1(model.stage_1.tokens(images))
        found = {
            "part_maps": model.part_maps(images),
            "mask": model.selection(images).float(),
            "logits": model.logits(images),
            "part_features": parts.features,
            "stage1_part_logits": parts.part_logits.transpose(1, 2),
        }
        model.interventions = Interventions(remove_parts=removed)
        found["logits_without_parts_0_1"] = model.logits(images)
        model.interventions, model.mask_gradient = Interventions(), "soft"
        return found | {"logits_soft_mask": model.logits(images)}


@pytest.mark.skipif(FIXTURES is None, reason="IFAMBENCH_FIXTURES names no folder with ifam_k4")
def test_numbers_of_the_published_code() -> None:
    folder = Path(str(FIXTURES)) / "ifam_k4"
    expected = load_file(folder / "io.safetensors")
    images = expected.pop("images")
    model = build_given(2, f"ckpt:{folder / 'snapshot_best.pt'}")
    assert isinstance(model, Ifam)
    found = ours_of(model, images, (0, 1))
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        torch.testing.assert_close(found[name], theirs, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b != "averaged-head"])
@pytest.mark.parametrize("num_parts", [1, 4])
def test_formulas(backbone: str, num_parts: int, tmp_path: Path) -> None:
    state = published_state(tiny_ifam(num_parts, **BACKBONES[backbone]))
    torch.save({"model_state": state, "finished_epoch": 3}, tmp_path / "snapshot_best.pt")
    model = build_given(3, f"ckpt:{tmp_path / 'snapshot_best.pt'}")
    assert isinstance(model, Ifam)
    model.double()
    images, state = some_images(model).double(), in_double(state)
    removed = (0, 1)[:num_parts]
    ours = ours_of(model, images, removed)
    theirs = published_forward(state, images, heads=2)
    assert 0 < theirs["mask"].float().mean() < 1
    assert torch.equal(ours["mask"] > 0, theirs["mask"])
    assert_close(ours["part_maps"], theirs["maps"])
    assert_close(ours["part_features"], theirs["features"])
    assert_close(ours["stage1_part_logits"], theirs["part_logits"])
    assert_close(ours["logits"], theirs["logits"])
    assert_close(ours["logits_soft_mask"], theirs["soft_logits"])
    without = published_forward(state, images, heads=2, removed=removed)["logits"]
    assert_close(ours["logits_without_parts_0_1"], without)


def test_image_of_518_pixels(tmp_path: Path) -> None:
    options = BACKBONES["patch-14"] | {"img_size": 518, "reg_tokens": 4, "depth": 1}
    state = published_state(tiny_ifam(8, classes=2, **options))
    torch.save(state, tmp_path / "bare.pt")
    model = build_given(2, f"ckpt:{tmp_path / 'bare.pt'}")
    assert model.patch_grid == (37, 37)
    assert model.num_prefix_tokens == 5
    images = some_images(model, 1).double()
    with torch.no_grad():
        theirs = published_forward(in_double(state), images, heads=2)["logits"]
        assert_close(model.double().logits(images), theirs)
