"""Work done by threads a little ahead of its consumer."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn, TypeVar

# More threads than this gain nothing where they wait for the interpreter's lock half of the time.
MAX_THREADS = 8

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], items: Iterable[T], threads: int | None = None, depth: int | None = None
) -> Generator[R, None, None]:
    """`work(item)` of every item in order, by a few threads, at most `depth` items ahead of the consumer.

    `depth` is four items a thread by default. An exception of `work` or `items` is raised where its result
    was due.
    The threads end with the generator: at its end, at an exception, and when the consumer closes or drops it.
    """
    threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
    depth = depth or 4 * threads
    pool = ThreadPoolExecutor(threads, thread_name_prefix="unitmean-ahead")
    pending: deque[Future[R]] = deque()
    try:
        for item in _failing_last(items):
            if isinstance(item, _Failure):
                pending.append(pool.submit(item.fail))
                break
            pending.append(pool.submit(work, item))
            if len(pending) > depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Failure:
    """An exception that the iterable raised, in place of its next item."""

    error: Exception

    def fail(self) -> NoReturn:
        raise self.error


def _failing_last(items: Iterable[T]) -> Iterator[T | _Failure]:
    """The items, and a failure in place of an exception that they raise."""
    try:
        yield from items
    except Exception as error:
        yield _Failure(error)
