import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.ifam import Ifam
from ifambench.models.interventions import Interventions, part_thresholds, remove_parts
from tests.models.small_ifam import PARTS, some_images, tiny_ifam
from tests.models.small_models import vit

ALL = tuple(range(PARTS))


@pytest.fixture
def model() -> Ifam:
    return tiny_ifam()


def owners(model: Ifam) -> torch.Tensor:
    return model.part_maps(some_images(model)).argmax(1)


def test_patches_of_removed_parts_become_background(model: Ifam) -> None:
    before, owner = model.selection(some_images(model)), owners(model)
    model.interventions = Interventions(remove_parts=(0, 2))
    removed = (owner == 0) | (owner == 2)
    assert (removed & before).any()
    assert torch.equal(model.selection(some_images(model)), before & ~removed)
    maps = model.part_maps(some_images(model))
    torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))
    assert not maps[:, [0, 2]].any()


@pytest.mark.parametrize("mask_gradient", ["detached", "soft"])
def test_without_any_part_the_logits_are_finite(mask_gradient: str) -> None:
    model = tiny_ifam(mask_gradient=mask_gradient)
    model.interventions = Interventions(remove_parts=ALL)
    images = some_images(model)
    assert not model.selection(images).any()
    assert model.logits(images).isfinite().all()
    # nothing of the image is seen; the soft mask leaves 1e-10
    torch.testing.assert_close(*model.logits(images)[:2], atol=1e-5, rtol=0)


def test_interventions_are_for_evaluation_only(model: Ifam) -> None:
    scores = model.stage_1.scores(model.stage_1.tokens(some_images(model)))
    before = model.training_mask(scores)
    model.interventions = Interventions(remove_parts=ALL)
    assert torch.equal(model.training_mask(scores), before)


def test_a_part_below_its_threshold_loses_the_patch_only(model: Ifam) -> None:
    images = some_images(model)
    tokens = model.stage_1.tokens(images)
    scores, dots = model.stage_1.scores(tokens), model.stage_1.dots(tokens)
    limits = torch.tensor([dots[:, 0].median().item(), *[-torch.inf] * (PARTS - 1)])
    model.interventions = Interventions(thresholds=limits)
    scores[:, 0][dots[:, 0] < limits[0]] = -torch.inf
    assert torch.equal(model.part_maps(images), scores.softmax(1))


def test_thresholds_that_never_fire(model: Ifam) -> None:
    images = some_images(model)
    before = model.part_maps(images)
    never = torch.full((PARTS,), -torch.inf)
    model.interventions = Interventions(thresholds=never)
    assert torch.equal(model.part_maps(images), before)
    model.interventions = Interventions(thresholds=never, compat="official")
    dots = model.stage_1.dots(model.stage_1.tokens(images))
    assert torch.equal(model.part_maps(images), dots.softmax(1))
    assert not torch.equal(dots.softmax(1), before)


def test_thresholds_are_quantiles_over_the_patches_of_a_part(model: Ifam) -> None:
    batches = [some_images(model, 4, seed) for seed in (1, 2)]
    tokens = torch.cat([model.stage_1.tokens(batch) for batch in batches])
    owner = model.stage_1.scores(tokens).argmax(1)
    dots = model.stage_1.dots(tokens)
    for quantile in (0.0, 0.1, 0.5):
        found = part_thresholds(model, batches, quantile)
        expected = [dots[:, k][owner == k].double().quantile(quantile) for k in ALL]
        torch.testing.assert_close(found.double(), torch.stack(expected), atol=1e-5, rtol=0)


def test_a_part_without_patches_has_no_threshold(model: Ifam) -> None:
    with torch.no_grad():
        model.stage_1.fc_landmarks.weight[1] = 1e3
    assert part_thresholds(model, [some_images(model)], 0.5)[1] == -torch.inf


def test_refuses_what_does_not_fit(model: Ifam) -> None:
    for wrong in (-1, PARTS):
        with pytest.raises(UsageError, match=f"no part {wrong}"):
            remove_parts(model, [wrong])
    with pytest.raises(UsageError, match="4 parts, one threshold each"):
        Interventions(thresholds=torch.zeros(2)).check(PARTS)
    with pytest.raises(UsageError, match='no compat "theirs"'):
        Interventions(compat="theirs").check(PARTS)
    with pytest.raises(UsageError, match=r"the quantile is 1\.5"):
        part_thresholds(model, [], 1.5)
    with pytest.raises(UsageError, match="only a two-stage model"):
        remove_parts(vit(), [0])


def test_remove_parts_keeps_other_interventions(model: Ifam) -> None:
    limits = torch.zeros(PARTS)
    model.interventions = Interventions(thresholds=limits)
    remove_parts(model, [3])
    assert model.interventions.thresholds is limits
    assert model.interventions.remove_parts == (3,)
