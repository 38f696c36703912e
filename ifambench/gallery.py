"""Example images of a run for its report: pictures, true masks, maps and background swaps."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from ifambench.data.manifest import SuiteData
from ifambench.explain.measure import ExplainResult

_PER_GROUP = 3
_SWAPS = ("mixed_same", "mixed_rand")


def gallery_of(data: SuiteData, predictions: pd.DataFrame, explained: ExplainResult) -> bytes:
    """The first explained images of every group, as the bytes of a compressed `.npz`.

    When nothing was explained, the first evaluated images.

    Keys: `ids, group, y, y_pred, prob_pred, images, masks`, `map:<explainer>` (N, h, w),
    `swap:<variant>` images and `swap_pred:<variant>`.
    """
    table = predictions.set_index(["variant", "id"])
    every = list(dict.fromkeys(explained.explanations["id"])) or list(table.loc["original"].index)
    originals = table.loc["original"].loc[every]
    chosen = originals.groupby("group").head(_PER_GROUP).index.to_list()
    rows = _manifest_rows(data, "original", chosen)
    arrays: dict[str, np.ndarray] = {
        "ids": np.array(chosen),
        "group": originals.loc[chosen, "group"].to_numpy(str),
        "images": data.pixels.images(rows),
    }
    if (rows["mask"] != "").all():
        arrays["masks"] = data.pixels.masks(rows)
    for name in ("y", "y_pred", "prob_pred"):
        arrays[name] = originals.loc[chosen, name].to_numpy()
    at = [every.index(name) for name in chosen]
    arrays |= {f"map:{name}": maps[at] for name, maps in explained.maps.items()}
    for variant in _SWAPS:
        if variant in table.index.get_level_values("variant"):
            swapped = _manifest_rows(data, variant, chosen)
            arrays[f"swap:{variant}"] = data.pixels.images(swapped)
            arrays[f"swap_pred:{variant}"] = table.loc[variant].loc[chosen, "y_pred"].to_numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _manifest_rows(data: SuiteData, variant: str, ids: list[str]) -> pd.DataFrame:
    rows = data.manifest[data.manifest["variant"] == variant].set_index("id", drop=False)
    return rows.loc[ids].reset_index(drop=True)
