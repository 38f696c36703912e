from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.backbones import Backbone, find_backbone, load_backbone
from ifambench.models.sizes import SIZES
from ifambench.models.timm_import import import_timm
from ifambench.models.weights import sha256_of
from tests.models.small_ifam import tiny_vit


def given(path: Path, tensors: dict[str, Tensor]) -> Backbone:
    save_file(tensors, path)
    return find_backbone(str(path))


def random_vit(seed: int, **options):
    torch.manual_seed(seed)
    return tiny_vit(**options)


def test_head_and_half_precision(tmp_path: Path) -> None:
    source = random_vit(0, num_classes=7)
    half = {name: tensor.half() for name, tensor in source.state_dict().items()}
    vit = random_vit(1, num_classes=2)
    head = vit.head.weight.clone()
    load_backbone(given(tmp_path / "a.safetensors", half), vit)
    assert torch.equal(vit.head.weight, head)
    assert torch.equal(vit.norm.weight, source.norm.weight)
    assert torch.equal(vit.pos_embed, source.pos_embed.half().float())


@pytest.mark.parametrize("options", [{}, {"no_embed_class": True, "reg_tokens": 4}])
def test_positions_of_another_image_size(options: dict, tmp_path: Path) -> None:
    source, vit = random_vit(0, **options), random_vit(1, img_size=48, **options)
    load_backbone(given(tmp_path / "a.safetensors", source.state_dict()), vit)
    prefix = 0 if options else 1
    assert torch.equal(vit.pos_embed[:, :prefix], source.pos_embed[:, :prefix])
    resample = import_timm().layers.resample_abs_pos_embed
    expected = resample(source.pos_embed, new_size=[6, 6], num_prefix_tokens=prefix)
    assert torch.equal(vit.pos_embed, expected)


def test_norm_behind_the_pooling(tmp_path: Path) -> None:
    source = random_vit(0, class_token=False, global_pool="avg")
    with torch.no_grad():
        source.fc_norm.weight.normal_()
    vit = random_vit(1, class_token=False, global_pool="avg", fc_norm=False)
    load_backbone(given(tmp_path / "a.safetensors", source.state_dict()), vit)
    assert torch.equal(vit.norm.weight, source.fc_norm.weight)


def test_other_architectures(tmp_path: Path) -> None:
    wider = given(tmp_path / "a.safetensors", random_vit(0, embed_dim=64).state_dict())
    with pytest.raises(EnvironmentProblem, match="weights of another size"):
        load_backbone(wider, tiny_vit())
    deeper = given(tmp_path / "b.safetensors", random_vit(0, depth=3).state_dict())
    with pytest.raises(EnvironmentProblem, match=r"foreign tensor blocks\.2"):
        load_backbone(deeper, tiny_vit())


def test_timm_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(tiny_vit().state_dict(), file)
    asked = []

    def local(repository: str, name: str) -> Path:
        asked.append(f"{repository}/{name}")
        return file

    monkeypatch.setattr("ifambench.models.backbones.download", local)
    names = [size.pretrained for size in SIZES.values() if size.architecture]
    for name in names:
        assert find_backbone(name) == Backbone(name, file, sha256_of(file), None)
    assert asked == [f"timm/{name.removeprefix('timm:')}/model.safetensors" for name in names]


def test_timm_names_of_no_vision_transformer() -> None:
    with pytest.raises(UsageError, match=r"resnet50\.a1_in1k is no vision transformer"):
        find_backbone("timm:resnet50.a1_in1k")
    with pytest.raises(UsageError, match=r'no pretrained weights "vit_huge\.none"'):
        find_backbone("timm:vit_huge.none")
