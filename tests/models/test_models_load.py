import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import ifambench
from ifambench.errors import UsageError
from ifambench.models.vit import check_image_size
from tests.models.small_ifam import published_state, some_images, tiny_ifam


def test_given_weights(tmp_path: Path) -> None:
    model = tiny_ifam()
    save_file(published_state(model), tmp_path / "a.safetensors")
    found = ifambench.load_model(f"ckpt:{tmp_path / 'a.safetensors'}")
    images = some_images(found)
    assert found.logits(images).shape == (5, 3)
    assert found.selection(images).dtype is torch.bool
    assert found.selection(images).shape == (5, 4, 4)
    assert found.part_maps(images).shape == (5, 5, 4, 4)
    assert not found.training


def test_architectures() -> None:
    model = ifambench.load_model(
        "ifam-vit-micro", num_classes=7, image_size=64, num_parts=2, mask_gradient="soft"
    )
    assert model.num_classes == 7
    assert model.part_maps(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 8, 8)
    start = ifambench.load_model("vit-micro", num_classes=2, image_size=64, pretrained=True)
    by_name = ifambench.load_model(
        "vit-micro", num_classes=2, image_size=64, pretrained="maskfeat-waterdigits"
    )
    assert torch.equal(start.vit.pos_embed, by_name.vit.pos_embed)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="how many classes"):
        ifambench.load_model("vit-b")
    with pytest.raises(UsageError, match="give them as options"):
        ifambench.load_model("ifam-vit-b@num_parts=8", num_classes=2)
    with pytest.raises(
        UsageError, match="patches of 14 pixels do not tile images of 225"
    ) as caught:
        ifambench.load_model("ifam-vit-s", num_classes=2, image_size=225)
    assert caught.value.choices == ("224", "238")


@pytest.mark.parametrize(("size", "nearest"), [(1, ("14", "28")), (27, ("14", "28"))])
def test_nearest_sizes(size: int, nearest: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        check_image_size(size, 14)
    assert caught.value.choices == nearest


def test_import_without_torch() -> None:
    code = "import sys, ifambench; ifambench.load_model; print('torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
