"""Which epoch's weights are kept: the protocol's selection policy.

- `last`: the last epoch;
- `best_val_accuracy`: the highest accuracy on the validation split; needs its class labels;
- `best_val_worst_class_accuracy`: the highest accuracy of the worst class there; the same labels;
- `best_val_worst_group_accuracy`: the highest worst-group accuracy there; needs its group labels,
  so a method selected this way has used them.

Among equals the earlier epoch is kept. The test split is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from torch import Tensor, nn

COLUMNS = {
    "best_val_accuracy": "val_accuracy",
    "best_val_worst_class_accuracy": "val_worst_class_accuracy",
    "best_val_worst_group_accuracy": "val_worst_group_accuracy",
}
"""Policy -> the column of the training table that is maximised."""


@dataclass(frozen=True)
class Best:
    """The best epoch so far.

    Attributes:
        epoch: From 1.
        value: What is maximised.
        weights: The model's weights after it, on the CPU.
    """

    epoch: int
    value: float
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, state: dict[str, Any] | None) -> Self | None:
        """From plain values, as stored in a checkpoint."""
        return None if state is None else cls(**state)


def better(policy: str, best: Best | None, row: dict[str, float], model: nn.Module) -> Best | None:
    """The best epoch after another one has ended.

    Args:
        policy: Selection policy.
        best: The best one before.
        row: The epoch's row of the training table.
        model: The model after the epoch.
    """
    column = None if policy == "last" else COLUMNS[policy]
    if column is None or (best is not None and row[column] <= best.value):
        return best
    weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    return Best(int(row["epoch"]), row[column], weights)


def keep_selected(best: Best | None, table: pd.DataFrame, model: nn.Module) -> pd.DataFrame:
    """Give the model the selected weights; the table gets the column `selected` (1 or 0)."""
    if best is not None:
        model.load_state_dict(best.weights)
    chosen = table["epoch"].iloc[-1] if best is None else best.epoch
    return table.assign(selected=(table["epoch"] == chosen).astype(int))
