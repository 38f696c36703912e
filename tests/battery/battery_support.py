"""One small data set, and the battery on it."""

from typing import Any

import pandas as pd
import torch

from ifambench.battery import BatteryResult, BatterySettings, run_battery
from ifambench.battery.masked import masked_model
from ifambench.battery.part import Part
from ifambench.battery.run import _with_predictions
from ifambench.battery.work import Work
from ifambench.models.base import Classifier
from ifambench.predict.loop import predict
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")


def predictions(model: Classifier) -> pd.DataFrame:
    return predict(model, DATA, DATA.manifest, batch_size=32, device="cpu")


def battery(
    model: Classifier, *tests: str, rows: pd.DataFrame = ROWS, **more: Any
) -> BatteryResult:
    given = {name: more.pop(name) for name in ("journal", "progress") if name in more}
    settings = BatterySettings(tests=tests, **{"draws": 2, "attack_steps": 3, **more})
    return run_battery(model, DATA, rows, predictions(model), settings, **given)


def values(result: BatteryResult, test: str, quantity: str, condition: str | None = None) -> Any:
    table = result.table
    chosen = (table["test"] == test) & (table["quantity"] == quantity)
    if condition is not None:
        chosen &= table["condition"] == condition
    found = table.loc[chosen, "value"].to_numpy()
    assert len(found), (test, quantity, condition)
    return found


def whole_part(model: Classifier, rows: pd.DataFrame = ROWS, **settings: Any) -> Part:
    """All images as one part."""
    chosen = BatterySettings(**settings)
    work = Work(
        masked_model(model, chosen.batch_size),
        DATA,
        _with_predictions(rows, predictions(model)),
        chosen,
    )
    return Part(work, work.rows)


def no_grad(function: Any, *args: Any) -> Any:
    with torch.no_grad():
        return function(*args)
