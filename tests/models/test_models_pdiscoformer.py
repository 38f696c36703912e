import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.ifam import build_ifam
from ifambench.models.pdiscoformer import PDiscoFormer, build_pdiscoformer
from tests.models.small_models import CLASSES, GRID, SIDE, images, lively


@pytest.fixture(scope="module")
def model() -> PDiscoFormer:
    torch.manual_seed(0)
    return lively(build_pdiscoformer(CLASSES, SIDE, num_parts=3))


def test_is_the_first_stage_of_the_two_stage_model(model: PDiscoFormer) -> None:
    two = build_ifam(CLASSES, SIDE, num_parts=3).eval()
    two.stage_1.load_state_dict(model.stage_1.state_dict())
    with torch.no_grad():
        parts = two.stage_1(two.stage_1.tokens(images()))
        assert torch.equal(model.logits(images()), parts.part_logits.mean(1))
        torch.testing.assert_close(model.part_maps(images()), two.part_maps(images()))


def test_part_maps_are_probabilities(model: PDiscoFormer) -> None:
    maps = model.part_maps(images())
    assert maps.shape == (5, 4, *GRID)
    torch.testing.assert_close(maps.sum(1), torch.ones(5, *GRID))


def test_trace_reads_the_foreground(model: PDiscoFormer) -> None:
    with torch.no_grad():
        trace = model.trace(images())
        foreground = 1 - model.part_maps(images())[:, -1].flatten(1)
    torch.testing.assert_close(trace.logits, model.logits(images()))
    torch.testing.assert_close(trace.readout[:, 1:], foreground / foreground.sum(1, keepdim=True))
    assert not trace.readout[:, 0].any()


def test_selects_nothing(model: PDiscoFormer) -> None:
    with pytest.raises(UsageError, match='no capability "selection"'):
        model.select(images())


def test_its_network_starts_pretrained_always(model: PDiscoFormer) -> None:
    assert model.backbones("scratch") == [model.stage_1.vit]


def test_options_reach_the_parts() -> None:
    model = build_pdiscoformer(
        CLASSES, SIDE, num_parts=2, part_dropout=0.1, gumbel=False, temperature=2.0
    )
    stage_1 = model.stage_1
    assert (stage_1.num_parts, stage_1.part_dropout) == (2, 0.1)
    assert (stage_1.gumbel, stage_1.temperature) == (False, 2.0)
