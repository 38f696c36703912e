"""How numbers are shown: the digits follow the interval.

One rule for all tables and pages: 2 decimals when the 95 % interval is wider than 0.12, 3 down to
a width of 0.004, then 4; the last digit is never worth less than 1/120 of the interval. A number
without an interval is treated as a fraction of n images at its most uncertain, where the interval
is 1.96 / sqrt(n) wide: 3 decimals from about 270 images on.

Files hold fractions; only differences are shown in percentage points (pp).
"""

from __future__ import annotations

import math

UNDEFINED = "-"

_WIDTHS = ((0.12, 2), (0.004, 3))
_MOST = 4
_FINEST = 9
_LEVEL = 0.05
"""The level of a test; a p-value below it is not shown as equal to it."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


def decimals(low: float | None, high: float | None, n: int) -> int:
    """Decimals of a fraction with the interval [low, high], or without one on n images.

    >>> decimals(0.898, 0.940, 642), decimals(None, None, 60), decimals(None, None, 300)
    (3, 2, 3)
    """
    width = difference(high, low)
    if not width:  # also an interval of width 0, which says nothing about the digits
        width = 1.96 / math.sqrt(max(n, 1))
    return next((places for least, places in _WIDTHS if width > least), _MOST)


def apart(value: float, bound: float, places: int) -> int:
    """Decimals, at least `places`, with which a value does not look equal to a bound it misses.

    Where something depends on the side of the bound, the text must not contradict it. What differs
    by the rounding of sums only counts as equal.

    >>> apart(0.84996, 0.85, 3), apart(0.85, 0.85, 3), apart(0.8, 0.85, 3)
    (5, 3, 3)
    """
    if same(value, bound):
        return places
    while places < _FINEST and f"{value:z.{places}f}" == f"{bound:z.{places}f}":
        places += 1
    return places


def same(a: float, b: float) -> bool:
    """Whether two numbers are equal but for the rounding of sums."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def difference(a: float | None, b: float | None) -> float | None:
    """The difference a - b, undefined where one of them is."""
    return None if a is None or b is None else a - b


def fraction(value: float | None, places: int) -> str:
    """A fraction, or `-` where it is undefined."""
    return UNDEFINED if value is None else f"{value:z.{places}f}"


def interval(low: float | None, high: float | None, places: int) -> str:
    """An interval of fractions.

    >>> interval(0.8981, 0.9404, 3)
    '[0.898, 0.940]'
    """
    if low is None or high is None:
        return UNDEFINED
    return f"[{fraction(low, places)}, {fraction(high, places)}]"


def signed(value: float | None, places: int) -> str:
    """A difference of two numbers of the same unit, with its sign."""
    return UNDEFINED if value is None else f"{value:+z.{places}f}"


def signed_interval(low: float | None, high: float | None, places: int) -> str:
    """The interval of a difference; a limit beside 0 is not shown as 0.

    >>> signed_interval(0.00031, 0.054, 3)
    '[+0.0003, +0.054]'
    """
    if low is None or high is None:
        return UNDEFINED
    ends = (signed(limit, apart(limit, 0.0, places)) for limit in (low, high))
    return f"[{', '.join(ends)}]"


def points(delta: float | None, places: int) -> str:
    """A difference of fractions in percentage points; `places` counts decimals of the fraction.

    >>> points(0.0702, 3)
    '+7.0 pp'
    """
    return UNDEFINED if delta is None else f"{signed(100 * delta, _pp(places))} pp"


def points_interval(low: float | None, high: float | None, places: int) -> str:
    """The interval of a difference of fractions, in percentage points."""
    if low is None or high is None:
        return UNDEFINED
    return signed_interval(100 * low, 100 * high, _pp(places))


def p_value(p: float | None) -> str:
    """A p-value to three decimals, more beside the level of 0.05, or that it is below them.

    >>> p_value(0.0004), p_value(0.0497), p_value(0.3)
    ('< 0.001', '0.0497', '0.300')
    """
    if p is None:
        return UNDEFINED
    return "< 0.001" if p < 0.001 else f"{p:.{apart(p, _LEVEL, 3)}f}"


def count(n: int) -> str:
    """A whole number with thousands separated."""
    return f"{n:,}"


def duration(seconds: float) -> str:
    """A duration in its two largest units.

    >>> duration(291), duration(7322), duration(4.25)
    ('4 min 51 s', '2 h 2 min', '4.2 s')
    """
    if seconds < 59.95:  # else 60.0 s
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(amount: int | None) -> str:
    """A number of bytes in decimal units.

    >>> size(9_120_000_000)
    '9.1 GB'
    """
    if amount is None:
        return UNDEFINED
    value, unit = float(amount), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.{0 if unit == 0 else 1}f} {_UNITS[unit]}"


def _pp(places: int) -> int:
    return max(places - 2, 0)
