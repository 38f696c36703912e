"""ImageNet's validation photos in a folder per WordNet id, and suites that are made of them."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import BLUE, GREEN, GREY, disc, picture
from tests.suites.miniatures.sharp import save_jpeg

CARTON, OSTRICH, SLED = "n02971356", "n01518878", "n03218198"
SAMPLE = {"n01440764": "tench", "n01484850": "great_white_shark", "n15075141": "toilet_tissue"}


def write_imagenet(root: Path, *classes: str, each: int = 2) -> Path:
    """`imagenet/val/<WordNet id>/ILSVRC2012_val_<number>.JPEG`."""
    return write_val(root / "imagenet" / "val", *classes, each=each)


def write_val(folder: Path, *classes: str, each: int = 2) -> Path:
    """The folders of some classes."""
    for c, wnid in enumerate(classes):
        for k in range(each):
            number = each * c + k + 1
            save_jpeg(folder / wnid / f"ILSVRC2012_val_{number:08d}.JPEG", picture(number, GREEN))
    return folder


def write_hard_imagenet(root: Path) -> Path:
    """Masks and their pickles as unpacked from Box, and in it the photos of two classes."""
    folder = root / "hardImageNet"
    write_val(folder / "HardImageNet_Images" / "val", SLED, OSTRICH)
    write_val(folder / "HardImageNet_Images" / "train", SLED)
    for wnid, numbers in ((SLED, (1, 2)), (OSTRICH, (3, 4))):
        for number in numbers:
            name = f"{wnid}_ILSVRC2012_val_{number:08d}.JPEG"
            save_jpeg(folder / "val" / name, 255 * disc(number).astype("uint8"))
    save_jpeg(folder / "train" / f"{SLED}_{SLED}_1.JPEG", 255 * disc().astype("uint8"))
    (folder / "meta").mkdir()
    (folder / "meta" / "hard_imagenet_idx.pkl").write_bytes(b"never read")
    return folder


def write_counteranimal(root: Path) -> Path:
    """`LAION-final/<index> <class>/<common or counter>-<background>/`, and a list of names."""
    folder = root / "counteranimal" / "LAION-final"
    pairs = {"9 ostrich": ("ground", "water"), "292 tiger": ("tree", "snow")}
    for animal, (common, counter) in pairs.items():
        for k in range(3):
            save_jpeg(folder / animal / f"common-{common}" / f"{k}.jpg", picture(k, GREEN))
        for k in range(2):
            save_jpeg(folder / animal / f"counter-{counter}" / f"{k}.jpeg", picture(k, BLUE))
    (folder / "imagenet_names.txt").write_text("0\ttench\n", encoding="utf-8")
    return folder


def write_spurious(root: Path, words: str) -> Path:
    """Photos of the features of two classes, and the validation photos of these and another."""
    folder = root / "spurious-imagenet"
    write_val(folder / "val", OSTRICH, CARTON, SLED)
    for index, component in ((9, 4), (478, 1)):
        place = folder / "images" / words.format(index=index, component=component)
        for k in range(3):
            save_jpeg(place / f"{k:02d}.jpg", picture(k, GREY))
    (folder / "images" / "timestamp.txt").write_text("20230101\n", encoding="utf-8")
    return folder


def write_sample(root: Path, layout: str) -> Path:
    """Photos of three classes: `<WordNet id>_<name>.JPEG`, or `<index>_<WordNet id>.jpg`."""
    published = layout == "published"
    folder = root / ("imagenet-sample-images" if published else "imagenet_sample1000")
    for k, (wnid, name) in zip((0, 2, 999), SAMPLE.items(), strict=True):
        file = f"{wnid}_{name}.JPEG" if published else f"{k:04d}_{wnid}.jpg"
        save_jpeg(folder / file, picture(k, GREEN))
    extra = "gallery.md" if published else "labels.csv"
    (folder / extra).write_text("file,class_index,wnid,name\n", encoding="utf-8")
    return folder
