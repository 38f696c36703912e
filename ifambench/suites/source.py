"""The section `[source]` of `suite.toml`: images that lie in files, and how they are listed.

Each reader has its own fields; `reader` chooses. Unknown fields are errors of their reader.

    [source]
    reader = "metadata_csv"
    folders = ["waterbirds"]            # tried in this order below the data folder
    images = "images"
    masks = "masks"

    [source.columns]
    id = "img_id"
    path = "img_filename"

    [source.label]                      # value in the table -> name in the suite file
    column = "y"
    values = { "0" = "landbird", "1" = "waterbird" }

The names on the right of a coding are those of `labels`, of the splits and of the attributes, so
that no number of a table is ever taken for a class or a group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ifambench.suites.parts import Closed, Inside, PathPattern, Split, fields_of, tag_by
from ifambench.suites.source_base import SourceBase
from ifambench.suites.source_table import MetadataCsv

PLUGIN = "plugin:"


class Pattern(Closed):
    """Files that belong to a split, by the shape of their path.

    `path` holds fields in braces: `train/{y}/{y}({context})/{name}.jpg`. A field matches within one
    folder or file name; a field that stands twice must be equal. `{y}` (or `{y_index}`, the class
    by its index), `{split}` and the names of attributes are read, other fields only tell images
    apart. `{name}` ends in any image suffix if the pattern gives none.
    """

    path: PathPattern
    split: Split | None = None
    """Of all these files, unless the path has `{split}`."""
    where: dict[str, list[str]] = Field(default_factory=dict)
    """Only files whose fields have one of these values, as they stand in the path."""
    set: dict[str, str] = Field(default_factory=dict)
    """`y` or attributes that the path does not tell, as declared names."""
    skip: int = Field(default=0, ge=0)
    """Files left out at the beginning, in sorted order, per cell of the read fields."""
    first: int | None = Field(default=None, gt=0)
    """Files taken after that, per cell."""
    optional: bool = False
    """The data may have no such file: another distribution of them has other names."""


class ImageFolder(SourceBase):
    """Files whose folders and names tell class, attributes and split."""

    reader: Literal["image_folder"]
    patterns: list[Pattern] = Field(min_length=1)
    id: str = ""
    """Fields that make the id, such as `{y}/{name}`; by default the path without its suffix."""
    codings: dict[str, dict[str, str]] = Field(default_factory=dict)
    """For `y`, `split` and attributes: value in the path -> declared name; else they are equal."""
    marker_path: Inside = ""
    """File or folder that must be there; by default the part of the first pattern before `{`."""
    mask_pattern: PathPattern | None = None
    """Mask of an image from its fields, instead of `masks`: a path in the suite's folder. If it
    ends in a field, `mask_suffix` is added."""
    exclude: list[str] = Field(default_factory=list)
    """Names of files and folders that are left out; `*` and `?` are wildcards."""

    @property
    def marker(self) -> str:
        """A file or folder that the suite's folder must hold."""
        if self.marker_path:
            return self.marker_path
        parts = f"{self.images}/{self.patterns[0].path}".split("/")
        return _fixed(parts)

    @property
    def mask_root(self) -> str | None:
        """Folder that holds the masks."""
        return (
            super().mask_root if self.mask_pattern is None else _fixed(self.mask_pattern.split("/"))
        )

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """Every pattern tells label, split and all attributes, by declared names."""
        declared = {"y": labels, "split": splits, **attributes}
        for key, coding in self.codings.items():
            _check_declared(f"source.codings.{key}", key, coding.values(), declared)
        for index, pattern in enumerate(self.patterns):
            where = f"source.patterns.{index}"
            for key, value in pattern.set.items():
                _check_declared(f"{where}.set.{key}", key, [value], declared)
            _check_declared(f"{where}.split", "split", filter(None, [pattern.split]), declared)
            untold = [name for name in declared if name not in _told(pattern)]
            if untold:
                raise ValueError(f"{where}: neither the path nor `split` or `set` tells {untold}")
        fixed = {pattern.split for pattern in self.patterns} | self.drawn_splits
        absent = [name for name in splits if name not in fixed]
        if absent and None not in fixed:
            raise ValueError(f"source.patterns: no pattern is for the split {absent[0]!r}")


class Cub(SourceBase):
    """CUB-200-2011: `images.txt`, `image_class_labels.txt`, `train_test_split.txt`.

    The folder is never listed: it holds files that the tables do not name.
    """

    reader: Literal["cub"]
    images: Inside = "images"

    @property
    def marker(self) -> str:
        """The table of the images."""
        return "images.txt"


class Pets(SourceBase):
    """Oxford-IIIT Pet: `annotations/{trainval,test}.txt` and trimaps (1 pet, 2 ground, 3 edge).

    A folder with `labels.csv` (file, breed, species), `images/` and `trimaps/` is read too; its
    split is drawn.
    """

    reader: Literal["pets"]
    images: Inside = "images"
    label: Literal["breed", "species"] = "breed"

    @property
    def marker(self) -> str:
        """The images."""
        return self.images

    @property
    def mask_root(self) -> str | None:
        """The trimaps are part of the data."""
        return self.masks or self.images

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """The data tell species and breed, nothing else."""
        unknown = sorted(attributes.keys() - {"species", "breed"})
        if unknown:
            raise ValueError(f"the reader pets knows species and breed, not {unknown}")


class SiimRle(SourceBase):
    """SIIM-ACR pneumothorax: a table of run lengths per lesion, and a table of chest tubes."""

    reader: Literal["siim_rle"]
    lesions: Inside
    """CSV with `ImageId` and `EncodedPixels` (the field may begin with a blank)."""
    tubes: Inside
    """CSV with `ImageId` and `tube` (0 or 1); images that it does not list are for training."""
    side: int = Field(default=1024, gt=0, le=2**14)
    suffix: str = ".png"

    @property
    def marker(self) -> str:
        """The table of lesions."""
        return self.lesions

    @property
    def mask_root(self) -> str | None:
        """The lesions are the masks."""
        return self.lesions

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """Labels are (none, lesion); values of `tube` are (none, tube) and, for train, unknown."""
        wanted = 3 if "train" in splits else 2
        if len(labels) != 2:
            raise ValueError("the reader siim_rle has two labels: without and with lesion")
        if attributes and (set(attributes) != {"tube"} or len(attributes["tube"]) != wanted):
            raise ValueError(
                f"the reader siim_rle has the attribute tube only, with {wanted} values: without, "
                "with, and not annotated when there is a training split"
            )


class Hdf5(SourceBase):
    """Arrays of images and labels in HDF5 files, one per split or domain (COCO-on-Places)."""

    reader: Literal["hdf5"]
    files: dict[Inside, dict[str, str]] = Field(min_length=1)
    """File -> `split` and attributes of all its images."""
    image_key: str = "images"
    label_key: str = "y"
    fields: dict[str, str] = Field(default_factory=dict)
    """Attribute -> key of a further array."""
    codings: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def marker(self) -> str:
        """The first file."""
        return next(iter(self.files))

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """Every file tells its split, and the attributes that no array tells."""
        declared = {"y": labels, "split": splits, **attributes}
        for key, coding in self.codings.items():
            _check_declared(f"source.codings.{key}", key, coding.values(), declared)
        for file, told in self.files.items():
            for key, value in told.items():
                _check_declared(f"source.files.{file}.{key}", key, [value], declared)
            untold = declared.keys() - told.keys() - self.fields.keys() - {"y"}
            if untold:
                raise ValueError(f"source.files.{file} does not tell {sorted(untold)}")


class Plugin(SourceBase):
    """A reader of another package, from the entry-point group `ifambench.readers`."""

    reader: str = Field(pattern=r"^plugin:[\w.-]+$")
    marker_path: Inside = ""
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def marker(self) -> str:
        """A file or folder that the suite's folder must hold."""
        return self.marker_path


def _told(pattern: Pattern) -> set[str]:
    """What a pattern tells of its files: `y`, `split`, attributes, other fields."""
    split = ["split"] if pattern.split else []
    told = {*fields_of(pattern.path), *pattern.set, *split}
    return told | ({"y"} if "y_index" in told else set())


def _check_declared(
    where: str, key: str, values: Iterable[str], declared: Mapping[str, Collection[str]]
) -> None:
    if key not in declared:
        raise ValueError(f"{where}: {key!r} is neither y, split nor an attribute")
    unknown = [value for value in values if value not in declared[key]]
    if unknown:
        raise ValueError(f"{where} names nothing declared: {unknown[:3]}")


def _fixed(parts: list[str]) -> str:
    """The folders before the first field."""
    first = next((index for index, part in enumerate(parts) if "{" in part), len(parts) - 1)
    return "/".join(part for part in parts[:first] if part)


Source = Annotated[
    Annotated[MetadataCsv, Tag("metadata_csv")]
    | Annotated[ImageFolder, Tag("image_folder")]
    | Annotated[Cub, Tag("cub")]
    | Annotated[Pets, Tag("pets")]
    | Annotated[SiimRle, Tag("siim_rle")]
    | Annotated[Hdf5, Tag("hdf5")]
    | Annotated[Plugin, Tag("plugin")],
    Discriminator(tag_by("reader")),
]
"""A suite whose images lie in files."""
