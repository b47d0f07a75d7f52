"""Doing one thing to many nodes at once, within a bound, and losing no error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TypeVar

from labctl.errors import Abandoned, LabctlError, SeveralErrors

__all__ = ["MOST_AT_ONCE", "each", "gather", "together"]

A = TypeVar("A")
B = TypeVar("B")

# Starting a node is mostly the engine's work, and more than this many requests only queue in it
# (`python -m bench grow` measures it).
MOST_AT_ONCE = max(8, 4 * (os.cpu_count() or 2))


def each(items: Iterable[A], do: Callable[[A], B], *, at_once: int = MOST_AT_ONCE) -> list[B]:
    """Call `do` for each item, at most `at_once` at a time, and return the results in order.

    All calls are waited for, also when one fails, so that nothing goes on behind the caller's back.
    Raises the one LabctlError that happened, SeveralErrors when there were more; any other exception
    (a bug, Ctrl-C) as it is.
    """
    todo = list(items)
    if not todo:
        return []
    if len(todo) == 1:
        return [do(todo[0])]
    with ThreadPoolExecutor(max_workers=min(at_once, len(todo)), thread_name_prefix="labctl") as pool:
        try:
            return gather([pool.submit(do, item) for item in todo])
        except KeyboardInterrupt:
            # What has not begun shall not begin, whenever Ctrl-C came; what runs is waited for by the pool.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def together(*jobs: Callable[[], object]) -> None:
    """Run the jobs at the same time and wait for all; errors as in `each`."""
    each(jobs, lambda job: job(), at_once=max(1, len(jobs)))


def gather(futures: Sequence[Future[B]]) -> list[B]:
    """Wait for all the futures and return their results in order; errors as in `each`.

    An error that only follows from another one (Abandoned) is not told beside it.
    """
    wait_for(futures)
    failed = [error for future in futures if (error := future.exception()) is not None]
    for error in failed:
        if not isinstance(error, LabctlError):
            raise error
    expected = [error for error in failed if isinstance(error, LabctlError)]
    causes = [error for error in expected if not isinstance(error, Abandoned)] or expected
    distinct = list({id(error): error for error in causes}.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise SeveralErrors(distinct)
    return [future.result() for future in futures]
