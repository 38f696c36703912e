import pytest
import torch
from safetensors.torch import save_file

from ifambench import load_model
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.base import DataConfig
from ifambench.models.catalog import choose_model
from ifambench.models.checkpoints import given_sha256
from ifambench.models.missing import is_here, missing_weights
from ifambench.models.off_the_shelf import (
    OffTheShelf,
    _classifier,
    data_config_of,
    known_config,
    patch_side,
)
from ifambench.models.timm_import import import_timm
from ifambench.models.timm_vit import TimmVit
from ifambench.models.vit import micro_vit
from ifambench.models.weights import sha256_of
from tests.models.timm_cache import CNN, VIT, fill_cache, point_to


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    return folder, {source: fill_cache(folder, source) for source in (CNN, VIT)}


@pytest.fixture(autouse=True)
def offline(monkeypatch, cache):
    point_to(monkeypatch, cache[0])


def images(n=3):
    return torch.randn(n, 3, 160, 160, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("source", "kind"), [(CNN, OffTheShelf), (VIT, TimmVit)])
def test_the_logits_are_timms(cache, source, kind):
    model = load_model(source)
    name, path = source.removeprefix("timm:"), cache[1][source]
    overlay = {"file": str(path)}
    timms = import_timm().create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    with torch.inference_mode():
        found, expected = model.logits(images()), timms.eval()(images())
    assert type(model) is kind
    assert not model.training
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert found.std() > 0.1
    assert given_sha256(source) == sha256_of(path)


def test_the_input_is_that_of_the_weights():
    assert load_model(CNN).data_config == DataConfig(
        160, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 0.95, "bilinear", "center"
    )
    assert load_model(VIT).data_config.interpolation == "bicubic"


def test_what_a_plain_vit_can_do():
    model = load_model(VIT)
    assert model.capabilities == {"tokens", "trace", "relprop"}
    assert model.patch_grid == (10, 10)
    keep = torch.ones(3, 10, 10, dtype=torch.bool)
    with torch.inference_mode():
        whole = model.logits(images())
        torch.testing.assert_close(model.logits_from_patches(images(), keep), whole)
        torch.testing.assert_close(model.trace(images()).logits, whole, rtol=0, atol=1e-4)


def test_a_cnn_shows_its_feature_maps():
    model = load_model(CNN)
    assert model.capabilities == {"conv"}
    with torch.inference_mode():
        features, logits = model.conv_features(images())
        torch.testing.assert_close(logits, model.logits(images()), rtol=0, atol=1e-5)
    assert features.shape == (3, model.network.num_features, 5, 5)
    assert model.patch_grid == (10, 10)
    with pytest.raises(UsageError, match='no capability "tokens"'):
        model.logits_from_patches(images(), torch.ones(3, 10, 10, dtype=torch.bool))
    with pytest.raises(UsageError, match="160 x 160"):
        model.logits(images()[..., :150])


@pytest.mark.parametrize(
    ("architecture", "able"),
    [
        ("test_resnet", True),
        ("test_efficientnet", True),
        ("test_convnext", True),
        ("mobilenetv3_small_050", True),  # its head begins with a convolution
        ("test_vit2", False),
        ("swin_s3_tiny_224", False),  # channels last
        ("mixer_s32_224", False),
    ],
)
def test_feature_maps_are_those_of_networks_that_have_them(architecture, able):
    size = 64 if able else 160 if "test" in architecture else 224
    network = import_timm().create_model(architecture, num_classes=3)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    model = OffTheShelf(network, DataConfig(size))
    assert network.training
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert model.capabilities == ({"conv"} if able else set())
    if not able:
        with pytest.raises(UsageError, match='no capability "conv"'):
            model.conv_features(torch.zeros(1, 3, size, size))


@pytest.mark.parametrize("block", ["Block", "ResPostBlock", "ParallelScalingBlock"])
def test_only_plain_blocks_are_traced(block):
    blocks = import_timm().models.vision_transformer
    network = micro_vit(32, num_classes=3, block_fn=getattr(blocks, block)).eval()
    model = _classifier(network, DataConfig(32))
    assert type(model) is (TimmVit if block == "Block" else OffTheShelf)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(image), network(image))


@pytest.mark.parametrize("size", [160, 224, 240, 288, 299, 331, 384])
def test_patches_tile_the_image(size):
    assert size % patch_side(size) == 0


def test_every_published_imagenet_classifier_has_a_known_input():
    timm = import_timm()
    for name in timm.list_pretrained():
        config = timm.models.get_pretrained_cfg(name)
        if config.num_classes == 1000 and config.hf_hub_id:
            assert data_config_of(config, name).image_size > 0


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:resnet50", "no pretrained weights"),
        ("timm:nothing.a1", "no pretrained weights"),
        ("timm:vit_base_patch14_dinov2.lvd142m", "no classifier"),
    ],
)
def test_names_that_are_no_classifier(source, message):
    with pytest.raises(UsageError, match=message) as caught:
        load_model(source)
    assert caught.value.next_step


def test_weights_that_are_not_in_the_cache():
    with pytest.raises(EnvironmentProblem, match="cannot be downloaded") as caught:
        load_model("timm:resnet18.a1_in1k")
    assert caught.value.where == "timm:resnet18.a1_in1k"
    assert "online once" in caught.value.next_step


def test_damaged_weights(monkeypatch, tmp_path):
    path = fill_cache(tmp_path, CNN)
    point_to(monkeypatch, tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EnvironmentProblem, match="not a whole safetensors file"):
        load_model(CNN)
    save_file({"conv.weight": torch.zeros(3)}, path)
    with pytest.raises(EnvironmentProblem, match="weights of another model"):
        load_model(CNN)


def test_a_name_is_given_weights():
    choice = choose_model(CNN)
    assert (choice.method, choice.labels_needed) == ("given", "unknown")
    assert choice.folder == "timm-test_resnet.r160_in1k"
    assert choice.label == CNN


def test_what_is_missing(tmp_path):
    assert missing_weights(choose_model(CNN), "scratch") == []
    lacking = "timm:resnet18.a1_in1k"
    assert missing_weights(choose_model(lacking), "scratch") == [f"weights {lacking}"]
    backbone = "timm:vit_base_patch14_reg4_dinov2.lvd142m"
    assert missing_weights(choose_model("vit-b"), "scratch") == []
    assert missing_weights(choose_model("vit-b"), "pretrained") == [f"weights {backbone}"]
    assert missing_weights(choose_model("ifam-vit-b"), "scratch") == [f"weights {backbone}"]
    assert missing_weights(choose_model("vit-micro"), "pretrained") == []
    assert not is_here(f"ckpt:{tmp_path / 'none.pt'}")
    assert not is_here("hf-hub:nobody/nothing")


def test_configuration_of_a_known_model():
    assert known_config(CNN).hf_hub_id == "timm/test_resnet.r160_in1k"
