import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ifambench.errors import UsageError
from ifambench.models.base import Classifier
from ifambench.models.masks import MASK_GRADIENTS
from tests.models.small_ifam import BACKBONES, some_images, tiny_ifam
from tests.models.small_models import GRID, KINDS, SIDE, images, keeps, vit

PATCH = SIDE // GRID[0]


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Classifier:
    return KINDS[request.param]()


def on_pixels(keep: torch.Tensor) -> torch.Tensor:
    return keep.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[:, None]


@pytest.mark.parametrize("fill", ["random", "huge", "nan"])
def test_unselected_pixels_change_nothing(model: Classifier, fill: str) -> None:
    x, keep = images(), keeps()
    other = {
        "random": images(seed=9),
        "huge": torch.full_like(x, 1e30),
        "nan": torch.full_like(x, torch.nan),
    }[fill]
    changed = torch.where(on_pixels(keep), x, other)
    with torch.no_grad():
        difference = model.logits_from_patches(x, keep) - model.logits_from_patches(changed, keep)
    assert difference.abs().max() == 0.0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    backbone=st.sampled_from(sorted(BACKBONES)),
    kept=st.lists(st.booleans(), min_size=16, max_size=16),
    fill=st.floats(width=32),
    mask_gradient=st.sampled_from(MASK_GRADIENTS),
)
def test_a_fixed_mask_hides_any_unselected_pixel(
    backbone: str, kept: list[bool], fill: float, mask_gradient: str
) -> None:
    two_stage = tiny_ifam(mask_gradient=mask_gradient, **BACKBONES[backbone])
    x, keep = some_images(two_stage, 2), torch.tensor(kept).view(1, 4, 4).repeat(2, 1, 1)
    keep[1, 0, 0] = True  # the second image may keep more: padding
    patch = x.shape[-1] // 4
    shown = keep.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, None]
    changed = torch.where(shown, x, torch.tensor(fill))
    with torch.no_grad():
        before = two_stage.logits_from_patches(x, keep)
        after = two_stage.logits_from_patches(changed, keep)
    assert before.isfinite().all()
    assert (before - after).abs().max() == 0.0


def test_independent_of_the_batch(model: Classifier) -> None:
    x, keep = images(), keeps()
    keep[0] = False
    keep[0, 0, 0] = True  # one patch beside images with many: the most padding
    with torch.no_grad():
        together = model.logits_from_patches(x, keep)
        alone = torch.cat(
            [model.logits_from_patches(x[i : i + 1], keep[i : i + 1]) for i in range(5)]
        )
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("empty", [[0], [0, 1, 2, 3, 4]])
def test_empty_masks_are_finite(model: Classifier, empty: list[int]) -> None:
    keep = keeps()
    keep[empty] = False
    with torch.no_grad():
        logits = model.logits_from_patches(images(), keep)
        alone = model.logits_from_patches(images()[:1], keep[:1])
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[:1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["plain", "no-class-token", "registers"])
def test_full_mask_is_the_whole_image(kind: str) -> None:
    whole = KINDS[kind]()
    with torch.no_grad():
        full = whole.logits_from_patches(images(), torch.ones(5, *GRID, dtype=torch.bool))
        torch.testing.assert_close(full, whole.logits(images()), atol=1e-6, rtol=0)
        torch.testing.assert_close(full, whole.vit(images()), atol=1e-5, rtol=0)


def test_kept_patches_matter(model: Classifier) -> None:
    with torch.no_grad():
        one = model.logits_from_patches(images(), keeps())
        two = model.logits_from_patches(images(seed=9), keeps())
    assert (one - two).abs().max() > 1e-3


def test_two_stage_model_uses_its_selection() -> None:
    model = KINDS["ifam"]()
    with torch.no_grad():
        selection = model.select(images())
        own = model.logits(images())
        under_it = model.logits_from_patches(images(), selection.mask)
    assert torch.equal(own, under_it)
    torch.testing.assert_close(selection.part_maps.sum(1), torch.ones(5, *GRID))
    torch.testing.assert_close(selection.foreground, 1 - selection.part_maps[:, -1])


def test_other_poolings_run_on_whole_images_only() -> None:
    model = vit(class_token=False, global_pool="max")
    assert model.logits(images()).isfinite().all()
    with pytest.raises(UsageError, match='pooling "max"'):
        model.logits_from_patches(images(), keeps())


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("fill", [0.0, 1e30, float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_not_selected_change_nothing(autocast: bool, fill: float) -> None:
    model = tiny_ifam(init_values=0.5, reg_tokens=4)
    images = some_images(model)
    keep = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    keep[0], keep[1] = False, True  # nothing and everything is selected
    pixels = keep.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    filled = torch.where(pixels, images, torch.full_like(images, fill))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        before = model.logits_from_patches(images, keep)
        assert torch.equal(model.logits_from_patches(filled, keep), before)
    assert before.isfinite().all()


def test_no_images() -> None:
    model = tiny_ifam()
    none = some_images(model)[:0]
    assert model.logits(none).shape == (0, 3)
    assert model.selection(none).shape == (0, 4, 4)
