"""Controls that know nothing of the model, and the part maps of stage 1."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.explain.base import ExplainContext, relevance_of
from ifambench.explain.methods.ifam_maps import ifam_log_odds
from ifambench.models.base import DataConfig
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.pdiscoformer import build_pdiscoformer
from tests.explain.methods.traced_models import IDS, TARGETS
from tests.explain.toy_models import Function
from tests.models.small_ifam import some_images, tiny_ifam
from tests.models.small_models import images, lively, vit

CONTEXT = ExplainContext(IDS)


def test_uniform_prefers_no_patch():
    found = relevance_of("uniform", vit(), images(), TARGETS, CONTEXT)
    assert (found == 1).all()


def test_oracle_foreground_is_the_coverage():
    coverage = torch.rand(5, 4, 4, dtype=torch.float64)
    context = ExplainContext(IDS, coverage=coverage)
    found = relevance_of("oracle-foreground", vit(), images(), TARGETS, context)
    assert torch.equal(found, coverage.float())


def test_oracle_foreground_names_the_image_without_a_mask():
    coverage = torch.rand(5, 4, 4)
    coverage[3] = torch.nan
    with pytest.raises(UsageError, match="none for image test-3"):
        relevance_of(
            "oracle-foreground", vit(), images(), TARGETS, ExplainContext(IDS, coverage=coverage)
        )
    with pytest.raises(UsageError, match="none for image test-0") as caught:
        relevance_of("oracle-foreground", vit(), images(), TARGETS, CONTEXT)
    assert "masks" in caught.value.next_step


def test_edge_equals_scipys_sobel():
    from scipy.ndimage import sobel

    model = Function(None)
    model.data_config = DataConfig(8, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    colours = np.random.default_rng(0).random((5, 3, 8, 8))
    mean, std = (np.reshape(v, (3, 1, 1)) for v in (model.data_config.mean, model.data_config.std))
    x = torch.from_numpy((colours - mean) / std).float()
    found = relevance_of("edge", model, x, TARGETS, CONTEXT)
    grey = 0.299 * colours[:, 0] + 0.587 * colours[:, 1] + 0.114 * colours[:, 2]
    for k in range(5):
        energy = sum(sobel(grey[k], axis=axis, mode="nearest") ** 2 for axis in (0, 1))
        expected = energy.reshape(4, 2, 4, 2).sum((1, 3))
        np.testing.assert_allclose(found[k].numpy(), expected, rtol=1e-4)


def test_a_flat_picture_has_no_edges():
    x = torch.full((5, 3, 32, 32), 0.7)
    assert not relevance_of("edge", vit(), x, TARGETS, CONTEXT).any()
    x[:, :, 8:16, 8:16] = -1
    found = relevance_of("edge", vit(), x, TARGETS, CONTEXT)
    assert (found[:, 1, 1] == found.amax((1, 2))).all()
    assert not found[:, 3].any()


@pytest.mark.parametrize("kind", ["ifam", "pdiscoformer"])
def test_parts_vote_where_they_are(kind):
    torch.manual_seed(0)
    model = tiny_ifam() if kind == "ifam" else lively(build_pdiscoformer(3, 32))
    x = some_images(model) if kind == "ifam" else images()
    found = relevance_of("ifam-parts", model, x, TARGETS, CONTEXT)
    with torch.no_grad():
        parts = model.stage_1(model.stage_1.tokens(x))
    n_parts = parts.part_logits.shape[1]
    for k, target in enumerate(TARGETS.tolist()):
        expected = torch.zeros(model.patch_grid)
        for part in range(n_parts):
            votes = parts.part_logits[k, part]
            expected += parts.maps[k, part] * (votes[target] - votes.mean()) / n_parts
        torch.testing.assert_close(found[k], expected, atol=1e-6, rtol=1e-4)
    every = [relevance_of("ifam-parts", model, x, torch.full((5,), c), CONTEXT) for c in range(3)]
    torch.testing.assert_close(sum(every), torch.zeros(5, *model.patch_grid), atol=1e-5, rtol=0)


def test_parts_vote_for_labels_of_several_classes():
    model = tiny_ifam(classes=5)
    x = some_images(model)
    mapped = Mapped(model, LabelMap(((0, 3), (1,), (2, 4)), "members")).eval()
    maps, votes = mapped.part_votes(x)
    _, raw = model.part_votes(x)
    torch.testing.assert_close(maps, model.part_maps(x))
    assert torch.equal(votes[..., 0], raw[..., [0, 3]].amax(2))
    assert torch.equal(votes[..., 1], raw[..., 1])
    assert votes.shape == (5, 4, 3)
    assert relevance_of("ifam-parts", mapped, x, TARGETS, CONTEXT).isfinite().all()


def test_parts_that_are_taken_out_have_no_say():
    from ifambench.models.interventions import Interventions

    model = tiny_ifam()
    x = some_images(model)
    before = relevance_of("ifam-parts", model, x, TARGETS, CONTEXT)
    model.interventions = Interventions(remove_parts=(0, 1, 2, 3))
    after = relevance_of("ifam-parts", model, x, TARGETS, CONTEXT)
    assert before.any()
    assert not after.any()


def test_log_odds_do_not_tie_where_the_probability_is_1():
    scores = torch.tensor([[[[30.0, 40.0]], [[0.0, 0.0]]]])  # foreground, background
    maps = scores.softmax(dim=1)
    assert (1 - maps[:, -1] == 1).all()
    model = SimpleNamespace(select=lambda images: SimpleNamespace(part_maps=maps))
    odds = ifam_log_odds(model, None, None, None)
    assert odds.tolist() == [[pytest.approx([30.0, 40.0], rel=1e-5)]]
