"""Badges: one JSON file per ranked model for the "endpoint" scheme of shields.io.

`https://img.shields.io/endpoint?url=...` draws a file that lies on the web. The colour says how far
the number can be trusted, not whether it is good: blue is verified, grey reported, red differs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from ifambench.ranking import DIFFERS, REPORTED, VERIFIED
from ifambench.records.store import run_folder
from ifambench.reports.leaderboard_tables import value_text
from ifambench.reports.rows import label

_COLOURS = {VERIFIED: "blue", REPORTED: "lightgrey", DIFFERS: "red"}


def badges(frame: pd.DataFrame) -> dict[str, str]:
    """The text of each badge by its place, `<suite>@<major>/<model>/<protocol>.json`."""
    ranked = frame[frame["unranked"] == ""]
    return {_place(row): _text(row) for row in ranked.to_dict("records")}


def _place(row: dict[Any, Any]) -> str:
    """As the folders of runs, which are safe for every name of a model."""
    suite, _, major = str(row["suite"]).rpartition("@")
    number = int(major) if major.isdecimal() else 0
    folder = run_folder(Path(), suite, number, row["model"], row["protocol"], 0).parent
    return f"{folder.as_posix()}.json"


def _text(row: dict[Any, Any]) -> str:
    content = {
        "schemaVersion": 1,
        "label": f"{row['suite']} {label(row['primary'])}",
        "message": value_text(row, row["primary"]),
        "color": _COLOURS[row["evidence"]],
    }
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
