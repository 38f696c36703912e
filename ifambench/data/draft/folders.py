"""A suite from folders: `train/<class>/...` or `<class>/...`, with or without folders below."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from ifambench.data.draft.parts import (
    Asked,
    Draft,
    attribute_name,
    by_value,
    check_labels,
    is_image,
    settle_splits,
    split_names,
)
from ifambench.errors import UsageError

_MASKS = ("masks", "segmentations", "mask")
_Parts = tuple[str, ...]


def draft_folder(folder: Path, asked: Asked) -> Draft:
    """What the folders seem to mean.

    Raises:
        UsageError: If there are no images, or not one folder per class; says what there is.
    """
    columns = (asked.label, asked.split, asked.image, asked.id)
    if any(columns):
        raise UsageError("a folder has no columns", where="--label, --split, --image-column, --id")
    draft = Draft(folder.resolve())
    draft.source = {"reader": "image_folder", "folders": [draft.folder.name]}
    images = _image_root(draft, asked)
    paths = _images(draft.folder / images, _MASKS if not images else ())
    if not paths:
        raise UsageError(
            "there are no images", where=str(folder / images), next_step="name a folder of images"
        )
    heads = split_names(by_value(path[0] for path in paths))
    below = [path[1:] for path in paths] if heads else paths
    fields = ["y", *_attributes(draft, asked, below, folder)]
    draft.labels = by_value(path[0] for path in below)
    check_labels(draft.labels, str(folder), "name a folder that holds a folder for each class")
    draft.decisions.insert(0, f"label: folders {', '.join(draft.labels[:6])}")
    pattern = "/".join(f"{{{name}}}" for name in [*fields, "name"])
    coded = settle_splits(draft, heads or {"": "train"})
    draft.source["patterns"] = [
        {"path": f"{value}/{pattern}".lstrip("/"), "split": split} for value, split in coded.items()
    ]
    return draft


def _image_root(draft: Draft, asked: Asked) -> str:
    """The folder of the images within the data, and that of the masks beside it."""
    for option, name in (("--images", asked.images), ("--masks", asked.masks)):
        if name is not None and not (draft.folder / name).is_dir():
            raise UsageError(f'there is no folder "{name}"', where=f"{option} {name}")
    masks = asked.masks or next(filter(lambda name: (draft.folder / name).is_dir(), _MASKS), None)
    if masks is not None:
        draft.source["masks"] = masks
        draft.decisions.append(f'masks: folder "{masks}"')
    others = {item.name for item in draft.folder.iterdir() if item.is_dir()} - {masks}
    images = asked.images or ("images" if others == {"images"} else "")
    draft.source |= {"images": images} if images else {}
    return images


def _images(root: Path, leave_out: tuple[str, ...]) -> list[_Parts]:
    """The image files below a folder as parts of their paths; hidden ones are left out."""
    found: list[_Parts] = []
    for place, folders, files in os.walk(root):
        above = Path(place).relative_to(root).parts
        hidden = leave_out if not above else ()
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in hidden)
        images = (name for name in sorted(files) if name[0] != "." and is_image(name))
        found += [(*above, name) for name in images]
    return found


def _attributes(draft: Draft, asked: Asked, below: list[_Parts], folder: Path) -> list[str]:
    """Names for the folders within those of the classes."""
    depths = Counter(len(path) - 2 for path in below)
    if len(depths) > 1 or min(depths) < 0:
        usual = depths.most_common(1)[0][0]
        odd = next(path for path in below if len(path) < 2 or len(path) - 2 != usual)
        what = "do not all lie equally deep" if len(odd) > 1 else "do not lie in folders of classes"
        raise UsageError(
            f"the images {what}: {'/'.join(odd)}",
            where=str(folder),
            choices=[
                "<class>/<image>",
                "train|val|test/<class>/<image>",
                "... <attribute>/<image>",
            ],
        )
    (n,) = depths
    default = ["attribute"] if n == 1 else [f"attribute_{k + 1}" for k in range(n)]
    names = [attribute_name(name) for name in asked.attributes] or default
    if len(names) != n:
        raise UsageError(
            f"there are {n} levels of folders within the classes",
            where="--attribute",
            choices=default,
        )
    for k, name in enumerate(names):
        values = by_value(path[k + 1] for path in below)
        draft.attributes[name] = values
        draft.decisions.append(f"attribute {name}: folders {', '.join(values[:6])}")
    if not names:
        draft.decisions.append("attribute: none, so the groups are the labels")
    return names
