"""Grad-CAM and NormGrad on ViTs and CNNs, against plain definitions and pytorch-grad-cam."""

import pytest
import torch
import torch.nn.functional as F

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, default_explainers, relevance_of
from ifambench.explain.methods.cam_layer import resized
from ifambench.models.base import DataConfig
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.off_the_shelf import OffTheShelf
from ifambench.models.timm_import import import_timm
from tests.explain.methods.traced_models import ALL, IDS, TARGETS, explain, slowly
from tests.models.small_models import lively, vit

CONTEXT = ExplainContext(IDS)


def cnn(side: int = 64, architecture: str = "resnet18", num_classes: int = 3) -> OffTheShelf:
    """Random weights; the last maps are side / 32 wide, the patch grid side / 16."""
    torch.manual_seed(0)
    network = import_timm().create_model(architecture, num_classes=num_classes)
    with torch.no_grad():
        network.get_classifier().weight.normal_(std=0.5)
    return OffTheShelf(network, DataConfig(side)).eval()


def pixels(side: int = 64) -> torch.Tensor:
    return torch.randn(5, 3, side, side, generator=torch.Generator().manual_seed(2))


def of_cnn(name: str, model=None, side: int = 64) -> torch.Tensor:
    model = cnn(side) if model is None else model
    return relevance_of(name, model, pixels(side), TARGETS, CONTEXT)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", ["grad-cam", "normgrad"])
def test_on_a_vit_one_image_at_a_time(kind, name):
    model = ALL[kind]()
    prefix = model.num_prefix_tokens
    for found, one in zip(explain(model, name), slowly(model), strict=True):
        (gradient,) = torch.autograd.grad(one.target, one.before)
        tokens, slope = one.before.detach()[0, prefix:], gradient[0, prefix:]
        if name == "grad-cam":
            expected = tokens @ slope.mean(0)
        else:
            expected = tokens.norm(dim=1) * slope.norm(dim=1)
        assert expected.std() > 0
        torch.testing.assert_close(found[one.keep], expected, atol=1e-5, rtol=1e-4)


def maps_and_weights(model: OffTheShelf, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Behind the last maps of a ResNet are a mean and a linear layer: the gradient is known."""
    with torch.no_grad():
        features = model.network.forward_features(pixels(side))
    weights = model.network.get_classifier().weight.detach()[TARGETS]
    return features, weights / features[0, 0].numel()


@pytest.mark.parametrize("side", [64, 96])
def test_grad_cam_of_a_cnn_is_its_class_activation_map(side):
    features, weights = maps_and_weights(cnn(side), side)
    expected = torch.einsum("bdhw,bd->bhw", features, weights)
    assert expected.shape == (5, side // 32, side // 32)
    expected = F.interpolate(expected[:, None], size=side // 16, mode="bilinear")[:, 0]
    found = of_cnn("grad-cam", side=side)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert found.min() < 0 < found.max()  # signed


def test_grad_cam_of_a_cnn_adds_up_to_the_logit():
    features, weights = maps_and_weights(cnn(), 64)
    coarse = torch.einsum("bdhw,bd->bhw", features, weights)
    with torch.no_grad():
        logits = cnn().logits(pixels()).gather(1, TARGETS[:, None])[:, 0]
    bias = cnn().network.get_classifier().bias.detach()[TARGETS]
    torch.testing.assert_close(coarse.sum((1, 2)), logits - bias, atol=1e-4, rtol=1e-4)


def test_normgrad_of_a_cnn():
    features, weights = maps_and_weights(cnn(), 64)
    expected = features.norm(dim=1) * weights.norm(dim=1)[:, None, None]
    expected = F.interpolate(expected[:, None], size=4, mode="bilinear")[:, 0]
    torch.testing.assert_close(of_cnn("normgrad"), expected, atol=1e-5, rtol=1e-4)


def test_maps_of_the_grids_size_stay_as_they_are():
    maps = torch.rand(2, 3, 4)
    assert resized(maps, (3, 4)) is maps
    constant = torch.full((1, 2, 2), 0.7)
    torch.testing.assert_close(resized(constant, (5, 5)), torch.full((1, 5, 5), 0.7))
    fine = torch.zeros(1, 8, 8)
    fine[0, 0, 0] = 1
    assert resized(fine, (2, 2))[0, 0, 0] > 0  # no cell is skipped


@pytest.mark.parametrize("architecture", ["test_efficientnet", "test_convnext"])
@pytest.mark.parametrize("name", ["grad-cam", "normgrad"])
def test_other_cnns_frozen_or_in_inference_mode(architecture, name):
    model = cnn(64, architecture)
    expected = of_cnn(name, model)
    assert expected.shape == (5, 4, 4)
    assert expected.std() > 0
    for parameter in model.parameters():
        assert parameter.grad is None
        parameter.requires_grad_(False)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    with torch.inference_mode():
        found = of_cnn(name, model).clone()
    assert model.training
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    for k in range(5):
        context = ExplainContext([IDS[k]])
        one = relevance_of(name, model, pixels()[[k]], TARGETS[[k]], context)
        torch.testing.assert_close(one[0], expected[k], atol=1e-5, rtol=1e-4)


def test_labels_of_several_classes_on_a_cnn():
    model = cnn(num_classes=7)
    labels = Mapped(model, LabelMap(((0, 3), (1, 2, 6), (4, 5)), "members"))
    with torch.no_grad():
        raw = model.logits(pixels())
    members = [labels.label_map.members[t] for t in TARGETS.tolist()]
    classes = torch.tensor(
        [max(part, key=lambda c, k=k: float(raw[k, c])) for k, part in enumerate(members)]
    )
    found = relevance_of("grad-cam", labels, pixels(), TARGETS, CONTEXT)
    torch.testing.assert_close(found, relevance_of("grad-cam", model, pixels(), classes, CONTEXT))


def test_a_cnn_is_explained_by_grad_cam_unless_told_otherwise():
    assert default_explainers(cnn()) == ["grad-cam", "random"]


def test_a_network_without_maps_or_tokens_is_refused():
    network = import_timm().create_model("mixer_s32_224", num_classes=3)
    model = OffTheShelf(network, DataConfig(224))
    with pytest.raises(UsageError, match=r'needs .* "trace or conv"') as caught:
        relevance_of("grad-cam", model, torch.zeros(1, 3, 224, 224), TARGETS[:1], CONTEXT)
    assert "random" in caught.value.choices
    assert "normgrad" not in caught.value.choices


def theirs(model, layer, side: int, reshape=None):
    """What pytorch-grad-cam shows: ReLU, scaled to [0, 1] and resized to the image."""
    cam = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    wanted = [ClassifierOutputTarget(int(t)) for t in TARGETS]
    with cam.GradCAM(model=model, target_layers=[layer], reshape_transform=reshape) as explainer:
        return explainer(input_tensor=pixels(side), targets=wanted)


def shown(maps: torch.Tensor, side: int):
    """A signed map in the same form, by their own scaling."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    once = scale_cam_image(maps.relu().numpy(), (side, side))
    return scale_cam_image(once)


def test_grad_cam_of_a_vit_equals_pytorch_grad_cam():
    model = vit(reg_tokens=4)

    def on_grid(tokens):
        return tokens[:, 5:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)

    expected = theirs(model.vit, model.vit.blocks[-1].norm1, 32, on_grid)
    found = relevance_of("grad-cam", model, pixels(32), TARGETS, CONTEXT)
    assert abs(shown(found, 32) - expected).max() < 1e-5
    assert expected.max() > 0.9


def test_grad_cam_of_a_cnn_equals_pytorch_grad_cam():
    model = lively_head(cnn())
    expected = theirs(model.network, model.network.layer4[-1], 64)
    features, weights = maps_and_weights(model, 64)
    coarse = torch.einsum("bdhw,bd->bhw", features, weights)
    found = relevance_of("grad-cam", model, pixels(), TARGETS, CONTEXT)
    torch.testing.assert_close(found, resized(coarse, (4, 4)), atol=1e-5, rtol=1e-4)
    assert abs(shown(coarse, 64) - expected).max() < 1e-5
    assert expected.max() > 0.9


def lively_head(model: OffTheShelf) -> OffTheShelf:
    """The maps of a ResNet are never negative: a head of both signs makes signed maps."""
    lively(model.network.get_classifier())
    return model
