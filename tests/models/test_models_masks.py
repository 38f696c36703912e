import pytest
import torch
from torch import Tensor

from ifambench.errors import UsageError
from ifambench.models.ifam import Ifam, Predictor, Selector
from ifambench.models.masks import drop_parts, foreground_mask, gumbel_noise, straight_through_mask
from ifambench.models.timm_import import import_timm
from tests.models.small_ifam import BACKBONES, CLASSES, PARTS, some_images, tiny_ifam, tiny_vit


def stage_2_loss(model: Ifam, images: Tensor, **drawn: Tensor) -> Tensor:
    model.train()
    parts = model.stage_1(model.stage_1.tokens(images))
    mask = model.training_mask(parts.scores, **drawn)
    y = torch.arange(len(images)) % CLASSES
    return torch.nn.functional.cross_entropy(model.masked_logits(images, mask), y)


@pytest.mark.parametrize("mask_gradient", ["straight-through", "soft"])
def test_stage_2_moves_the_prototypes(mask_gradient: str) -> None:
    model = tiny_ifam(mask_gradient=mask_gradient)
    stage_2_loss(model, some_images(model)).backward()
    gradient = model.stage_1.fc_landmarks.weight.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).norm(dim=1) > 0).all()


def test_detached_stage_2_moves_nothing_in_stage_1() -> None:
    model = tiny_ifam()
    stage_2_loss(model, some_images(model)).backward()
    assert all(p.grad is None for p in model.stage_1.parameters())
    assert all(p.grad is not None for p in model.stage_2.head.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_straight_through_is_the_hard_mask_forward(backbone: str) -> None:
    model = tiny_ifam(mask_gradient="straight-through", **BACKBONES[backbone])
    images = some_images(model)
    with torch.no_grad():
        scores = model.stage_1.scores(model.stage_1.tokens(images))
        mask = model.training_mask(scores)
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        soft_path = model.masked_logits(images, mask)
        dropped = model.logits_from_patches(images, mask.bool())
    torch.testing.assert_close(soft_path, dropped, atol=1e-5, rtol=0)
    torch.testing.assert_close(dropped, model.logits(images), atol=1e-5, rtol=0)


def test_straight_through_reaches_selected_and_unselected_patches() -> None:
    model = tiny_ifam(mask_gradient="straight-through")
    images = some_images(model)
    mask = model.selection(images).float().requires_grad_()
    (gradient,) = torch.autograd.grad(model.masked_logits(images, mask)[:, 0].sum(), mask)
    assert (gradient != 0).all()


def test_straight_through_gradient_is_the_slope() -> None:
    model = tiny_ifam(mask_gradient="straight-through").double()
    images = some_images(model, 1).double()
    mask = model.selection(images).double()
    assert torch.autograd.gradcheck(
        lambda m: model.masked_logits(images, m), mask.requires_grad_(), eps=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("mask_gradient", ["straight-through", "soft", "detached"])
@pytest.mark.parametrize("class_token", [True, False])
def test_empty_masks_are_finite(mask_gradient: str, class_token: bool) -> None:
    options = {} if class_token else {"class_token": False, "global_pool": "avg"}
    model = tiny_ifam(mask_gradient=mask_gradient, **options)
    images = some_images(model)
    dropped = torch.zeros(5, PARTS, dtype=torch.bool)
    dropped[:3] = True
    loss = stage_2_loss(model, images, dropped=dropped)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_evaluation_does_not_depend_on_how_the_hard_mask_was_trained() -> None:
    one, other = tiny_ifam(), tiny_ifam(mask_gradient="straight-through")
    images = some_images(one)
    assert torch.equal(one.logits(images), other.logits(images))


def test_temperature_divides_scores_and_noise() -> None:
    model = tiny_ifam(temperature=0.5)
    scores = torch.randn(2, 5, 3, 3)
    noise = gumbel_noise((2, 5, 3, 3), torch.Generator().manual_seed(0))
    expected = ((scores + noise) * 2).softmax(1)
    torch.testing.assert_close(model.stage_1.maps(scores, noise), expected)


def test_dropped_parts_leave_the_other_probabilities() -> None:
    maps = torch.rand(2, 4, 3, 3).softmax(1)
    dropped = torch.tensor([[True, False, False], [False, False, False]])
    found = drop_parts(maps, dropped, 0.3)
    torch.testing.assert_close(found[0, 1:], maps[0, 1:])
    torch.testing.assert_close(found[1], maps[1])
    assert not found[0, 0].any()


def test_dropped_parts_are_missing_in_stage_1() -> None:
    model = tiny_ifam()
    tokens = model.stage_1.tokens(some_images(model))
    dropped = torch.zeros(5, PARTS, dtype=torch.bool)
    dropped[:, 1] = True
    whole, without = model.stage_1(tokens), model.stage_1(tokens, dropped=dropped)
    scale = 1 / (1 - model.stage_1.part_dropout)
    assert not without.part_logits[:, 1].any()
    torch.testing.assert_close(without.part_logits[:, 0], whole.part_logits[:, 0] * scale)
    torch.testing.assert_close(without.logits, without.part_logits.mean(1))


def test_mask_gradient_is_that_of_the_sum_of_the_parts() -> None:
    maps = torch.rand(1, 4, 2, 2).softmax(1).requires_grad_()
    mask = straight_through_mask(maps)
    assert torch.equal(mask, foreground_mask(maps).float())
    (gradient,) = torch.autograd.grad(mask.sum(), maps)
    expected = torch.ones(1, 4, 2, 2)
    expected[:, -1] = 0
    assert torch.equal(gradient, expected)


def test_noise_is_standard_gumbel() -> None:
    noise = gumbel_noise((40, 5, 16, 16), torch.Generator().manual_seed(0))
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert noise.var().item() == pytest.approx(torch.pi**2 / 6, abs=0.05)


def test_noise_of_an_image_does_not_depend_on_the_batch() -> None:
    few = gumbel_noise((2, 5, 4, 4), torch.Generator().manual_seed(0))
    many = gumbel_noise((6, 5, 4, 4), torch.Generator().manual_seed(0))
    assert torch.equal(few, many[:2])


def test_sampled_masks_keep_patches_by_their_foreground_probability() -> None:
    model = tiny_ifam()
    images = some_images(model, 2)
    with torch.no_grad():
        tokens = model.stage_1.tokens(images)
        model.stage_1.fc_landmarks.weight.mul_(0.2)  # softer maps: more patches that can flip
        foreground = model.select_from(tokens).foreground
        generator = torch.Generator().manual_seed(0)
        drawn = [
            model.select_from(tokens, gumbel_noise((2, PARTS + 1, 4, 4), generator)).mask
            for _ in range(3000)
        ]
    # the maximum of K parts against the background: kept with the probability of any part
    kept = torch.stack(drawn).float().mean(0)
    assert (kept - foreground).abs().max() < 0.05
    assert ((foreground > 0.1) & (foreground < 0.9)).any()


def test_sampling_is_repeatable() -> None:
    model = tiny_ifam()
    images = some_images(model)
    one, two, other = (
        model.sample_select(images, torch.Generator().manual_seed(seed)).part_maps
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_soft_masks_stay_soft_at_evaluation() -> None:
    soft, hard = tiny_ifam(mask_gradient="soft"), tiny_ifam()
    images = some_images(soft)
    with torch.no_grad():
        assert torch.equal(soft.selection(images), hard.selection(images))
        assert (soft.logits(images) - hard.logits(images)).abs().max() > 1e-4
        trace = soft.trace(images)
        torch.testing.assert_close(trace.logits, soft.logits(images), atol=1e-5, rtol=0)
        assert trace.attention[0].shape[-1] == 17


@pytest.mark.parametrize("mask_gradient", ["detached", "straight-through", "soft"])
def test_half_precision(mask_gradient: str) -> None:
    model = tiny_ifam(mask_gradient=mask_gradient)
    images = some_images(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts = model.stage_1(model.stage_1.tokens(images))
        loss = stage_2_loss(model, images)
    assert parts.scores.dtype is torch.float32
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_average_head_reads_the_selected_patches() -> None:
    model = tiny_ifam(class_token=False, global_pool="avg")
    assert model.stage_2.pooling == "avg"
    images = some_images(model)
    with torch.no_grad():
        trace = model.trace(images)
        torch.testing.assert_close(trace.logits, model.logits(images), atol=1e-5, rtol=0)
    torch.testing.assert_close(trace.readout.sum(1), torch.ones(5))


def test_refuses_what_is_no_vision_transformer() -> None:
    cnn = import_timm().create_model("resnet10t", num_classes=0)
    with pytest.raises(UsageError, match="ResNet is not a vision transformer"):
        Selector(cnn, PARTS, CLASSES)
    with pytest.raises(UsageError, match="ResNet is not a vision transformer"):
        Predictor(cnn, CLASSES)


def test_needs_a_class_token_or_average_pooling() -> None:
    vit = tiny_vit(class_token=False, global_pool="map")
    Selector(vit, PARTS, CLASSES)
    with pytest.raises(UsageError, match="reads the class token, and its backbone has none"):
        Predictor(vit, CLASSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_parts": 0}, "num_parts is 0"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"mask_gradient": "hard"}, 'no mask_gradient "hard"'),
    ],
)
def test_refuses_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tiny_ifam(**options)


def test_weighted_attention_needs_ordinary_blocks() -> None:
    blocks = import_timm().models.vision_transformer.ResPostBlock
    model = tiny_ifam(mask_gradient="straight-through", block_fn=blocks)
    with pytest.raises(UsageError, match="ResPostBlock"):
        stage_2_loss(model, some_images(model))
