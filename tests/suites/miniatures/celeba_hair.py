"""CelebA: the lists of its authors, or the CSV files of the repack on Kaggle."""

from __future__ import annotations

from pathlib import Path

from tests.suites.miniatures.pictures import GREY, RED, YELLOW, picture, save, write_lines

FOLDER = "celeba"
NAMES = ("5_o_Clock_Shadow", "Blond_Hair", "Male", "Young")
COUNTS = {"train": [5, 4, 3, 1], "val": [2, 2, 1, 1], "test": [3, 2, 2, 1]}


def write(root: Path, *, csv: bool = False) -> Path:
    """The folder; attributes are -1 or 1, the header lacks the name of the first column."""
    folder = root / FOLDER
    attributes, partition = [], []
    cells = [
        (split, *divmod(group, 2))
        for split, counts in enumerate(COUNTS.values())
        for group, n in enumerate(counts)
        for _ in range(n)
    ]
    for k, (split, blond, male) in enumerate(cells, 1):
        file = f"{k:06d}.jpg"
        attributes.append([file, "-1", str(2 * blond - 1), str(2 * male - 1), "1"])
        partition.append([file, str(split)])
        save(folder / "img_align_celeba" / file, picture(k, GREY, (RED, YELLOW)[blond]))
    (_write_csv if csv else _write_txt)(folder, attributes, partition)
    return folder


def _write_txt(folder: Path, attributes: list[list[str]], partition: list[list[str]]) -> None:
    lines = [f"{row[0]} {' '.join(f'{value:>2}' for value in row[1:])}" for row in attributes]
    write_lines(folder / "list_attr_celeba.txt", [str(len(lines)), " ".join(NAMES) + " ", *lines])
    write_lines(folder / "list_eval_partition.txt", [" ".join(row) for row in partition])


def _write_csv(folder: Path, attributes: list[list[str]], partition: list[list[str]]) -> None:
    header = ",".join(("image_id", *NAMES))
    write_lines(folder / "list_attr_celeba.csv", [header, *map(",".join, attributes)])
    write_lines(
        folder / "list_eval_partition.csv", ["image_id,partition", *map(",".join, partition)]
    )
