import pytest
import torch
from torch import nn

from ifambench.errors import UsageError
from ifambench.models.base import DataConfig
from ifambench.models.catalog import MODEL_REGISTRY, build_model, choose_model
from ifambench.models.sizes import SIZES, nearest_tiled
from ifambench.models.timm_import import import_timm
from ifambench.models.timm_vit import TimmVit, build_oracle_vit, build_vit, build_vit_gap
from ifambench.suites.catalog import load_suite
from tests.models.small_models import CLASSES, SIDE, images, lively

FAMILIES = ["vit", "vit-gap", "oracle-vit", "late-vit", "pdiscoformer-vit"]
FAMILIES += ["gradcam-vit", "rollout-vit", "ifam-vit"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_every_family_comes_in_every_size(family: str, size: str) -> None:
    choice = choose_model(f"{family}-{size}")
    assert choice.entry.info["size"] == size
    assert choice.pretrained == SIZES[size].pretrained


@pytest.mark.parametrize(
    ("asked", "patch", "found"), [(224, 16, 224), (512, 14, 518), (256, 14, 252), (3, 8, 8)]
)
def test_the_nearest_size_that_patches_tile(asked: int, patch: int, found: int) -> None:
    assert nearest_tiled(asked, patch) == found


def test_a_size_of_the_suite_is_taken_to_whole_patches_and_one_of_the_name_is_not() -> None:
    suite = load_suite("waterdigits").suite.model_copy(update={"image_size": 60})
    assert build_model(choose_model("vit-micro"), suite, {}).data_config.image_size == 64
    of_recipe = build_model(choose_model("vit-micro"), suite, {"image_size": 50})
    assert of_recipe.data_config.image_size == 48
    with pytest.raises(UsageError, match="do not tile"):
        build_model(choose_model("vit-micro@image_size=50"), suite, {"image_size": 50})


@pytest.mark.parametrize("build", [build_vit, build_oracle_vit])
def test_micro_starts_from_the_same_weights_as_ever(build) -> None:
    torch.manual_seed(7)
    found = build(num_classes=2, image_size=64).state_dict()
    torch.manual_seed(7)
    expected = import_timm().models.vision_transformer.VisionTransformer(
        img_size=64, patch_size=8, embed_dim=64, depth=3, num_heads=2, num_classes=2
    )
    assert found.keys() == {f"vit.{name}" for name in expected.state_dict()}
    assert all(torch.equal(found[f"vit.{k}"], v) for k, v in expected.state_dict().items())


def test_the_patch_mean_is_taken_after_the_norm() -> None:
    model = lively(build_vit_gap(CLASSES, SIDE))
    with torch.no_grad():
        tokens = model.vit.norm(
            model.vit.blocks(model.vit._pos_embed(model.vit.patch_embed(images())))
        )
        expected = model.vit.head(tokens[:, 1:].mean(1))
        torch.testing.assert_close(model.logits(images()), expected)
    assert model.state_dict().keys() == build_vit(CLASSES, SIDE).state_dict().keys()


def test_a_tiny_vit_is_that_of_timm() -> None:
    model = build_vit(num_classes=2, image_size=32, size="ti")
    assert (model.patch_grid, model.vit.embed_dim) == ((2, 2), 192)
    assert model.data_config == DataConfig(32, (0.5,) * 3, (0.5,) * 3)


def test_registers_and_normalisation_of_dinov2() -> None:
    model = build_vit_gap(num_classes=2, image_size=28, size="s")
    assert (model.patch_grid, model.num_prefix_tokens) == ((2, 2), 5)
    assert model.data_config.mean == SIZES["s"].mean
    with torch.no_grad():
        assert model.logits(torch.zeros(1, 3, 28, 28)).shape == (1, 2)


@pytest.mark.parametrize("name", ["vit-ti", "late-vit-ti", "gradcam-vit-ti", "pdiscoformer-vit-ti"])
def test_an_image_size_that_patches_do_not_tile_is_refused(name: str) -> None:
    entry = MODEL_REGISTRY.entry(name)
    with pytest.raises(UsageError, match="16 pixels do not tile images of 40") as caught:
        entry.load()(num_classes=2, image_size=40, size=entry.info["size"])
    assert caught.value.choices == ("32", "48")


def test_a_cnn_is_refused() -> None:
    with pytest.raises(UsageError, match="not a vision transformer"):
        TimmVit(nn.Conv2d(3, 8, 3), DataConfig(SIDE))
