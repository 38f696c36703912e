from __future__ import annotations

import pytest

from ifambench.errors import UsageError
from tests.data.bird_files import bird_suite


def test_a_suite_of_files_is_read(tmp_path):
    suite = bird_suite(tmp_path)
    assert suite.generation is None
    assert suite.source.metadata == "metadata.csv"
    assert suite.source.label.values == {"0": "landbird", "1": "waterbird"}
    assert suite.origin is suite.source
    with pytest.raises(ValueError, match="frozen"):
        suite.source.masks = "other"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('reader = "metadata_csv"', 'reader = "os.system"', "source.reader"),
        ('images = "images"', 'images = "../images"', "source.images"),
        ('images = "images"', 'images = "/images"', "source.images"),
        ('images = "images"', 'images = "C:/images"', "source.images"),
        ('"tiny_birds"]', '"../birds"]', "source.folders"),
        ('folders = ["tinybirds", "tiny_birds"]', "folders = []", "source.folders"),
        ('"tiny_birds"]', '"."]', "folders must name a folder"),
        ('masks = "masks"', "masks_optional = true", "masks_optional without masks"),
        ('masks = "masks"', 'masks = "masks"\nmask_threshold = 255', "source.mask_threshold"),
        ('homepage = "', 'url = "', "source.url"),
        ('path = "img_filename"', "", "source.columns.path"),
        ('1 = "waterbird" }', '1 = "duck" }', "names nothing declared: ['duck']"),
        ('0 = "landbird", ', "", "source.label.values lacks ['landbird']"),
        ('1 = "val", ', "", "source.split.values lacks ['val']"),
        ('1 = "water" }', '1 = "sea" }', "source.attributes.place.values"),
        ("[source.attributes.place]", "[source.attributes.scene]", "must code ['place']"),
        (
            'variants = ["original"]',
            'variants = ["original", "mixed_rand"]',
            "names no variant of test: ['mixed_rand']",
        ),
        (
            "[splits]",
            '[generation]\ngenerator = "waterdigits"\nseed = 1\n\n[splits]',
            "exactly one of [generation] and [source]",
        ),
    ],
)
def test_what_is_wrong_is_named(old, new, text, tmp_path):
    with pytest.raises(UsageError) as caught:
        bird_suite(tmp_path, (old, new))
    assert text in str(caught.value.where)


def test_a_suite_without_any_images_is_refused(tmp_path):
    from tests.data.bird_files import SUITE

    start, end = SUITE.index("[source]"), SUITE.index("[splits]")
    with pytest.raises(UsageError) as caught:
        bird_suite(tmp_path, (SUITE[start:end], ""))
    assert "exactly one of [generation] and [source]" in str(caught.value.where)
