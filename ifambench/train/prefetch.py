"""Read the next batches in a thread while a step runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def prefetched(
    read: Callable[[_Key], _Value], keys: Iterable[_Key], ahead: int = 2
) -> Generator[_Value, None, None]:
    """`read(key)` of every key, in order, at most `ahead` of them before they are asked for.

    An exception of `read` is raised where its value would have come. When the iterator is closed,
    also by an exception in the loop over it, nothing more is read.
    """
    waiting: deque[Future[_Value]] = deque()
    left = iter(keys)
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        waiting.extend(pool.submit(read, key) for key in islice(left, ahead))
        while waiting:
            value = waiting.popleft().result()
            waiting.extend(pool.submit(read, key) for key in islice(left, 1))
            yield value
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
