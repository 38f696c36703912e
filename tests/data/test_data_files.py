from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from ifambench.data.files import ByteCache, FilePixels, in_threads
from ifambench.data.images import View, read_image
from ifambench.data.load import load_data, split_sizes
from ifambench.data.masks import read_mask
from ifambench.data.subset import apportion
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.progress import Progress
from tests.data.bird_files import bird_suite, table_rows, write_birds, write_table


@pytest.fixture
def folder(tmp_path):
    return write_birds(tmp_path)


@pytest.fixture
def suite(tmp_path):
    return bird_suite(tmp_path / "suites")


@pytest.fixture
def data(folder, suite):
    return load_data(suite, data_dir=folder.parent)


def test_all_images_are_there_in_groups_as_promised(data, suite):
    for split, expected in suite.expected.items():
        counts = data.rows(split)["group"].value_counts()
        assert [counts[name] for name in suite.groups.names] == expected.groups
    assert data.train_shares() == (10 / 24, 2 / 24, 2 / 24, 10 / 24)


def test_pixels_are_those_of_the_files_in_the_order_of_the_rows(data, folder, suite):
    rows = data.manifest.sample(12, random_state=0)
    images, masks = data.pixels.images(rows), data.pixels.masks(rows)
    assert images.shape == (12, 32, 32, 3)
    assert images.dtype == np.uint8
    assert masks.dtype == np.bool_
    for k, (path, mask) in enumerate(zip(rows["path"], rows["mask"], strict=True)):
        assert (images[k] == read_image(folder / path, View(32))).all()
        assert (masks[k] == read_mask(folder, mask, View(32), suite.source)).all()


def test_the_view_decides_the_size(folder, suite):
    data = load_data(suite, data_dir=folder.parent, view=View(48, 0.9, "bicubic"))
    rows = data.rows("val")
    assert data.pixels.images(rows).shape == (8, 48, 48, 3)
    assert data.pixels.masks(rows).shape == (8, 48, 48)
    assert data.digest == load_data(suite, data_dir=folder.parent).digest


def test_a_part_that_is_larger_than_what_is_there_is_refused(folder, suite):
    splits = {name: 100 * n for name, n in suite.splits.items()}
    whole = suite.model_copy(update={"splits": splits, "expected": {}})
    with pytest.raises(EnvironmentProblem, match=r"2000 images of the split train .* 24 are"):
        load_data(whole, "2000", data_dir=folder.parent)
    assert len(load_data(suite, "20", data_dir=folder.parent).rows("train")) == 20


def test_no_row_gives_no_image(data):
    none = data.manifest.iloc[:0]
    assert data.pixels.images(none).shape == (0, 32, 32, 3)
    assert data.pixels.masks(none).shape == (0, 32, 32)


@pytest.mark.parametrize("limit", [0, 20_000, 2**30])
def test_the_cache_changes_no_pixel_and_keeps_its_bound(limit, data, folder, suite):
    pixels = FilePixels(folder, View(32), suite.source, cache_bytes=limit)
    rows = data.manifest.sample(40, random_state=1, replace=True)
    wanted = data.pixels.images(rows), data.pixels.masks(rows)
    for _ in range(2):
        assert (pixels.images(rows) == wanted[0]).all()
        assert (pixels.masks(rows) == wanted[1]).all()
    assert pixels.cache.size <= limit


def test_what_is_kept_is_not_read_again(data, folder):
    rows = data.rows("val")
    images = data.pixels.images(rows)
    for path in rows["path"]:
        (folder / path).unlink()
    assert (data.pixels.images(rows) == images).all()
    images[:] = 0
    assert data.pixels.images(rows).any(), "the caller may write into the batch"


def test_several_threads_may_read_at_once(data, folder, suite):
    pixels = FilePixels(folder, View(32), suite.source)
    wanted = data.pixels.images(data.manifest)
    found = list(in_threads(lambda _: pixels.images(data.manifest), list(range(4))))
    assert all((batch == wanted).all() for batch in found)
    assert pixels.cache.size == wanted.nbytes


def test_a_byte_cache_counts_an_array_once():
    cache = ByteCache(100)
    array = np.zeros(30, np.uint8)
    threads = [threading.Thread(target=cache.put, args=(k % 5, array)) for k in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.size == 90
    assert sum(cache.get(key) is not None for key in range(5)) == 3


def test_threads_keep_the_order_and_raise_the_first_failure():
    def work(k: int) -> int:
        if k in (70, 30):
            raise ValueError(str(k))
        return k * k

    assert list(in_threads(lambda k: k * k, list(range(100)))) == [k * k for k in range(100)]
    with pytest.raises(ValueError, match="30"):
        list(in_threads(work, list(range(100))))


def test_a_file_that_broke_since_is_named(data, folder):
    rows = data.rows("test")
    path = folder / rows["path"].iloc[3]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(EnvironmentProblem) as caught:
        data.pixels.images(rows)
    assert caught.value.where == str(path)


def test_an_image_without_a_mask_is_named(folder, tmp_path):
    suite = bird_suite(
        tmp_path / "optional", ('masks = "masks"', 'masks = "none"\nmasks_optional = true')
    )
    data = load_data(suite, data_dir=folder.parent)
    assert data.pixels.images(data.rows("val")).any()
    with pytest.raises(EnvironmentProblem, match="image 25 has no mask"):
        data.pixels.masks(data.rows("val"))


def test_a_page_instead_of_an_image_is_found_before_it_is_used(folder, suite):
    path = folder / "images/008.Rhinoceros_Auklet/Bird_0047.jpg"
    path.write_text("<html>404</html>")
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(suite, data_dir=folder.parent)
    assert caught.value.where == str(path)


def test_a_mask_of_another_size_is_found(folder, suite):
    path = folder / "masks/008.Rhinoceros_Auklet/Bird_0047.png"
    Image.fromarray(np.zeros((40, 56), bool)).save(path)
    with pytest.raises(EnvironmentProblem, match="the mask has 56 x 40 pixels") as caught:
        load_data(suite, data_dir=folder.parent)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("part", ["image", "mask", "label", "nothing"])
def test_the_digest_is_that_of_rows_and_bytes(part, data, folder, suite):
    path = folder / data.rows("train")[{"mask": "mask"}.get(part, "path")].iloc[0]
    if part in ("image", "mask"):
        with Image.open(path) as image:
            blank = Image.new(image.mode, image.size)
        blank.save(path)
    if part == "label":
        rows = table_rows(folder)
        rows[-1], rows[-12] = (  # the first image of the first two groups change places
            (*rows[-1][:4], rows[-12][4], rows[-1][5]),
            (*rows[-12][:4], rows[-1][4], rows[-12][5]),
        )
        write_table(folder, rows)
    again = load_data(suite, data_dir=folder.parent)
    assert (again.digest == data.digest) == (part == "nothing")


def test_the_digest_does_not_depend_on_where_the_files_lie(data, folder, suite, tmp_path):
    folder.rename(tmp_path / "tiny_birds")
    assert load_data(suite, data_dir=tmp_path).digest == data.digest
    assert load_data(suite, data_dir=tmp_path / "tiny_birds").digest == data.digest


def test_a_split_alone_is_the_same_as_among_the_others(data, folder, suite):
    alone = load_data(suite, splits=["val"], data_dir=folder.parent)
    assert set(alone.manifest["split"]) == {"val"}
    assert alone.rows("val").equals(data.rows("val"))


def test_progress_counts_every_image(folder, suite):
    class Count(Progress):
        total = done = 0

        def start(self, phase, total):
            self.total = total

        def advance(self, steps=1, note=""):
            self.done += steps

    progress = Count()
    load_data(suite, progress=progress, data_dir=folder.parent)
    assert progress.done == progress.total == 48


@pytest.mark.parametrize(
    ("change", "text", "key"),
    [
        (("groups = [4, 4, 4, 4]", "groups = [4, 4, 3, 5]"), "4 waterbird", "expected.test.groups"),
        (("test = 16", "test = 17"), "16 images; expected 17", "splits.test"),
    ],
)
def test_counts_that_differ_are_named(change, text, key, folder, tmp_path):
    with pytest.raises(EnvironmentProblem) as caught:
        load_data(bird_suite(tmp_path / "wrong", change), data_dir=folder.parent)
    assert text in caught.value.what
    assert str(caught.value.where).endswith(key)


def test_a_fingerprint_is_checked_at_the_default_size(folder, tmp_path):
    change = ("[splits]", f'[source.fingerprint]\nval = "{"0" * 64}"\n\n[splits]')
    wrong = bird_suite(tmp_path / "wrong", change)
    with pytest.raises(EnvironmentProblem, match='the listed split "val"') as caught:
        load_data(wrong, data_dir=folder.parent)
    found = caught.value.what.split("sha256 ")[1][:64]
    assert load_data(wrong, "20", data_dir=folder.parent)
    right = bird_suite(tmp_path / "right", (change[0], change[1].replace("0" * 64, found)))
    assert load_data(right, data_dir=folder.parent)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ("default", {"train": 24, "val": 8, "test": 16}),
        ("24", {"train": 24, "val": 8, "test": 16}),
        ("16", {"train": 16, "val": 5, "test": 11}),
    ],
)
def test_size_takes_a_part_of_all_splits(size, wanted, folder, suite):
    assert split_sizes(suite, size) == wanted
    data = load_data(suite, size, data_dir=folder.parent)
    assert data.manifest["split"].value_counts().to_dict() == wanted
    assert data.size == size
    assert all(set(data.rows(split)["group"]) == set(suite.groups.names) for split in wanted)


def test_available_takes_what_is_there_and_checks_no_count(folder, suite, tmp_path):
    rows = table_rows(folder)
    missing = [row for row in rows[1:] if row[3] == "1"][:3]
    for row in missing:
        (folder / "images" / row[1]).unlink()
    with pytest.raises(EnvironmentProblem, match="3 of"):
        load_data(suite, data_dir=folder.parent)
    data = load_data(suite, "available", data_dir=folder.parent)
    assert data.size == "available"
    assert data.rows("val").shape[0] == 8 - 3
    assert split_sizes(suite, "available") == suite.splits


@pytest.mark.parametrize("size", ["15", "25", "0", "-16", "1.5", "²", "all"])
def test_a_size_that_is_none_is_refused(size, suite):
    with pytest.raises(UsageError) as caught:
        split_sizes(suite, size)
    assert caught.value.where == "--size"
    assert "16 to 24" in caught.value.choices[1]


def test_a_subset_is_the_same_alone_and_keeps_the_order(folder, suite):
    data = load_data(suite, "18", data_dir=folder.parent)
    again = load_data(suite, "18", splits=["test"], data_dir=folder.parent)
    assert again.rows("test").equals(data.rows("test"))
    assert data.rows("train")["id"].map(int).is_monotonic_increasing
    larger = load_data(suite, "22", data_dir=folder.parent)
    assert set(data.manifest["id"]) <= set(larger.manifest["id"])


@pytest.mark.parametrize("sizes", [(818, 45, 15, 340), (1, 1, 1, 1), (10, 2, 2, 10)])
def test_parts_are_in_proportion_and_add_up(sizes):
    for total in range(len(sizes), min(sum(sizes), 200) + 1):
        parts = apportion(sizes, total)
        assert sum(parts) == total
        assert all(1 <= part <= size for part, size in zip(parts, sizes, strict=True))
        for part, size in zip(parts, sizes, strict=True):
            assert part == 1 or abs(part - total * size / sum(sizes)) < len(sizes)


def test_a_group_that_must_be_empty_is_named_when_it_is_not(folder, tmp_path):
    change = ("groups = [4, 4, 4, 4]", "groups = [4, 0, 4, 4]")
    wrong = bird_suite(tmp_path / "wrong", change)
    with pytest.raises(EnvironmentProblem, match='"landbird_on_water" must be empty') as caught:
        load_data(wrong, data_dir=folder.parent)
    assert str(caught.value.where).endswith("expected.test.groups")


def test_a_split_of_unknown_size_is_not_counted(folder, tmp_path):
    changes = [("train = 24", "train = 0"), ("n = 24\n", "n = 0\n")]
    suite = bird_suite(tmp_path / "open", *changes)
    assert load_data(suite, data_dir=folder.parent).rows("train").shape[0] == 24
    with pytest.raises(UsageError) as caught:
        load_data(suite, "20", data_dir=folder.parent)
    assert "available" in caught.value.choices


def test_shares_of_groups_without_training_images_are_zero(data, folder, suite):
    groups = ["waterbird_on_water", "waterbird_on_air"]
    assert data.train_shares("train", groups) == (10 / 24, 0.0)
    alone = load_data(suite, splits=["test"], data_dir=folder.parent)
    assert alone.train_shares() is None
