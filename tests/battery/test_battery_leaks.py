"""T1 and T2: the battery passes hard masking, bit for bit, and catches every leaky model."""

import numpy as np
import pytest
import torch
from torch import nn

from ifambench.battery import TESTS
from ifambench.battery.locality import LARGEST
from ifambench.battery.work import FILLS
from ifambench.models.explain_then_predict import build_gradcam_vit, build_rollout_vit
from ifambench.models.late_mask import build_late_vit
from ifambench.models.timm_vit import OracleVit
from tests.battery.battery_support import battery, values
from tests.battery.leaky import (
    AveragePool,
    KeyMask,
    LateMask,
    Multiplied,
    SelectsEverything,
    SelectsNothing,
    SoftFloor,
    honest,
    leaking,
)
from tests.models.small_models import CLASSES, SIDE, lively, vit

FINITE = [name for name in FILLS if name != "nan"]


def late():
    torch.manual_seed(0)
    return lively(build_late_vit(num_classes=CLASSES, image_size=SIDE))


def picked(build):
    torch.manual_seed(0)
    return lively(build(num_classes=CLASSES, image_size=SIDE))


HARD = {
    "ifam": honest,
    "straight-through": lambda: honest(mask_gradient="straight-through"),
    "oracle": lambda: vit(OracleVit),
    "oracle-averaged": lambda: vit(OracleVit, class_token=False, global_pool="avg"),
    "gradcam": lambda: picked(build_gradcam_vit),
    "rollout": lambda: picked(build_rollout_vit),
    "everything": lambda: leaking(SelectsEverything),
    "nothing": lambda: leaking(SelectsNothing),
}
LEAKY = {
    "soft floor": lambda: leaking(SoftFloor),
    "average pooling": lambda: leaking(AveragePool),
    "late masking": lambda: leaking(LateMask),
    "soft mask": lambda: honest(mask_gradient="soft"),
    "late-vit": late,
}


@pytest.mark.parametrize("kind", HARD)
def test_hard_masks_pass_bit_for_bit(kind):
    found = battery(HARD[kind](), "T1", "T2")
    for fill in FILLS:
        assert (values(found, "T1", "logit_change", fill) == 0.0).all(), fill
    assert (values(found, "T1", "gradient") == 0.0).all()
    assert values(found, "T1", "batch_change").max() < 1e-4
    assert (values(found, "T2", "token_change") == 0.0).all()


@pytest.mark.parametrize("kind", LEAKY)
def test_leaky_models_are_caught(kind):
    found = battery(LEAKY[kind](), "T1")
    for fill in FINITE:
        assert values(found, "T1", "logit_change", fill).max() > 1e-4, fill
    assert values(found, "T1", "gradient").max() > 1e-4


def test_a_soft_floor_leaks_in_proportion():
    leaks = []
    for floor in (1e-6, 1e-4, 1e-2):
        model = leaking(SoftFloor)
        model.floor = floor
        found = battery(model, "T1", fills=("noise",))
        leaks.append(values(found, "T1", "logit_change").mean())
    assert 0 < leaks[0] < leaks[1] / 10 < leaks[2] / 100


@pytest.mark.parametrize("kind", [Multiplied, KeyMask])
def test_a_mask_that_multiplies_is_caught_by_nan_alone(kind):
    found = battery(leaking(kind), "T1")
    for fill in FINITE:
        # weights that are divided by their sum round, keys that are masked do not
        bound = 1e-5 if kind is Multiplied else 0.0
        assert values(found, "T1", "logit_change", fill).max() <= bound, fill
    assert (values(found, "T1", "logit_change", "nan") == LARGEST).all()


def test_who_does_not_claim_to_drop_is_not_asked_with_nan():
    for build in (late, lambda: honest(mask_gradient="soft")):
        found = battery(build(), "T1")
        assert "nan" not in set(found.table["condition"])
        assert "nan" in found.not_measured["T1"]


def test_overlapping_patches_are_caught():
    model = honest()
    embedding = model.stage_2.vit.patch_embed
    side = embedding.patch_size[0]
    embedding.proj = nn.Conv2d(3, embedding.proj.out_channels, side + 2, stride=side, padding=1)
    assert values(battery(model, "T2"), "T2", "token_change").max() > 1e-3


@pytest.mark.parametrize("kind", ["late-vit", "soft mask", "rollout"])
def test_the_whole_battery_runs_on_every_kind(kind):
    found = battery((HARD | LEAKY)[kind](), *TESTS, draws=1, attack_steps=1, steps=3)
    stages = {"T10"} if kind == "soft mask" else set()
    assert set(found.table["test"]) == set(TESTS) - {"T10"} | stages
    assert np.isfinite(found.table["value"]).all()
    assert found.table["value"].max() < LARGEST
