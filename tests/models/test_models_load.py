import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import ifambench
from ifambench.errors import UsageError
from ifambench.models.timm_import import import_timm
from ifambench.models.vit import check_image_size, check_vit
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


def given(tmp_path: Path, name: str = "snapshot_best.pt") -> str:
    torch.save({"model_state": published_state(tiny_ifam())}, tmp_path / name)
    return f"ckpt:{tmp_path / name}"


def test_given_weights_say_what_they_are(tmp_path: Path) -> None:
    source = given(tmp_path)
    assert ifambench.load_model(source, num_parts=4, image_size=32, num_classes=3).num_classes == 3
    for option, text in {
        "num_parts": "4 parts, not 8",
        "image_size": "images of 32 pixels",
    }.items():
        with pytest.raises(UsageError, match=text):
            ifambench.load_model(source, **{option: 8})
    for option in ("pretrained", "colour"):
        with pytest.raises(UsageError, match=f"has no option {option}"):
            ifambench.load_model(source, **{option: True})


def test_given_weights_with_soft_masks(tmp_path: Path) -> None:
    source = given(tmp_path)
    hard, soft = ifambench.load_model(source), ifambench.load_model(source, mask_gradient="soft")
    images = some_images(hard)
    with torch.no_grad():
        assert torch.equal(hard.part_maps(images), soft.part_maps(images))
        assert not torch.equal(hard.logits(images), soft.logits(images))
    with pytest.raises(UsageError, match='no mask_gradient "smooth"'):
        ifambench.load_model(source, mask_gradient="smooth")


@pytest.mark.parametrize("name", ["snapshot_best.pt", "weights.safetensors", "model.safetensors"])
def test_weights_in_a_folder(tmp_path: Path, name: str) -> None:
    if name.endswith(".pt"):
        given(tmp_path, name)
    else:
        save_file(published_state(tiny_ifam()), tmp_path / name)
    assert ifambench.load_model(f"ckpt:{tmp_path}").num_classes == 3


def test_a_path_without_its_scheme(tmp_path: Path) -> None:
    path = given(tmp_path).removeprefix("ckpt:")
    with pytest.raises(UsageError) as caught:
        ifambench.load_model(path)
    assert caught.value.next_step == f"weights are named with their scheme: ckpt:{path}"


def test_options_that_an_architecture_does_not_have() -> None:
    with pytest.raises(UsageError, match="vit-micro has no option num_parts"):
        ifambench.load_model("vit-micro", num_classes=2, num_parts=8)
    with pytest.raises(UsageError, match="num_classes is 0"):
        ifambench.load_model("vit-micro", num_classes=0)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(3, 32, 32),
        torch.zeros(2, 1, 32, 32),
        torch.zeros(2, 32, 32, 3),
    ],
)
def test_what_is_no_batch_of_images(images: torch.Tensor) -> None:
    for ask in (tiny_ifam().logits, tiny_ifam().selection, tiny_ifam().part_maps):
        with pytest.raises(UsageError, match=r"normalised images \(B, 3, H, W\)"):
            ask(images)


def test_hybrids_are_refused() -> None:
    timm = import_timm()
    hybrid = timm.create_model("vit_tiny_r_s16_p8_224", num_classes=2)
    with pytest.raises(UsageError, match="patches cannot be dropped"):
        check_vit(hybrid)
