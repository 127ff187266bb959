import threading
import time
from collections.abc import Iterator

import pytest

from unitmean.pipeline.disk.ahead import ahead


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("unitmean-ahead")]


def test_results_come_in_order() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 if n == 0 else 0)
        return n * n

    assert list(ahead(slow_first, range(30), threads=3)) == [n * n for n in range(30)]
    assert list(ahead(slow_first, [])) == []
    assert not workers()


def test_look_ahead_is_bounded() -> None:
    begun: list[int] = []
    results = ahead(begun.append, range(1000), threads=2)
    next(results)
    time.sleep(0.02)
    assert 2 <= len(begun) <= 9  # 4 items for each thread, and the one that was taken
    results.close()
    assert not workers()


def test_work_goes_on_while_the_consumer_is_busy() -> None:
    begun = threading.Event()
    results = ahead(lambda n: begun.set() if n == 3 else None, range(4), threads=1)
    next(results)
    assert begun.wait(2)
    results.close()


def test_exceptions_arise_where_the_result_was_due_and_end_the_threads() -> None:
    seen = []
    with pytest.raises(ZeroDivisionError):
        for result in ahead(lambda n: 1 // (n - 3), range(100), threads=2):
            seen.append(result)
    assert seen == [-1, -1, -1]
    assert not workers()


def test_an_exception_of_the_items_arises_where_it_was_due() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise LookupError("no more")

    seen = []
    with pytest.raises(LookupError, match="no more"):
        for result in ahead(lambda n: n, items(), threads=2):
            seen.append(result)
    assert seen == [0, 1, 2]
    assert not workers()


def test_dropping_the_results_ends_the_threads() -> None:
    for result in ahead(lambda n: n, range(1000), threads=2):
        if result == 5:
            break
    assert not workers()
