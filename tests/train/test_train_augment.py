"""Warps and their inverses, and the colour jitter."""

import pytest
import torch

from ifambench.train.augment import colour_jitter, draw_affine, warp


def smooth_image() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    blob = torch.exp(-(x.square() + (y - 0.2).square()) / 0.05)
    return blob[None, None].expand(2, 3, 64, 64).contiguous()


def test_identity_warp_changes_nothing():
    image = smooth_image()
    assert torch.allclose(warp(image, torch.eye(2, 3)), image, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_backward_warp_undoes_the_forward_warp(seed):
    torch.manual_seed(seed)
    image, pair = smooth_image(), draw_affine()
    moved = warp(image, pair.forward)
    assert (moved - image).abs().max() > 0.1
    assert (warp(moved, pair.backward) - image).abs().max() < 0.05


def test_jitter_is_affine_per_image_and_channel_and_off_at_zero():
    torch.manual_seed(0)
    image = smooth_image()
    jittered = colour_jitter(image, 0.2)
    assert torch.equal(colour_jitter(image, 0.0), image)
    scale = (jittered[..., 32, 32] - jittered[..., 0, 0]) / (image[..., 32, 32] - image[..., 0, 0])
    assert (scale - 1).abs().max() <= 0.2 + 1e-5
    assert scale.flatten().unique().numel() == 6
