import numpy as np
import pytest
import torch
from scipy import stats

from ifambench.explain.sanity import subject as subjects
from ifambench.explain.sanity.nearby import (
    NOISES,
    RADIUS,
    SAMPLES,
    SIGMA,
    max_sensitivity,
    other_classes,
    random_logit,
    stability,
)
from ifambench.explain.sanity.subject import PROTOCOL
from ifambench.explain.sanity.subsets import SHARE, SUBSETS
from tests.explain.sanity.toy import GRID, Additive, parts, pixels, subject
from tests.explain.toy_models import patch_means
from tests.models.small_models import images, vit

IMAGES = pixels(parts(3)) * 20 - 1


def test_these_numbers_belong_to_this_version() -> None:
    """With other numbers the values are not comparable: change the version, too."""
    numbers = {"noises": NOISES, "sigma": SIGMA, "samples": SAMPLES, "radius": RADIUS}
    assert numbers == {"noises": 4, "sigma": 0.05, "samples": 4, "radius": 0.02}
    assert (PROTOCOL, SUBSETS, SHARE) == ("sanity/1", 128, 0.2)


def brightness(model, pixels, targets, context):
    return patch_means(pixels).reshape(-1, *GRID)


@pytest.fixture
def seen(monkeypatch) -> list[torch.Tensor]:
    """Replaces every explainer by the brightness of the patches; the images that were asked for."""
    found = []

    def relevance(name, model, pixels, targets, context):
        found.append(pixels)
        return brightness(model, pixels, targets, context)

    monkeypatch.setattr(subjects, "relevance_of", relevance)
    return found


def maps_of(of) -> np.ndarray:
    return brightness(None, of.images, None, None).numpy()


def test_stability_is_the_mean_over_noisy_images(seen: list[torch.Tensor]) -> None:
    of = subject(Additive(), IMAGES)
    maps = maps_of(of)
    found = stability(of, "any", maps)
    assert len(seen) == NOISES
    for k in range(3):
        rho = [
            stats.spearmanr(maps[k].ravel(), patch_means(noisy[k : k + 1]).ravel()).statistic
            for noisy in seen
        ]
        assert found[k] == pytest.approx(np.mean(rho), abs=1e-12)
    span = (IMAGES.amax((1, 2, 3)) - IMAGES.amin((1, 2, 3)))[:, None]
    noise = torch.stack([(noisy - IMAGES).flatten(1) for noisy in seen]) / span
    assert float(noise.std()) == pytest.approx(SIGMA, rel=0.05)
    assert abs(float(noise.mean())) < 4 * SIGMA / noise.numel() ** 0.5
    assert not noise[0].allclose(noise[1])  # another one each time, and for each image
    assert not noise[0, 0].allclose(noise[0, 1])


def test_max_sensitivity_is_that_of_captum(seen: list[torch.Tensor]) -> None:
    from captum.metrics import sensitivity_max

    of = subject(Additive(), IMAGES)
    found = max_sensitivity(of, "any", maps_of(of))
    assert len(seen) == SAMPLES
    noisy = torch.stack(seen, dim=1).flatten(0, 1)  # captum repeats each image in a row
    distance = (noisy - IMAGES.repeat_interleave(SAMPLES, dim=0)).abs()
    assert RADIUS * 0.95 < float(distance.max()) <= RADIUS * 1.0001

    def explain(inputs):
        if isinstance(inputs, tuple):  # captum's first call
            return (brightness(None, inputs[0], None, None),)
        return brightness(None, inputs, None, None)

    expected = sensitivity_max(explain, IMAGES, lambda _: noisy, n_perturb_samples=SAMPLES)
    assert (expected > 0).all()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_a_map_of_zeros_has_no_sensitivity_and_a_constant_one_no_stability(
    seen: list[torch.Tensor],
) -> None:
    of = subject(Additive(), IMAGES)
    maps = maps_of(of)
    maps[1] = 0
    assert np.isnan(max_sensitivity(of, "any", maps)).tolist() == [False, True, False]
    assert np.isnan(stability(of, "any", maps)).tolist() == [False, True, False]


def test_noise_belongs_to_the_image(seen: list[torch.Tensor]) -> None:
    of = subject(Additive(), IMAGES)
    maps = maps_of(of)
    whole = stability(of, "any", maps), max_sensitivity(of, "any", maps)
    last = of._batch(slice(2, 3))
    for one, two in zip(
        whole,
        (stability(last, "any", maps[2:]), max_sensitivity(last, "any", maps[2:])),
        strict=True,
    ):
        np.testing.assert_allclose(one[2:], two)


def test_what_ignores_pixels_is_perfectly_stable() -> None:
    of = subject(Additive(), IMAGES)
    for name in ("random", "center"):
        maps = of.relevance(name)
        np.testing.assert_allclose(stability(of, name, maps), 1)
        np.testing.assert_array_equal(max_sensitivity(of, name, maps), 0)


def test_another_class_is_never_the_target_and_each_may_be_drawn() -> None:
    many = torch.zeros(200, 3, 8, 8)
    for target in (0, 2):
        found = other_classes(subject(Additive(), many, target=target), classes=4)
        assert set(found.tolist()) == {0, 1, 2, 3} - {target}


def test_random_logit_compares_with_the_map_of_that_class() -> None:
    of = subject(vit(), images(4), target=2, at_once=3)
    maps = of.relevance("grad-cam")
    found = random_logit(of, "grad-cam", maps)
    others = other_classes(of, 3)
    for k in range(4):
        alone = subject(vit(), images(4)[k : k + 1], target=int(others[k]))
        expected = stats.spearmanr(maps[k].ravel(), alone.relevance("grad-cam").ravel()).statistic
        assert found[k] == pytest.approx(expected, abs=1e-3)
    assert (found < 0.999).any()


def test_of_two_classes_the_other_one_is_known() -> None:
    assert other_classes(subject(Additive(), IMAGES, target=1), 2).tolist() == [0, 0, 0]
    assert other_classes(subject(Additive(), IMAGES, target=0), 2).tolist() == [1, 1, 1]


def test_explainers_without_class_have_one_and_one_class_has_none() -> None:
    of = subject(vit(), images(2))
    maps = of.relevance("attention-rollout")
    np.testing.assert_array_equal(random_logit(of, "attention-rollout", maps), 1)
    single = subject(Additive(classes=1), IMAGES, target=0)
    assert np.isnan(random_logit(single, "random", np.zeros((3, *GRID), np.float32))).all()
