from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ifambench.data.load import load_data
from ifambench.data.swap import quality
from ifambench.data.swap.build import SwapBuild, build_swap
from ifambench.data.swap.compose import MIXED
from ifambench.data.swap.pools import photos
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from ifambench.suites.variant import SWAPS


@pytest.fixture(scope="module")
def suite():
    return load_suite("waterdigits").suite


@pytest.fixture(scope="module")
def drawn(suite):
    return load_data(suite, "200", splits=["test"])


def build(suite, out, **changes):
    asked = {"size": "200", "only_split": True, **changes}
    return build_swap(SwapBuild(suite, out, **asked), Progress())


@pytest.fixture(scope="module")
def built(suite, tmp_path_factory):
    return build(suite, tmp_path_factory.mktemp("built") / "digits")


@pytest.fixture(scope="module")
def data(built):
    suite = load_suite(str(built.folder / "suite.toml")).suite
    variants = suite.protocol["standard"].variants
    return load_data(suite, data_dir=built.folder, variants=variants)


def test_the_originals_and_masks_are_those_of_the_suite(data, drawn):
    rows = drawn.rows("test").sort_values("id", ignore_index=True)
    assert data.rows("test")["id"].tolist() == rows["id"].tolist()
    assert (data.pixels.images(data.rows("test")) == drawn.pixels.images(rows)).all()
    assert (data.pixels.masks(data.rows("test")) == drawn.pixels.masks(rows)).all()
    assert data.rows("test")["group"].tolist() == rows["group"].tolist()


@pytest.mark.parametrize("name", ["only_fg", *MIXED])
def test_the_object_is_bit_exact_in_its_known_mask(name, data):
    rows = data.rows("test", name)
    masks = data.pixels.masks(data.rows("test"))
    original = data.pixels.images(data.rows("test"))
    shown = data.pixels.images(rows)
    assert len(rows) == len(original)
    assert (shown[masks] == original[masks]).all()
    assert (shown[~masks] != original[~masks]).any()
    if name == "only_fg":
        assert (shown[~masks] == 0).all()


def test_the_background_of_a_mixed_image_is_the_one_of_the_table(data, built):
    table = pd.read_csv(built.folder / "pairing.csv", dtype=str)
    background = data.rows("test", "only_bg_t").set_index("id", drop=False)
    masks = data.pixels.masks(data.rows("test"))
    for name in MIXED:
        chosen = table[table["variant"] == name].set_index("fg_id")["bg_id"]
        rows = data.rows("test", name)
        shown = data.pixels.images(rows)
        behind = data.pixels.images(background.loc[chosen.loc[rows["id"]].tolist()])
        assert (shown[~masks] == behind[~masks]).all()


def test_no_object_is_left_in_a_background(data):
    masks = data.pixels.masks(data.rows("test"))
    rows, columns = masks.any(axis=2), masks.any(axis=1)
    box = np.stack([np.outer(r, c) for r, c in zip(_span(rows), _span(columns), strict=True)])
    assert (data.pixels.images(data.rows("test", "only_bg_b"))[box] == 0).all()
    assert (data.pixels.images(data.rows("test", "no_fg"))[masks] == 0).all()
    original = data.pixels.images(data.rows("test"))
    for name in ("only_bg_b", "only_bg_t"):
        assert (data.pixels.images(data.rows("test", name))[~box] == original[~box]).all()


def _span(lines):
    """From the first to the last marked one."""
    forward, backward = np.cumsum(lines, axis=1), np.cumsum(lines[:, ::-1], axis=1)[:, ::-1]
    return (forward > 0) & (backward > 0)


def test_two_builds_with_other_numbers_of_workers_are_equal(suite, built, tmp_path, monkeypatch):
    monkeypatch.setattr("ifambench.data.files._MAX_THREADS", 1)
    again = build(suite, tmp_path / "digits")
    assert again.pairing_sha256 == built.pairing_sha256
    files = sorted(path.relative_to(built.folder) for path in built.folder.rglob("*.*"))
    assert len(files) == 80 * (2 + len(SWAPS)) + 3
    for name in files:
        assert (again.folder / name).read_bytes() == (built.folder / name).read_bytes()


def test_the_suite_file_says_what_was_built(built):
    suite = load_suite(str(built.folder / "suite.toml")).suite
    assert suite.splits == {"test": 80}
    assert suite.protocol["standard"].selection == "none"
    assert suite.variants_in("test") == ["original", *SWAPS]
    assert built.pairing_sha256 in suite.known_issues[0]


def test_a_suite_with_its_training_images_can_be_trained(suite, tmp_path):
    made = build(suite, tmp_path / "all", only_split=False, swaps=("only_fg",))
    found = load_suite(str(made.folder / "suite.toml")).suite
    assert found.splits == {"train": 200, "val": 40, "test": 80}
    assert found.protocol["standard"].selection == suite.protocol["standard"].selection
    assert found.recipe == suite.recipe


def test_nothing_is_overwritten_and_nothing_left_behind(suite, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(UsageError, match="something already"):
        build(suite, tmp_path / "mine")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ifambench.data.swap.build.write_tables", full)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        build(suite, tmp_path / "new", swaps=("only_fg",))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"split": "dev"}, "--split"),
        ({"swaps": ("only_birds",)}, "--variants"),
        ({"style": {"pair_by": "attribute:colour"}}, "--pair-by"),
        ({"style": {"pair_by": "place"}}, "--pair-by"),
    ],
)
def test_what_the_suite_does_not_have_is_refused(changes, where, suite, tmp_path):
    with pytest.raises(UsageError) as caught:
        build(suite, tmp_path / "new", **changes)
    assert caught.value.where == where
    assert not list(tmp_path.iterdir())


def _photo(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (90, 70), colour).save(path)


def test_backgrounds_from_a_pool_by_category(suite, tmp_path):
    for place, colour in (("land", "green"), ("water", "blue")):
        for k in range(2):
            _photo(tmp_path / "pool" / place / f"{k}.png", colour)
    made = build(
        suite,
        tmp_path / "new",
        pool=tmp_path / "pool",
        swaps=("mixed_same", "mixed_next"),
        style={"pair_by": "attribute:place"},
    )
    found = load_suite(str(made.folder / "suite.toml")).suite
    data = load_data(found, data_dir=made.folder, variants=["mixed_same", "mixed_next"])
    masks = data.pixels.masks(data.rows("test"))
    for name, colours in (("mixed_same", ("green", "blue")), ("mixed_next", ("blue", "green"))):
        rows = data.rows("test", name)
        for image, mask, place in zip(
            data.pixels.images(rows), masks, rows["a_place"], strict=True
        ):
            wanted = Image.new("RGB", (1, 1), colours[place == "water"]).getpixel((0, 0))
            assert (image[~mask] == wanted).all()


def test_a_pool_without_categories_gives_no_same_and_no_next(suite, tmp_path):
    _photo(tmp_path / "pool" / "a.jpg", "grey")
    made = build(suite, tmp_path / "new", pool=tmp_path / "pool")
    assert list(made.images) == [
        *("original", "only_fg", "only_bg_b", "only_bg_t", "no_fg", "mixed_rand")
    ]
    with pytest.raises(UsageError, match="needs the categories"):
        build(suite, tmp_path / "other", pool=tmp_path / "pool", swaps=("mixed_same",))


def test_half_a_pool_is_refused(suite, tmp_path):
    _photo(tmp_path / "pool" / "zero" / "a.jpg", "grey")
    with pytest.raises(UsageError, match='none for "one"'):
        build(suite, tmp_path / "new", pool=tmp_path / "pool")


def test_a_suite_none_of_whose_objects_can_be_swapped_is_refused(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "MIN_AREA", 0.99)
    with pytest.raises(EnvironmentProblem, match="no image of waterdigits can have a background"):
        build(suite, tmp_path / "none", swaps=["mixed_same"])
    assert not (tmp_path / "none").exists()


def test_what_a_system_hides_is_no_photo(tmp_path):
    for name in ("b.jpg", "._b.jpg", ".thumbs/c.jpg", "__MACOSX/d.jpg", "a/e.PNG"):
        path = tmp_path / "pool" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert photos(tmp_path / "pool") == ["a/e.PNG", "b.jpg"]
