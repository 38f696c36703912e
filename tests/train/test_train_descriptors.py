"""The descriptors that pretraining predicts."""

import torch

from ifambench.train.descriptors import gradient_histograms, pixels


def stripes(along: str) -> torch.Tensor:
    wave = torch.sin(torch.arange(16) * 1.5)
    plane = wave[:, None].expand(16, 16) if along == "x" else wave[None, :].expand(16, 16)
    return plane.expand(1, 3, 16, 16).contiguous()


def test_shape_and_mean_colour():
    found = gradient_histograms(torch.full((2, 3, 16, 16), 0.25), 8)
    assert found.shape == (2, 4, 9)
    assert torch.allclose(found[..., :3], torch.tensor(0.25))
    assert torch.allclose(found[..., 3:], torch.tensor(1e-3).log())


def test_orientation_bins_tell_horizontal_from_vertical_stripes():
    horizontal = gradient_histograms(stripes("x"), 8)[0, 0, 3:].argmax()  # gradient along y
    vertical = gradient_histograms(stripes("y"), 8)[0, 0, 3:].argmax()  # gradient along x
    assert horizontal in (2, 3)
    assert vertical in (0, 5)


def test_a_quarter_turn_of_the_image_moves_the_energy_to_the_other_bins():
    a = gradient_histograms(stripes("x"), 8).exp()[0, :, 3:].sum(0)
    b = gradient_histograms(stripes("y"), 8).exp()[0, :, 3:].sum(0)
    assert torch.allclose(a.sum(), b.sum(), rtol=1e-3)
    assert torch.allclose(a.roll(3), b, rtol=1e-2, atol=1e-2)


def test_pixels_of_a_patch_in_raster_order():
    image = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    found = pixels(image, 2)
    assert found.shape == (1, 4, 12)
    assert found[0, 1, :4].tolist() == [2, 3, 6, 7]
