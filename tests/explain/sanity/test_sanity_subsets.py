import numpy as np
import pytest
import torch

from ifambench.errors import EnvironmentProblem
from ifambench.explain.sanity.subsets import (
    SUBSETS,
    infidelity,
    random_subsets,
    subset_checks,
    subset_scores,
    subsets_of,
)
from tests.explain.sanity.toy import GRID, Additive, Constant, N, parts, pixels, subject

PARTS = parts(3)
IMAGES = pixels(PARTS)


def checks(maps, of=None):
    of = of or subject(Additive(), IMAGES)
    found = np.broadcast_to(np.asarray(maps, dtype=np.float32), (len(of.ids), *GRID))
    return subset_checks(found, subsets_of(of), subset_scores(of))


def test_the_parts_of_an_additive_score_are_faithful_exactly() -> None:
    found = checks(PARTS)
    for name in ("faithfulness_correlation", "faithfulness_correlation_spearman"):
        np.testing.assert_allclose(found[name], 1, atol=1e-5)
    np.testing.assert_allclose(found["infidelity"], 0, atol=1e-12)


def test_positive_affine_changes_of_the_map_do_not_matter_but_the_sign_does() -> None:
    maps = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(1))
    one, two, turned = checks(maps), checks(3 * maps + 5), checks(-maps)
    for name in ("faithfulness_correlation", "faithfulness_correlation_spearman"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-5)
        np.testing.assert_allclose(one[name], -turned[name], atol=1e-12)
    assert (np.abs(one["faithfulness_correlation"]) < 0.99).all()


def test_against_the_definition_one_subset_at_a_time() -> None:
    from scipy import stats

    maps = torch.rand(3, *GRID, generator=torch.Generator().manual_seed(2)).numpy()
    of, model = subject(Additive(), IMAGES, batch_size=50), Additive()
    found = checks(maps, of)
    for k, name in enumerate(of.ids):
        clean = model.logits(IMAGES[k : k + 1]).softmax(1)[0, 1]
        sums, drops = [], []
        for removed in random_subsets(name, 0, N):
            image = IMAGES[k].clone()
            for row, column in zip(*np.nonzero(removed.reshape(GRID)), strict=True):
                image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0
            sums.append(maps[k].ravel()[removed].sum())
            drops.append(float(clean - model.logits(image[None]).softmax(1)[0, 1]))
        assert found["faithfulness_correlation"][k] == pytest.approx(
            stats.pearsonr(sums, drops).statistic, abs=1e-5
        )
        assert found["faithfulness_correlation_spearman"][k] == pytest.approx(
            stats.spearmanr(sums, drops).statistic, abs=1e-3
        )


def test_subsets_belong_to_the_image_and_the_seed() -> None:
    found = random_subsets("a", 0, N)
    assert found.shape == (SUBSETS, N)
    assert (found.sum(axis=1) == 3).all()  # round(0.2 * 16)
    np.testing.assert_array_equal(found, random_subsets("a", 0, N))
    assert (found != random_subsets("b", 0, N)).any()
    assert (found != random_subsets("a", 1, N)).any()
    assert len(np.unique(found, axis=0)) > SUBSETS / 2
    assert found.any(axis=0).all()


def test_constant_maps_and_constant_scores_are_undefined() -> None:
    flat = np.where(np.arange(3)[:, None, None] == 1, 0.1, PARTS)
    found = checks(flat)
    for name in ("faithfulness_correlation", "faithfulness_correlation_spearman"):
        assert np.isnan(found[name]).tolist() == [False, True, False]
        still = checks(PARTS, subject(Constant(), IMAGES))[name]
        assert np.isnan(still).all()


def test_a_score_that_only_trembles_is_constant() -> None:
    class Trembling(Constant):
        def logits(self, images, masks=None):
            return super().logits(images) + 1e-7 * Additive.logits(self, images)

    found = checks(PARTS, subject(Trembling(), IMAGES))
    assert np.isnan(found["faithfulness_correlation"]).all()


def test_a_small_score_is_not_constant() -> None:
    class Small(Additive):
        def logits(self, images, masks=None):
            odds = super().logits(images)[:, 1].exp() / (1 + super().logits(images)[:, 1].exp())
            y = torch.log(1e-5 * odds)
            return torch.stack([torch.log1p(-y.exp()), y], dim=1)

    found = checks(PARTS, subject(Small(), IMAGES))
    np.testing.assert_allclose(found["faithfulness_correlation"], 1, atol=1e-4)


def test_a_map_of_zeros_guesses_nothing() -> None:
    rows = subset_scores(subject(Additive(), IMAGES))
    drops = np.array([row["full"] - np.array(row["scores"]) for row in rows])
    np.testing.assert_allclose(checks(0)["infidelity"], (drops**2).mean(axis=1))


def test_a_constant_map_guesses_the_mean_drop() -> None:
    rows = subset_scores(subject(Additive(), IMAGES))
    drops = np.array([row["full"] - np.array(row["scores"]) for row in rows])
    np.testing.assert_allclose(checks(0.3)["infidelity"], drops.var(axis=1), atol=1e-12)


def test_infidelity_is_that_of_captum() -> None:
    from captum.metrics import infidelity as captums

    model, side = Additive().double(), 2
    maps = torch.randn(1, *GRID, generator=torch.Generator().manual_seed(3), dtype=torch.double)
    image = IMAGES[:1].double()
    removed = torch.from_numpy(random_subsets("image-0", 0, N)).reshape(-1, 1, *GRID)

    def perturb(inputs):
        gone = removed.repeat_interleave(side, 2).repeat_interleave(side, 3)
        indicator = gone.expand(-1, 3, -1, -1).double()
        return indicator / (3 * side**2), torch.where(gone, 0.0, inputs)

    spread = maps[:, None].repeat_interleave(side, 2).repeat_interleave(side, 3)
    expected = captums(
        lambda pixels: model.logits(pixels).softmax(1)[:, 1],
        perturb,
        image,
        spread.expand(-1, 3, -1, -1),
        n_perturb_samples=SUBSETS,
        normalize=True,
    )
    of = subject(model, IMAGES[:1])
    found = subset_checks(maps.float().numpy(), subsets_of(of), subset_scores(of))["infidelity"]
    assert float(expected) > 0
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_infidelity_is_blind_to_scale_and_sign() -> None:
    sums, drops = np.random.default_rng(0).normal(size=(2, 4, 9))
    np.testing.assert_allclose(infidelity(-7 * sums, drops), infidelity(sums, drops))


def test_the_batch_does_not_matter() -> None:
    one = subset_scores(subject(Additive(), IMAGES, batch_size=7))
    two = subset_scores(subject(Additive(), IMAGES, batch_size=1000))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a["scores"], b["scores"], atol=1e-6)


def test_scores_that_are_not_finite_name_the_image() -> None:
    class Broken(Additive):
        def logits(self, images, masks=None):
            return super().logits(images) * torch.nan

    with pytest.raises(EnvironmentProblem, match="image-0"):
        subset_scores(subject(Broken(), IMAGES))


def test_one_patch() -> None:
    assert random_subsets("a", 0, 1).all()
