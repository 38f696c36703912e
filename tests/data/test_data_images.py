from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ifambench.data.images import View, read_image, read_mask
from ifambench.errors import EnvironmentProblem
from ifambench.models.timm_import import import_timm


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows downwards, green to the right."""
    down, across = np.mgrid[:height, :width]
    return np.stack([down, across, np.full((height, width), 9)], axis=-1).astype(np.uint8)


def saved(tmp_path, pixels: np.ndarray, name: str = "image.png", **options):
    path = tmp_path / name
    Image.fromarray(pixels).save(path, **options)
    return path


def test_the_centre_is_cropped_without_resizing_an_image_of_the_right_size(tmp_path):
    pixels = ramp(32, 50)
    found = read_image(saved(tmp_path, pixels), View(32))
    assert found.dtype == np.uint8
    assert (found == pixels[:, 9:41]).all()


def test_the_shorter_side_is_resized_and_the_aspect_ratio_kept(tmp_path):
    found = read_image(saved(tmp_path, ramp(64, 160)), View(32))
    assert found.shape == (32, 32, 3)
    steps = np.diff(found.astype(int), axis=0)[..., 0], np.diff(found.astype(int), axis=1)[..., 1]
    assert all(set(step.flat) <= {1, 2, 3} for step in steps)
    assert abs(found[..., 1].mean() - 79.5) <= 0.5  # the middle of the width


def test_the_crop_share_shows_less_of_the_image(tmp_path):
    path = saved(tmp_path, ramp(80, 80))
    whole, part = read_image(path, View(40)), read_image(path, View(40, crop_pct=0.5))
    assert (part == ramp(80, 80)[20:60, 20:60]).all()
    assert np.ptp(whole[..., 0]) > np.ptp(part[..., 0])


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 255
    for interpolation in ("bilinear", "bicubic"):
        found = read_image(saved(tmp_path, stripes), View(16, 1.0, interpolation))
        assert np.abs(found[2:-2].astype(int) - 127).max() < 40


@pytest.mark.parametrize(("width", "height"), [(33, 47), (47, 33), (20, 20), (500, 31), (224, 225)])
@pytest.mark.parametrize("crop", [1.0, 0.9, 0.875])
def test_every_size_gives_a_square_and_masks_the_same_one(width, height, crop, tmp_path):
    view = View(30, crop)
    path = saved(tmp_path, ramp(height, width))
    assert read_image(path, view).shape == (30, 30, 3)
    assert read_mask(path, view).shape == (30, 30)


def test_a_mask_stays_on_its_object(tmp_path):
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[20:50, 30:70] = 255
    image = saved(tmp_path, pixels)
    mask = saved(tmp_path, pixels[..., 0] > 0, "mask.png")
    for view in (View(32), View(48, 0.8, "bicubic"), View(90)):
        bright = read_image(image, view)[..., 0] > 127
        found = read_mask(mask, view)
        assert (bright & found).sum() / (bright | found).sum() > 0.9


def test_a_soft_mask_is_cut_at_the_threshold(tmp_path):
    path = saved(tmp_path, np.array([[0, 100], [128, 255]], np.uint8))
    assert read_mask(path, View(2)).tolist() == [[False, False], [True, True]]
    assert read_mask(path, View(2), threshold=0).tolist() == [[False, True], [True, True]]


def test_the_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: bright on top
    found = read_image(saved(tmp_path, pixels, "image.jpg", exif=exif, quality=95), View(40))
    assert found[:15].min() > 200
    assert found[-15:].max() < 50


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    name = "image.jpg" if mode == "CMYK" else "image.png"
    path = tmp_path / name
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).convert(mode).save(path)
    found = read_image(path, View(8))
    assert found.shape == (8, 8, 3)
    assert found.min() > 240


def test_grey_levels_of_16_bits_keep_their_range(tmp_path):
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    path = saved(tmp_path, levels)
    found = read_image(path, View(16))
    assert (found == (levels // 256)[..., None]).all()
    assert (read_mask(path, View(16)) == (levels // 256 > 127)).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey_levels_without_a_range_are_refused(kind, tmp_path):
    path = saved(tmp_path, np.ones((8, 8), kind), "image.tiff")
    for read in (read_image, read_mask):
        with pytest.raises(EnvironmentProblem, match="no fixed range"):
            read(path, View(8))


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\x89PNG\r\n\x1a\n broken", None]
)
def test_what_is_no_image_is_named(content, tmp_path):
    path = tmp_path / "image.jpg"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, read_mask):
        with pytest.raises(EnvironmentProblem) as caught:
            read(path, View(8))
        assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["image.jpg", "image.png"])
def test_a_truncated_image_is_named(name, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, noise, name)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(EnvironmentProblem) as caught:
        read_image(path, View(32))
    assert caught.value.where == str(path)
    assert "truncated" in caught.value.what


def test_a_folder_is_no_image(tmp_path):
    with pytest.raises(EnvironmentProblem):
        read_image(tmp_path, View(8))


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 251), (64, 64), (97, 301)])
@pytest.mark.parametrize("crop", [0.875, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mode", ["center", "squash"])
def test_the_pixels_are_those_of_timms_evaluation_transform(
    size, crop, interpolation, mode, tmp_path
):
    transform = timm_transform(
        (3, 160, 160), interpolation=interpolation, crop_pct=crop, crop_mode=mode, normalize=False
    )
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = saved(tmp_path, noise, "image.jpg", quality=90)
    with Image.open(path) as image:
        expected = transform(image.convert("RGB")).permute(1, 2, 0).numpy()
    found = read_image(path, View(160, crop, interpolation, mode))
    assert (found == expected).all()


def timm_transform(*arguments, **options):
    return import_timm().data.create_transform(*arguments, **options)


def test_a_squashed_image_keeps_its_borders(tmp_path):
    pixels = ramp(60, 90)
    found = read_image(saved(tmp_path, pixels), View(30, crop_mode="squash"))
    assert found[..., 1].min() <= 2
    assert found[..., 1].max() >= 87
    mask = saved(tmp_path, pixels[..., 1] > 44, "mask.png")
    assert read_mask(mask, View(30, crop_mode="squash"))[:, 15:].all()


def test_a_line_that_would_fill_the_memory_is_refused(tmp_path):
    Image.new("L", (1, 20_000)).save(tmp_path / "line.png")
    with pytest.raises(EnvironmentProblem, match="1 x 20000 pixels it is too narrow"):
        read_image(tmp_path / "line.png", View(224))
