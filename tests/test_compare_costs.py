from __future__ import annotations

import pytest
from compare_support import RECORD, record

from ifambench.compare_costs import cost_differences, cost_frame


def with_costs(speed, passes, **environment):
    phases = [
        {"name": "predict", "seconds": 2.0, "images": 100, "images_per_second": speed},
        {"name": "explain", "seconds": 9.0, "images": passes, "images_per_second": 50.0},
        {"name": "data", "seconds": 1.0, "images": 0, "images_per_second": None},
    ]
    return record(
        phases=phases,
        environment={**RECORD["environment"], **environment},
        explaining={"explainers": {"grad-cam": {"forwards": passes / 2}}},
    )


def costs(a, b):
    frame = cost_frame(a, b)
    names = frame["explainer"].astype(object).where(frame["explainer"].notna(), None)
    values = frame[["a", "b", "ratio"]].itertuples(index=False, name=None)
    return dict(zip(zip(frame["quantity"], names, strict=True), values, strict=True))


def test_counts_and_speeds_stand_side_by_side():
    found = costs(with_costs(50.0, 400), with_costs(25.0, 800))
    assert found["predicted images/s", None] == (50, 25, 0.5)
    assert found["forward passes of explanations", None] == (400, 800, 2)
    assert found["forward passes", "grad-cam"] == (200, 400, 2)
    assert found["parameters", None] == (10, 10, 1)


@pytest.mark.parametrize("change", [{"device": "cuda"}, {"threads": 8}, {"dtype": "bfloat16"}])
def test_speeds_of_unlike_machines_are_left_out(change):
    a, b = with_costs(50.0, 400), with_costs(25.0, 800, **change)
    assert list(cost_differences(a, b)) == list(change)
    assert {quantity for quantity, _ in costs(a, b)} == {
        "parameters",
        "forward passes of explanations",
        "forward passes",
    }


def test_records_without_costs_have_counts_only():
    assert list(costs(record(), record())) == [("parameters", None)]
