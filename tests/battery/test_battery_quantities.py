"""T3 to T8 and T10 against their definitions, written out."""

import numpy as np
import pytest
import torch

from ifambench.battery.randomise import randomised
from ifambench.battery.swaps import RENDERED, swapped
from ifambench.metrics.deletion import curve_auc
from ifambench.models.explain_then_predict import build_gradcam_vit
from ifambench.models.ifam import Ifam
from ifambench.models.timm_vit import OracleVit
from tests.battery.battery_support import ROWS, battery, no_grad, values, whole_part
from tests.battery.leaky import (
    SelectsEverything,
    SelectsNothing,
    SelectsTheWeakest,
    honest,
    leaking,
)
from tests.models.small_models import CLASSES, SIDE, lively, vit

MODEL = honest()
PART = whole_part(MODEL)
LABELS = ROWS["y"].to_numpy()


def logits(function, *args):
    return no_grad(function, *args).double()


def test_plain_prediction_is_own():
    found = battery(MODEL, "T7")
    plain = logits(MODEL.logits, PART.images)
    correct = plain.argmax(1).numpy() == LABELS
    np.testing.assert_array_equal(values(found, "T7", "correct", "own"), correct)
    np.testing.assert_allclose(
        values(found, "T7", "score", "own"), plain.softmax(1).amax(1), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("condition", ["all", "none", "complement"])
def test_controls_are_stage_2_under_other_masks(condition):
    mask = no_grad(MODEL.select, PART.images).mask
    other = {"all": mask | True, "none": mask & False, "complement": ~mask}[condition]
    expected = logits(MODEL.logits_from_patches, PART.images, other)
    found = battery(MODEL, "T7")
    score = expected.softmax(1).numpy()[range(len(LABELS)), PART.targets]
    np.testing.assert_allclose(values(found, "T7", "score", condition), score, rtol=0, atol=1e-6)
    correct = expected.argmax(1).numpy() == LABELS
    np.testing.assert_array_equal(values(found, "T7", "correct", condition), correct)


def test_all_of_stage_2_is_the_plain_model():
    model = vit(OracleVit)
    plain = logits(vit().logits, whole_part(model).images)
    correct = plain.argmax(1).numpy() == LABELS
    np.testing.assert_array_equal(values(battery(model, "T7"), "T7", "correct", "all"), correct)


def test_flips():
    found = battery(MODEL, "T3")
    masks = no_grad(MODEL.select, PART.images).mask
    before = logits(MODEL.logits, PART.images).argmax(1)
    for condition in RENDERED:
        images = no_grad(swapped, PART, condition).images
        other = no_grad(MODEL.select, images).mask
        expected = {
            "free_flip": logits(MODEL.logits, images),
            "frozen_flip": logits(MODEL.logits_from_patches, images, masks),
            "mask_only_flip": logits(MODEL.logits_from_patches, PART.images, other),
        }
        for quantity, after in expected.items():
            flipped = (after.argmax(1) != before).numpy()
            np.testing.assert_array_equal(values(found, "T3", quantity, condition), flipped)


def test_a_given_mask_is_stable_and_mediates_nothing():
    found = battery(vit(OracleVit), "T3", "T4")
    assert (values(found, "T4", "iou") == 1).all()
    assert (values(found, "T3", "mask_only_flip") == 0).all()
    free, frozen = (values(found, "T3", name) for name in ("free_flip", "frozen_flip"))
    np.testing.assert_array_equal(free, frozen)


def test_noise_floor():
    found = battery(MODEL, "T4")
    assert (values(found, "T4", "self_iou", "repeat") == 1).all()
    assert 0 < values(found, "T4", "self_iou", "gumbel").mean() < 1
    quiet = honest()
    quiet.stage_1.gumbel = False
    assert "gumbel" not in set(battery(quiet, "T4").table["condition"])


def test_a_mask_of_everything_passes_trivially_and_shows_its_area():
    found = battery(leaking(SelectsEverything), "T1", "T4", "T5")
    assert (values(found, "T1", "logit_change") == 0).all()
    assert (values(found, "T5", "iou") == 1).all()
    assert (values(found, "T5", "agrees") == 1).all()
    assert (values(found, "T4", "area", "original") == 1).all()


@pytest.mark.parametrize("kind", [SelectsEverything, SelectsNothing])
def test_empty_and_full_masks_are_finite(kind):
    tests = ("T1", "T3", "T4", "T5", "T6", "T7", "T8", "T9")
    table = battery(leaking(kind), *tests).table
    assert np.isfinite(table["value"]).all()
    assert set(table["test"]) == set(tests)
    # all defined but the admission of an empty mask, a ratio of 0 / 0
    counts = table.groupby(["test", "quantity", "condition"]).size()
    assert (counts.drop("mask_changed", level="quantity", errors="ignore") == len(ROWS)).all()


def test_an_empty_mask_is_the_same_for_every_image():
    score = values(battery(leaking(SelectsNothing), "T7"), "T7", "score", "own")
    assert np.ptp(score) == 0


def test_silhouettes_do_not_see_the_image():
    found = battery(MODEL, "T6")
    mask = no_grad(MODEL.select, PART.images).mask
    blank = logits(MODEL.logits_from_patches, torch.zeros_like(PART.images), mask)
    correct = blank.argmax(1).numpy() == LABELS
    np.testing.assert_array_equal(values(found, "T6", "silhouette_correct", "constant"), correct)
    assert len(values(found, "T6", "exchange_correct", "same_class")) == len(ROWS)


def test_no_partner_of_the_class_means_no_exchange():
    rows = ROWS[ROWS["id"].isin(ROWS.drop_duplicates("y")["id"])]
    table = battery(MODEL, "T6", rows=rows).table
    assert "exchange_correct" not in set(table["quantity"])
    assert set(table["condition"]) >= {"constant", "texture"}


@pytest.mark.parametrize("kind", [Ifam, SelectsTheWeakest])
def test_operating_point_and_ranking(kind):
    """The mask comes first in the ranking, also where the soft foreground says otherwise."""
    model = leaking(kind)
    found, targets = battery(model, "T8", steps=4), whole_part(model).targets
    selection = no_grad(model.select, PART.images)

    def score(keep):
        chosen = logits(model.logits_from_patches, PART.images, keep).softmax(1)
        return chosen[range(len(LABELS)), targets].numpy()

    mask = selection.mask
    everything = score(mask | True)
    comp, suff = everything - score(~mask), everything - score(mask)
    np.testing.assert_allclose(values(found, "T8", "comprehensiveness"), comp, rtol=0, atol=1e-6)
    np.testing.assert_allclose(values(found, "T8", "sufficiency"), suff, rtol=0, atol=1e-6)
    worth = (selection.foreground + 2 * mask).flatten(1)
    ranks = worth.argsort(1, descending=True).argsort(1).reshape(mask.shape)
    counts = [0, 4, 8, 12, 16]
    deletion = np.stack([score(ranks >= k) for k in counts], 1)
    insertion = np.stack([score(ranks < k) for k in counts], 1)
    fractions = np.array(counts) / 16
    srg = curve_auc(fractions, insertion) - curve_auc(fractions, deletion)
    np.testing.assert_allclose(values(found, "T8", "srg"), srg, rtol=0, atol=1e-6)


def test_randomised_stages():
    before = {name: tensor.clone() for name, tensor in MODEL.state_dict().items()}
    found = battery(MODEL, "T10")
    assert all(torch.equal(tensor, before[name]) for name, tensor in MODEL.state_dict().items())
    assert (values(found, "T10", "mask_iou", "stage_2") == 1).all()
    assert values(found, "T10", "mask_iou", "stage_1").mean() < 1
    own, same = (values(found, "T10", "area", c) for c in ("original", "stage_1_same_area"))
    np.testing.assert_array_equal(own, same)


def test_a_randomised_stage_is_another_with_the_same_scale():
    changed = randomised(MODEL, "stage_1", 0)
    assert changed.stage_2 is MODEL.stage_2
    weight = "vit.blocks.0.mlp.fc1.weight"
    old, new = (m.stage_1.state_dict()[weight] for m in (MODEL, changed))
    assert abs(torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1]) < 0.02
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.02)
    again = randomised(MODEL, "stage_1", 0).stage_1.state_dict()[weight]
    assert torch.equal(new, again)
    assert not torch.equal(new, randomised(MODEL, "stage_1", 1).stage_1.state_dict()[weight])


def test_one_network_has_no_stages():
    torch.manual_seed(0)
    model = lively(build_gradcam_vit(num_classes=CLASSES, image_size=SIDE))
    found = battery(model, "T4", "T10")
    assert "one network" in found.not_measured["T10"]
    assert set(found.table["test"]) == {"T4"}
