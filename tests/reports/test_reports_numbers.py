import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ifambench.reports import numbers


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0.7, 0.9, 100, 2),
        (0.898, 0.940, 642, 3),
        (0.981, 0.991, 2255, 3),
        (0.7500, 0.7535, 50_000, 4),
        (None, None, 50, 2),
        (None, None, 300, 3),
        (None, None, 50_000, 3),
        (None, None, 0, 2),
        (0.5, None, 642, 3),
        (0.5, 0.5, 642, 3),
    ],
)
def test_digits_follow_the_interval(low, high, n, expected):
    assert numbers.decimals(low, high, n) == expected


@given(width=st.floats(0, 1, exclude_min=True), more=st.floats(0, 1))
def test_a_narrower_interval_never_has_fewer_digits(width: float, more: float):
    wide = min(1.0, width + more)
    assert numbers.decimals(0.0, width, 10) >= numbers.decimals(0.0, wide, 10)


@given(n=st.integers(0, 10**7), more=st.integers(0, 10**7))
def test_more_images_never_have_fewer_digits(n: int, more: int):
    assert numbers.decimals(None, None, n + more) >= numbers.decimals(None, None, n)


def test_undefined_is_never_zero():
    assert numbers.fraction(None, 3) == "-"
    assert numbers.interval(None, 0.5, 3) == "-"
    assert numbers.points(None, 3) == "-"
    assert numbers.points_interval(0.5, None, 3) == "-"
    assert numbers.signed(None, 3) == "-"
    assert numbers.signed_interval(None, None, 3) == "-"
    assert numbers.p_value(None) == "-"
    assert numbers.size(None) == "-"
    assert numbers.difference(None, 1.0) is None


@given(value=st.floats(-1, 1), places=st.integers(0, 4))
def test_no_minus_zero(value: float, places: int):
    for text in (numbers.fraction(value, places), numbers.signed(value, places)):
        assert not re.fullmatch(r"-0(\.0*)?", text)
        assert float(text) == pytest.approx(value, abs=0.51 * 10**-places)


def test_differences():
    assert numbers.points(0.0702, 3) == "+7.0 pp"
    assert numbers.points(-0.00001, 3) == "+0.0 pp"
    assert numbers.points_interval(-0.01, 0.094, 3) == "[-1.0, +9.4]"
    assert numbers.points(0.0702, 2) == "+7 pp"
    assert numbers.signed(-0.127, 3) == "-0.127"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.0003, 0.05, "[+0.0003, +0.050]"),
        (-0.05, -0.0004, "[-0.050, -0.0004]"),
        (-1e-17, 0.05, "[+0.000, +0.050]"),
        (0.0, 0.05, "[+0.000, +0.050]"),
    ],
)
def test_a_limit_beside_zero_does_not_look_like_zero(low: float, high: float, text: str):
    assert numbers.signed_interval(low, high, 3) == text


@given(value=st.floats(-1, 1), bound=st.floats(-1, 1), places=st.integers(0, 4))
def test_two_numbers_that_look_alike_are_alike(value: float, bound: float, places: int):
    digits = numbers.apart(value, bound, places)
    assert digits >= places
    if f"{value:z.{digits}f}" == f"{bound:z.{digits}f}":
        assert value == pytest.approx(bound, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("p", "text"), [(0.0497, "0.0497"), (0.05, "0.050"), (0.0503, "0.0503"), (0.049999, "0.049999")]
)
def test_a_p_value_below_the_level_does_not_look_like_the_level(p: float, text: str):
    assert numbers.p_value(p) == text


def test_other_numbers():
    assert numbers.p_value(0.0004) == "< 0.001"
    assert numbers.p_value(0.0604) == "0.060"
    assert numbers.count(5794) == "5,794"
    assert [numbers.size(n) for n in (0, 999, 1500, 2 * 10**15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2000.0 TB",
    ]
    assert [numbers.duration(s) for s in (0.04, 59.9, 59.97, 119.6, 3600)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "2 min 0 s",
        "1 h 0 min",
    ]
