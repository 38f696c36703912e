"""What a reader gives: one item per image, with declared names instead of the data's codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ifambench.errors import EnvironmentProblem


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a suite.

    Attributes:
        id: Unique name.
        path: The image file within the suite's folder, with forward slashes.
        split: A split of the suite.
        label: A class name of the suite.
        where: File and line, or the path, that the item was read from; for messages.
        attributes: A declared value for each attribute of the suite; others are ignored.
        mask: The mask within the suite's folder, "" for none; None where the suite file tells it
            (`source.masks`).
        fg_id: Where the foreground comes from, if the image was composed.
        bg_id: Where the background comes from, if the image was composed.
    """

    id: str
    path: str
    split: str
    label: str
    where: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    mask: str | None = None
    fg_id: str = ""
    bg_id: str = ""


def declared(what: str, value: str, names: Mapping[str, str], place: str, where: str) -> str:
    """The declared name of a value of the data.

    Args:
        what: What is coded: `label`, `split` or an attribute.
        value: As it stands in the data.
        names: Value -> declared name.
        place: Where the value stands, such as `column "y"`.
        where: File and line, or path.

    Raises:
        EnvironmentProblem: If the value is not among them.
    """
    if value not in names:
        raise EnvironmentProblem(
            f'{what} "{value}" in {place} is not one of the suite file',
            where=where,
            choices=list(names),
            next_step="correct the data, or what the suite file says of them",
        )
    return names[value]
