import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.base import Classifier
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
        given = model.logits_from_patches(images(), selection.mask)
    assert torch.equal(own, given)
    torch.testing.assert_close(selection.part_maps.sum(1), torch.ones(5, *GRID))
    torch.testing.assert_close(selection.foreground, 1 - selection.part_maps[:, -1])


def test_other_poolings_run_on_whole_images_only() -> None:
    model = vit(class_token=False, global_pool="max")
    assert model.logits(images()).isfinite().all()
    with pytest.raises(UsageError, match='pooling "max"'):
        model.logits_from_patches(images(), keeps())
