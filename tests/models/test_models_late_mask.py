import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.late_mask import LateMaskVit, build_late_vit
from tests.models.small_models import CLASSES, GRID, SIDE, images, keeps, lively


@pytest.fixture(scope="module")
def model() -> LateMaskVit:
    torch.manual_seed(0)
    return lively(build_late_vit(CLASSES, SIDE))


def test_is_the_mean_over_all_patches_of_the_masked_tokens(model: LateMaskVit) -> None:
    x, keep = images(), keeps()
    with torch.no_grad():
        tokens = model.vit.forward_features(x)[:, 1:]
        masked = torch.stack(
            [one[mask.flatten()].sum(0) / 16 for one, mask in zip(tokens, keep, strict=True)]
        )
        torch.testing.assert_close(model.logits(x, keep), model.vit.head(masked))


def test_the_background_leaks(model: LateMaskVit) -> None:
    keep = torch.zeros(5, *GRID, dtype=torch.bool)
    keep[:, 0, 0] = True
    changed = images()
    changed[:, :, 16:, 16:] = 0.0
    with torch.no_grad():
        difference = model.logits(images(), keep) - model.logits(changed, keep)
    assert difference.abs().max() > 1e-4


def test_an_empty_mask_leaves_the_bias(model: LateMaskVit) -> None:
    nothing = torch.zeros(5, *GRID, dtype=torch.bool)
    with torch.no_grad():
        logits = model.logits(images(), nothing)
    assert torch.equal(logits, model.vit.head.bias.expand(5, -1))


def test_trace_reads_the_tokens_in_the_mask(model: LateMaskVit) -> None:
    with torch.no_grad():
        read = model.trace(images(), keeps()).readout[:, 1:]
    assert torch.equal(read > 0, keeps().flatten(1))


def test_needs_masks_and_has_no_tokens(model: LateMaskVit) -> None:
    with pytest.raises(UsageError, match="true masks"):
        model.logits(images())
    with pytest.raises(UsageError, match='no capability "tokens"'):
        model.logits_from_patches(images(), keeps())
