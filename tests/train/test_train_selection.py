"""Which epoch's weights are kept."""

import pandas as pd
import pytest
import torch
from torch import nn

from ifambench.train.selection import Best, better, keep_selected

ROWS = [
    {"epoch": 1, "val_accuracy": 0.8, "val_worst_group_accuracy": 0.3},
    {"epoch": 2, "val_accuracy": 0.7, "val_worst_group_accuracy": 0.5},
    {"epoch": 3, "val_accuracy": 0.8, "val_worst_group_accuracy": 0.5},
    {"epoch": 4, "val_accuracy": 0.6, "val_worst_group_accuracy": 0.4},
]


@pytest.mark.parametrize(
    ("policy", "epoch"),
    [("last", 4), ("best_val_accuracy", 1), ("best_val_worst_group_accuracy", 2)],
)
def test_the_earlier_of_equals_is_kept(policy, epoch):
    layer, best = nn.Linear(1, 1), None
    for row in ROWS:
        nn.init.constant_(layer.weight, row["epoch"])
        best = better(policy, best, row, layer)
    table = keep_selected(best, pd.DataFrame(ROWS), layer)
    assert layer.weight.item() == epoch
    assert table["selected"].tolist() == [int(row["epoch"] == epoch) for row in ROWS]


def test_the_best_goes_through_plain_values():
    best = Best(3, 0.5, {"weight": torch.ones(1)})
    assert Best.of(vars(best)) == best
    assert Best.of(None) is None
