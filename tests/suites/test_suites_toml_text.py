from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from ifambench.suites.toml_text import toml_text

PLAIN = st.text() | st.integers(-(2**60), 2**60) | st.booleans() | st.floats(allow_nan=False)
VALUES = PLAIN | st.lists(st.text(), max_size=3)
TABLES = st.recursive(
    st.dictionaries(st.text(), VALUES, min_size=1, max_size=3),
    lambda inner: st.dictionaries(
        st.text(), VALUES | inner | st.lists(inner, min_size=1, max_size=2), min_size=1, max_size=3
    ),
    max_leaves=8,
)


@given(TABLES)
def test_what_is_written_is_read_again(content):
    assert tomllib.loads(toml_text(content)) == content


def test_what_is_empty_is_left_out():
    assert toml_text({"a": None, "b": {}, "c": 1}) == "c = 1\n"
