"""The section `[source]` of `suite.toml`: images that lie in files, and the table that lists them.

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

from collections.abc import Iterable, Mapping
from pathlib import PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Split = Annotated[str, Field(pattern=r"^(train|val|test)$")]


class Closed(BaseModel):
    """A section in which unknown keys are errors and which does not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def is_inside(path: str) -> bool:
    """Whether a path is relative and stays below the folder it is relative to.

    >>> is_inside("birds/1.jpg"), is_inside("../1.jpg"), is_inside("/1.jpg")
    (True, False, False)
    """
    parsed = PureWindowsPath(path)  # reads both kinds of slashes, and drives
    return not parsed.anchor and ".." not in parsed.parts


def _inside(path: str) -> str:
    if not is_inside(path):
        raise ValueError("must be a relative path without '..'")
    return path


Inside = Annotated[str, AfterValidator(_inside)]
"""A path below a folder; empty for the folder itself."""


class Columns(Closed):
    """Columns of the table that are taken as they are."""

    id: str
    """Unique name of the image."""
    path: str
    """File of the image below `images`."""
    fg_id: str | None = None
    """Where the foreground comes from, if the image was composed."""
    bg_id: str | None = None
    """Where the background comes from, if the image was composed."""


class Coding(Closed):
    """A column of the table and what its values mean."""

    column: str
    values: dict[str, str] = Field(min_length=1)


class Source(Closed):
    """A suite whose images lie in files."""

    reader: Literal["metadata_csv"]
    folders: list[Inside] = Field(min_length=1)
    """Candidate folders below the data folder; the first that holds the table is taken."""
    metadata: Inside = "metadata.csv"
    """The table that lists the images."""
    images: Inside = ""
    """Folder below which the image files lie; empty for the folder itself."""
    masks: Inside | None = None
    """Folder with a mask per image: the same path, but ending in .png."""
    masks_optional: bool = False
    """The masks are not part of the data and may be absent."""
    mask_threshold: int = Field(default=127, ge=0, le=254)
    """A pixel belongs to the object when its mask is brighter than this."""
    columns: Columns
    label: Coding
    split: Coding
    attributes: dict[str, Coding]
    homepage: str = ""
    how_to_get: str = ""
    """What a user does who does not have the data."""
    fingerprint: dict[Split, str] = Field(default_factory=dict)
    """sha256 of ids, labels, attributes and file names per split, at the default size."""

    @model_validator(mode="after")
    def _masks_named(self) -> Self:
        if self.masks_optional and self.masks is None:
            raise ValueError("masks_optional without masks")
        return self

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """The codings must give every name of the suite, and no other.

        Raises:
            ValueError: Naming the coding and the name.
        """
        _check_coding("label", self.label, labels)
        _check_coding("split", self.split, splits)
        if self.attributes.keys() != attributes.keys():
            raise ValueError(
                f"source.attributes must code {sorted(attributes)}, has {sorted(self.attributes)}"
            )
        for name, values in attributes.items():
            _check_coding(f"attributes.{name}", self.attributes[name], values)


def _check_coding(key: str, coding: Coding, names: Iterable[str]) -> None:
    given, wanted = set(coding.values.values()), set(names)
    if given - wanted:
        raise ValueError(f"source.{key}.values names nothing declared: {sorted(given - wanted)}")
    if wanted - given:
        raise ValueError(f"source.{key}.values lacks {sorted(wanted - given)}")
