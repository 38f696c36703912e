"""`[source] reader = "metadata_csv"`: a table with one line per image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ifambench.suites.parts import Closed, Inside, Split
from ifambench.suites.source_base import SourceBase

Separator = Literal[",", ";", "\t", "whitespace"]


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


class Join(Closed):
    """A further table with one line per image, joined by a column that both have.

    It may list more than the images of the suite, but every image once. Of a column that both
    have, the first table counts.
    """

    file: Inside
    on: str
    separator: Separator | None = None
    """That of the first table by default."""
    names: list[str] = Field(default_factory=list)
    """The columns of a file without a header."""


class TableForm(Closed):
    """The same table as another distribution of the data has it."""

    metadata: Inside
    separator: Separator = ","
    names: list[str] = Field(default_factory=list)
    join: list[Join] = Field(default_factory=list)


class MetadataCsv(SourceBase):
    """A table with one line per image: Waterbirds and WILDS, CelebA, ISIC."""

    reader: Literal["metadata_csv"]
    metadata: Inside = "metadata.csv"
    """The table that lists the images."""
    tables: dict[Split, Inside] = Field(default_factory=dict)
    """A table per split instead of `metadata`; then there is no `[source.split]`."""
    join: list[Join] = Field(default_factory=list)
    separator: Separator = ","
    """With `whitespace`, the first line may hold the count of lines, and the header may leave out
    the name of the first column, which is then that of `columns.id`; CelebA's lists are such."""
    names: list[str] = Field(default_factory=list)
    """The columns of a table without a header."""
    other_forms: list[TableForm] = Field(default_factory=list)
    """Taken, in this order, when `metadata` is not there; CelebA comes as text and as CSV."""
    path_suffix: str = Field(default="", pattern=r"^[\w.-]*$")
    """Added to the column `path`, for tables that leave it out."""
    leaked: dict[Split, Split] = Field(default_factory=dict)
    """`{ train = "val" }`: images of val that train lists too are taken out of train."""
    columns: Columns
    label: Coding
    split: Coding | None = None
    attributes: dict[str, Coding] = Field(default_factory=dict)

    @property
    def marker(self) -> str:
        """The table, or the first one; the images, if the table can have several names."""
        if self.other_forms:
            return self.images
        return next(iter(self.tables.values())) if self.tables else self.metadata

    @model_validator(mode="after")
    def _one_origin_of_splits(self) -> Self:
        if bool(self.tables) == (self.split is not None):
            raise ValueError("exactly one of [source.split] and [source.tables] must be there")
        if self.other_forms and (self.tables or not self.images):
            raise ValueError("other_forms needs images, and goes without [source.tables]")
        return self

    def check_names(
        self, labels: list[str], attributes: Mapping[str, list[str]], splits: list[str]
    ) -> None:
        """Codings must give every name of the suite, and no other."""
        listed = [name for name in splits if name not in self.drawn_splits]
        _check_coding("label", self.label, labels)
        if self.split is not None:
            _check_coding("split", self.split, listed)
        elif set(self.tables) != set(listed):
            raise ValueError(f"source.tables must be for {listed}, is for {list(self.tables)}")
        absent = {*self.leaked, *self.leaked.values()} - set(splits)
        if absent:
            raise ValueError(f"source.leaked names no split: {sorted(absent)}")
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
