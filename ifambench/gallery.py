"""Example images of a run for its report: pictures, true masks, maps and background swaps.

Two kinds of images: the first explained ones of every group, which were chosen before anything was
measured, and the extreme cases of one explainer, which were chosen by its score and say so.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from ifambench.data.manifest import SuiteData
from ifambench.explain.measure import ExplainResult
from ifambench.metrics.deletion import is_floor, operator_of

HEADLINES = ("ifam-mask", "grad-cam", "attention-rollout")
"""The explainer whose extreme cases are shown: the first of these that was measured."""

_PER_GROUP, _MOST = 3, 24
"""Images of each group, and of all groups together."""

_PER_CASE = 2
_SWAPS = ("mixed_same", "mixed_rand")


def gallery_of(data: SuiteData, predictions: pd.DataFrame, explained: ExplainResult) -> bytes:
    """The first explained images of every group and the extreme cases, as a compressed `.npz`.

    When nothing was explained, the first evaluated images.

    Keys: `ids, group, y, y_pred, prob_pred, images, masks`, `map:<explainer>` (N, h, w),
    `swap:<variant>` images and `swap_pred:<variant>`; `in_group`, whether the image stands for its
    group; `case`, the extreme case it is of, or empty; where there are any, `headline`, the
    explainer of the cases, and `srg`, its gain on each image.
    """
    table = predictions.set_index(["variant", "id"])
    every = list(dict.fromkeys(explained.explanations["id"])) or list(table.loc["original"].index)
    originals = table.loc["original"].loc[every]
    samples = group_samples(originals["group"])
    cases, headline = extreme_cases(explained.explanations), headline_of(explained.explanations)
    chosen = list(dict.fromkeys([*samples, *cases]))
    rows = _manifest_rows(data, "original", chosen)
    arrays: dict[str, np.ndarray] = {
        "ids": np.array(chosen),
        "group": originals.loc[chosen, "group"].to_numpy(str),
        "in_group": np.isin(chosen, samples),
        "case": np.array([cases.get(name, "") for name in chosen]),
        "images": data.pixels.images(rows),
    }
    if (rows["mask"] != "").all():
        arrays["masks"] = data.pixels.masks(rows)
    for name in ("y", "y_pred", "prob_pred"):
        arrays[name] = originals.loc[chosen, name].to_numpy()
    if headline is not None:
        arrays["headline"] = np.array(headline)
        arrays["srg"] = _gains(explained.explanations, headline)["srg"].loc[chosen].to_numpy(float)
    at = [every.index(name) for name in chosen]
    arrays |= {
        f"map:{name}": maps[at] for name, maps in explained.maps.items() if not operator_of(name)
    }
    for variant in _SWAPS:
        if variant in table.index.get_level_values("variant"):
            swapped = _manifest_rows(data, variant, chosen)
            arrays[f"swap:{variant}"] = data.pixels.images(swapped)
            arrays[f"swap_pred:{variant}"] = table.loc[variant].loc[chosen, "y_pred"].to_numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def group_samples(groups: pd.Series) -> list[str]:
    """The first images of every group, fewer of each where there are many groups.

    Args:
        groups: The group of each image, by id.
    """
    per_group = min(_PER_GROUP, max(1, _MOST // groups.nunique())) if len(groups) else 0
    return [str(name) for name in groups.groupby(groups).head(per_group).index[:_MOST]]


def headline_of(explanations: pd.DataFrame) -> str | None:
    """The explainer whose cases are shown, never chosen by its score; None without any."""
    names = [str(name) for name in explanations["explainer"].unique()]
    others = (name for name in names if not is_floor(name) and not operator_of(name))
    return next((name for name in HEADLINES if name in names), next(others, None))


def extreme_cases(explanations: pd.DataFrame) -> dict[str, str]:
    """Ids of the images with the largest and the smallest SRG of the headline explainer.

    At most two of each, among rightly and among wrongly predicted images; an image is one case
    only, and ties go by id.

    Returns:
        The case of each image: `highest, right`, `lowest, right`, `highest, wrong` or
        `lowest, wrong`.
    """
    headline = headline_of(explanations)
    if headline is None:
        return {}
    known = _gains(explanations, headline).dropna(subset=["srg"]).reset_index()
    right = known["y"] == known["y_pred"]
    found: dict[str, str] = {}
    for judged, part in (("right", known[right]), ("wrong", known[~right])):
        ranked = part.sort_values(["srg", "id"])["id"].astype(str).to_list()
        half = min(_PER_CASE, (len(ranked) + 1) // 2)
        found |= dict.fromkeys(ranked[::-1][:half], f"highest, {judged}")
        found |= dict.fromkeys(ranked[: min(half, len(ranked) - half)], f"lowest, {judged}")
    return found


def _gains(explanations: pd.DataFrame, explainer: str) -> pd.DataFrame:
    return explanations[explanations["explainer"] == explainer].set_index("id")


def _manifest_rows(data: SuiteData, variant: str, ids: list[str]) -> pd.DataFrame:
    rows = data.manifest[data.manifest["variant"] == variant].set_index("id", drop=False)
    return rows.loc[ids].reset_index(drop=True)
