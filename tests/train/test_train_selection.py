"""Which epoch's weights are kept."""

import pandas as pd
import pytest
import torch
from torch import nn

from ifambench.train.selection import Best, better, keep_selected

ROWS = [
    {
        "epoch": epoch,
        "val_accuracy": accuracy,
        "val_worst_class_accuracy": worst_class,
        "val_worst_group_accuracy": worst_group,
    }
    for epoch, accuracy, worst_class, worst_group in [
        (1, 0.8, 0.2, 0.3),
        (2, 0.7, 0.4, 0.5),
        (3, 0.8, 0.6, 0.5),
        (4, 0.6, 0.6, 0.4),
    ]
]


@pytest.mark.parametrize(
    ("policy", "epoch"),
    [
        ("last", 4),
        ("best_val_accuracy", 1),
        ("best_val_worst_class_accuracy", 3),
        ("best_val_worst_group_accuracy", 2),
    ],
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


def test_a_policy_without_a_column_is_no_silent_last():
    with pytest.raises(KeyError):
        better("best_val_auroc", None, ROWS[0], nn.Linear(1, 1))
