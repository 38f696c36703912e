"""The start of the prototypes."""

import pytest
import torch

from ifambench.data.load import load_data
from ifambench.models.ifam import build_ifam
from ifambench.train.prototypes import SPREAD, start_at_rim
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    data = load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train",))
    torch.manual_seed(0)
    model = build_ifam(num_classes=2, image_size=64)
    with torch.no_grad():
        model.stage_1.fc_landmarks.weight.zero_()  # the random part
    train = train_set(data, "train", model, torch.device("cpu"))
    start_at_rim(model, train)
    batch = train.batch(torch.arange(len(train)))
    return model, model.stage_1.scores(model.stage_1.tokens(batch.images)).detach()


def test_background_scores_higher_on_the_rim_than_inside(started):
    scores = started[1]
    advantage = scores[:, -1] - scores[:, 0]
    ring = torch.ones(8, 8, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    assert advantage[:, ring].mean() > 0 > advantage[:, ~ring].mean()


def test_the_advantage_is_centred_with_the_documented_spread(started):
    scores = started[1]
    advantage = scores[:, -1] - scores[:, 0]
    assert advantage.mean().abs() < 1e-2
    assert advantage.std().item() == pytest.approx(SPREAD, rel=1e-3)


def test_parts_differ_by_their_random_start_only(started):
    weight = started[0].stage_1.fc_landmarks.weight
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[-1])


@pytest.mark.parametrize("quantile", [0.1, 0.3])
def test_a_quantile_sets_the_share_of_patches_that_start_as_foreground(tmp_path, quantile):
    data = load_data(tiny_suite(tmp_path), splits=("train",))
    torch.manual_seed(0)
    model = build_ifam(num_classes=2, image_size=64)
    with torch.no_grad():
        model.stage_1.fc_landmarks.weight.zero_()
    train = train_set(data, "train", model, torch.device("cpu"))
    start_at_rim(model, train, quantile)
    mask = model.select(train.batch(torch.arange(len(train))).images).mask
    assert mask.float().mean().item() == pytest.approx(quantile, abs=0.01)
