"""Masks of all forms, in the geometry of their image."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifambench.data import masks
from ifambench.data.hdf5 import hdf5_image, is_hdf5
from ifambench.data.images import View, read_image
from ifambench.data.masks import decode_rle, mask_size, read_mask
from ifambench.errors import EnvironmentProblem
from tests.data.file_suites import file_suite

SHAPE = (24, 40)
VIEW = View(16)


def source(**changes):
    table = {
        "reader": "image_folder",
        "patterns": [{"path": "{y}/{name}.jpg", "split": "test"}],
        "masks": "masks",
    }
    return file_suite(table | changes, ["a", "b"], {"test": 0}).source


BRIGHT = source()
TRIMAP = source(mask_format="values", mask_values=[1, 3])
NPY = source(mask_format="npy")


@pytest.fixture
def blob():
    down, across = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(down - 8, across - 25) < 7


def expected(mask):
    """The square in the centre, which is what `View(24)` shows of 24 x 40 pixels."""
    return mask[:, 8:32]


def test_all_forms_give_the_same_mask(blob, tmp_path):
    view = View(24)
    Image.fromarray(blob).save(tmp_path / "m.png")
    Image.fromarray(np.where(blob, 255, 90).astype(np.uint8)).save(tmp_path / "grey.png")
    trimap = np.where(blob, 1, 2).astype(np.uint8)
    trimap[8] = np.where(blob[8], 3, 2)
    Image.fromarray(trimap).save(tmp_path / "t.png")
    np.save(tmp_path / "bool.npy", blob)
    np.save(tmp_path / "int.npy", blob.astype(np.int64) * 7)
    np.save(tmp_path / "float.npy", np.where(blob, 0.6, 0.4))
    np.save(tmp_path / "wide.npy", np.where(blob, 200.0, 100.0))
    np.savez(tmp_path / "m.npz", mask=blob)
    arrays = ["bool.npy", "int.npy", "float.npy", "wide.npy", "m.npz"]
    kinds = [(BRIGHT, "m.png"), (BRIGHT, "grey.png"), (TRIMAP, "t.png")]
    for kind, name in [*kinds, *((NPY, name) for name in arrays)]:
        found = read_mask(tmp_path, name, view, kind)
        assert found.dtype == np.bool_
        assert (found == expected(blob)).all(), name
        assert mask_size(tmp_path, name, kind) == (40, 24), name
    only = read_mask(tmp_path, "t.png", view, source(mask_format="values", mask_values=[1]))
    assert only.sum() == expected(blob).sum() - expected(blob)[8].sum()


def test_a_palette_is_a_label_map_too(blob, tmp_path):
    image = Image.fromarray(np.where(blob, 1, 2).astype(np.uint8), "P")
    image.putpalette([9, 9, 9, 0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "p.png")
    assert (read_mask(tmp_path, "p.png", View(24), TRIMAP) == expected(blob)).all()


@pytest.mark.parametrize("kind", ["bright", "values", "npy"])
def test_masks_have_the_geometry_of_their_image(kind, blob, tmp_path):
    """An object of full contrast: where the image is bright, the mask is true."""
    Image.fromarray(np.repeat(blob[..., None] * np.uint8(255), 3, axis=2)).save(tmp_path / "i.png")
    Image.fromarray(blob.astype(np.uint8)).save(tmp_path / "values.png")
    Image.fromarray(blob).save(tmp_path / "bright.png")
    np.save(tmp_path / "npy.npy", blob)
    chosen = {"bright": BRIGHT, "values": TRIMAP, "npy": NPY}[kind]
    view = View(16, crop_pct=0.8)
    image = read_image(tmp_path / "i.png", view)[..., 0]
    mask = read_mask(tmp_path, f"{kind}.{'npy' if kind == 'npy' else 'png'}", view, chosen)
    assert mask[image > 220].all()
    assert not mask[image < 35].any()


def naive_rle(runs: str, side: int) -> list[list[int]]:
    """Pixel by pixel: down each column, `gap` pixels off, `length` pixels on."""
    picture = [[0] * side for _ in range(side)]
    for lesion in runs.split(";"):
        row = column = 0
        on = False
        for text in lesion.split():
            for _ in range(int(text)):
                if on:
                    picture[row][column] = 1
                row += 1
                if row == side:
                    row, column = 0, column + 1
            on = not on
    return picture


@st.composite
def run_lengths(draw):
    """Up to three lesions in 9 x 9 pixels."""
    lesions = []
    for _ in range(draw(st.integers(1, 3))):
        left, numbers = 81, []
        while left > 0 and draw(st.booleans()):
            gap = draw(st.integers(0, left))
            length = draw(st.integers(0, left - gap))
            numbers += [gap, length]
            left -= gap + length
        lesions.append(" ".join(map(str, numbers)))
    return ";".join(lesions)


@given(run_lengths())
@settings(max_examples=80, deadline=None)
def test_run_lengths_go_down_the_columns(runs):
    assert decode_rle(runs, 9).astype(int).tolist() == naive_rle(runs, 9)


def test_a_lesion_at_the_top_right_stays_there(tmp_path):
    side = 64
    mask = np.zeros((side, side), bool)
    mask[4:9, 40:60] = True
    flat = mask.T.reshape(-1).astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    runs = " ".join(str(n) for n in np.diff(np.concatenate([[0], edges])))
    found = read_mask(tmp_path, f"rle:{side}:{runs}", View(side), BRIGHT)
    assert (found == mask).all()
    assert mask_size(tmp_path, f"rle:{side}:{runs}", BRIGHT) == (side, side)
    assert (
        read_mask(tmp_path, f"rle:{side}:{runs}", View(32), BRIGHT) == mask[1::2, 1::2]
    ).mean() > 0.97


@pytest.mark.parametrize(
    "runs", ["1", "1 a", "1 -1", "60 5", "0 65", f"0 {2**63}", f"{2**62} " * 4]
)
def test_run_lengths_that_are_none_are_refused(runs, tmp_path):
    with pytest.raises(EnvironmentProblem, match="a mask cannot be read"):
        read_mask(tmp_path, f"rle:8:{runs}", VIEW, BRIGHT)


def pickled():
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def saved(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def two_arrays():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    return buffer.getvalue()


def odd_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", b"no array")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickled(),
        saved(np.zeros((2, 2, 3))),
        saved(np.array([[np.nan, 1.0]])),
        saved(np.array([["a"]])),
        saved(np.zeros((9, 9)))[:200],
        two_arrays(),
        odd_zip(),
        two_arrays()[:-30],
        b"PK\x05\x06",
        b"",
        b"<html>",
    ],
)
def test_a_damaged_array_is_named_and_nothing_is_unpickled(content, tmp_path):
    (tmp_path / "m.npy").write_bytes(content)
    with pytest.raises(EnvironmentProblem) as caught:
        read_mask(tmp_path, "m.npy", VIEW, NPY)
    assert caught.value.where == str(tmp_path / "m.npy")


@pytest.mark.parametrize("kind", [BRIGHT, TRIMAP, NPY], ids=["bright", "values", "npy"])
def test_a_missing_mask_is_named(kind, tmp_path):
    for ask in (
        lambda: read_mask(tmp_path, "no.png", VIEW, kind),
        lambda: mask_size(tmp_path, "no.png", kind),
    ):
        with pytest.raises(EnvironmentProblem, match="missing"):
            ask()


def test_a_picture_in_colours_is_no_label_map(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "m.png")
    with pytest.raises(EnvironmentProblem, match="one channel"):
        read_mask(tmp_path, "m.png", VIEW, TRIMAP)


@pytest.mark.parametrize("form", ["bytes", "channels first", "fractions", "grey"])
def test_images_of_hdf5_files(form, tmp_path):
    h5py = pytest.importorskip("h5py")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)
    if form == "grey":
        pixels[:] = pixels[..., :1]
    stored = {
        "bytes": pixels,
        "channels first": pixels.transpose(0, 3, 1, 2),
        "fractions": (pixels / 255.0).astype(np.float32),
        "grey": pixels[..., 0],
    }[form]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = stored
    assert (np.asarray(hdf5_image(tmp_path, "a.h5#2")) == pixels[2]).all()
    with pytest.raises(EnvironmentProblem, match='"images" has no image 3'):
        hdf5_image(tmp_path, "a.h5#3")


@pytest.mark.parametrize(
    "stored",
    [
        np.full((1, 4, 4, 3), 1.5),
        np.full((1, 4, 4, 3), np.nan),
        np.zeros((1, 4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.int32),
    ],
)
def test_arrays_that_are_no_images_are_refused(stored, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = stored
    with pytest.raises(EnvironmentProblem, match="an image has"):
        hdf5_image(tmp_path, "a.h5#0")


def test_only_hdf5_entries_are_taken_for_such():
    assert [is_hdf5(name) for name in ("a/b.hdf5#0", "a.h5", "a#1.png", "a.h5#x")] == [
        True,
        *[False] * 3,
    ]


def test_a_small_archive_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "_MOST_BYTES", 5_000)
    np.savez_compressed(tmp_path / "m.npz", np.zeros((90, 90), bool))
    with pytest.raises(EnvironmentProblem, match="unpacks to more than 5,000 bytes"):
        read_mask(tmp_path, "m.npz", VIEW, NPY)


@pytest.mark.parametrize("size", [10**5, 10**9])
def test_a_header_that_promises_more_than_the_file_holds_is_refused(size, tmp_path):
    head = saved(np.zeros((9, 9), np.uint8))[:128]
    (tmp_path / "m.npy").write_bytes(head.replace(b"(9, 9)", f"({size}, {size})".encode())[:128])
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        read_mask(tmp_path, "m.npy", VIEW, NPY)


def test_arrays_that_lie_in_another_file_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    pixels = np.zeros((1, 4, 4, 3), np.uint8)
    (tmp_path / "secret").write_bytes(pixels.tobytes())
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["images"] = pixels
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("b.h5", "images")
        layout = h5py.VirtualLayout(pixels.shape, pixels.dtype)
        layout[:] = h5py.VirtualSource(tmp_path / "b.h5", "images", pixels.shape)
        file.create_virtual_dataset("virtual", layout)
        raw = [(tmp_path / "secret", 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("external", pixels.shape, pixels.dtype, external=raw)
    for key in ("linked", "virtual", "external"):
        with pytest.raises(EnvironmentProblem, match="lies in another file"):
            hdf5_image(tmp_path, "a.h5#0", key)


def test_an_enormous_image_is_not_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", (1, 10**6, 10**6, 3), np.uint8, chunks=(1, 64, 64, 3))
        file.create_group("folder")
    with pytest.raises(EnvironmentProblem, match="an image has the shape"):
        hdf5_image(tmp_path, "a.h5#0")
    with pytest.raises(EnvironmentProblem, match='no array "folder"'):
        hdf5_image(tmp_path, "a.h5#0", "folder")
