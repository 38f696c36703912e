"""Reading ahead in a thread."""

import threading

import pytest

from ifambench.train.prefetch import prefetched


def test_values_come_in_order_and_at_most_two_are_read_ahead():
    read = []
    found = prefetched(lambda key: read.append(key) or key * key, range(6), ahead=2)
    assert next(found) == 0
    assert len(read) <= 3
    assert list(found) == [1, 4, 9, 16, 25]
    assert read == list(range(6))


def test_reading_happens_in_another_thread():
    names = set(prefetched(lambda _: threading.current_thread().name, range(4)))
    assert names.isdisjoint({threading.main_thread().name})


def test_an_exception_comes_where_its_value_would_have_come():
    found = prefetched(lambda key: 1 // key, [1, 1, 0, 1])
    assert [next(found), next(found)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_nothing_is_read_and_no_thread_is_left_after_the_loop_was_broken_off():
    before, read = threading.active_count(), []
    found = prefetched(lambda key: read.append(key) or key, range(100))
    assert next(found) == 0
    found.close()
    assert len(read) <= 3
    assert threading.active_count() == before
