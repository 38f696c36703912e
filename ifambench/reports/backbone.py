"""The size class of a model's backbone, so that a leaderboard compares like with like."""

from __future__ import annotations

import re

from ifambench.records.row import RunRow

CNN, OTHER = "CNN", "other"

_CLASSES = {
    "micro": "ViT-micro",
    **dict.fromkeys(("ti", "tiny"), "ViT-Ti"),
    **dict.fromkeys(("s", "small"), "ViT-S"),
    **dict.fromkeys(("b", "base"), "ViT-B"),
    **dict.fromkeys(("l", "large"), "ViT-L"),
    **dict.fromkeys(("h", "huge"), "ViT-H"),
    **dict.fromkeys(("g", "giant"), "ViT-g"),
}
_ORDER = (*dict.fromkeys(_CLASSES.values()), CNN, OTHER)
_WORD = re.compile(rf"(?:^|[-.:/])(?:vit|deit|deit3|eva02|beit|beitv2)-({'|'.join(_CLASSES)})\b")


def backbone_class(row: RunRow) -> str:
    """`ViT-Ti`, `ViT-S`, ... by the name of the architecture or of the weights; `CNN`; `other`.

    A two-stage model has the class of the backbone that both stages share, whatever its number of
    parameters. Nothing is guessed from that number: a name that says no size is `other`.
    """
    if not row.has_patches:
        return CNN
    for name in (row.architecture, row.pretrained, row.model):
        if found := _WORD.search(name.replace("_", "-")):
            return _CLASSES[found[1]]
    return OTHER


def class_order(name: str) -> int:
    """Where a class stands in a list, the smallest first."""
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
