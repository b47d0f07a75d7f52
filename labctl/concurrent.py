"""Doing one thing to many nodes at once, within a bound, and losing no error."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from labctl.errors import Abandoned, LabctlError, SeveralErrors
from labctl.waiting import unhurried

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["LAST_WORDS", "MOST_AT_ONCE", "Stop", "each", "gather", "together", "within"]

A = TypeVar("A")
B = TypeVar("B")

# Starting a node is mostly the engine's work, and more than this many requests only queue in it
# (`python -m bench grow` measures it).
MOST_AT_ONCE = max(8, 4 * (os.cpu_count() or 2))
# Seconds. Python heeds a Ctrl-C that comes just before a wait begins only when that wait ends.
HEED = 0.2
LAST_WORDS = 10.0  # seconds that ending what runs may take, once somebody has pressed Ctrl-C and waits; usually a tenth


class Stop:
    """Ends what other threads wait for: Ctrl-C comes to the main thread alone.

    A thread that is about to wait says inside `ended_by` what ends that; calling the Stop does it, in all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[int, tuple[Callable[[], object], Callable[[], object]]] = {}
        self.called = False

    @contextlib.contextmanager
    def ended_by(self, end: Callable[[], object], cut: Callable[[], object]) -> Iterator[None]:
        """While the block waits, `end` ends what it waits for, and `cut` lets it wait no longer, whatever `end` did.

        `cut` must not wait itself. Ctrl-C in the block does both, for the waits of all.
        """
        with self._lock:
            self._waits[threading.get_ident()] = end, cut
            late = self.called
        try:
            if late:
                self()
            yield
        except KeyboardInterrupt:
            self()
            raise
        finally:
            with self._lock:
                self._waits.pop(threading.get_ident(), None)

    def __call__(self) -> None:
        """End all that is waited for, now and from now on; this takes LAST_WORDS at most, more on a busy machine."""
        with self._lock:
            self.called = True
            waits = list(self._waits.values())
            self._waits.clear()
        try:
            within(unhurried(LAST_WORDS), *(end for end, _ in waits))
        finally:
            for _, cut in waits:
                cut()


def within(limit: float, *jobs: Callable[[], object]) -> None:
    """Run the jobs at once, wait at most `limit` seconds for them, and leave alone what then still runs.

    What they raise as LabctlError is dropped: this is for ending things on the way out.
    """

    def attempt(job: Callable[[], object]) -> None:
        with contextlib.suppress(LabctlError):
            job()

    deadline = time.monotonic() + limit
    threads = [threading.Thread(target=attempt, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def each(
    items: Iterable[A], do: Callable[[A], B], *, at_once: int = MOST_AT_ONCE, stop: Callable[[], object] | None = None
) -> list[B]:
    """Call `do` for each item, at most `at_once` at a time, and return the results in order.

    All calls are waited for, also when one fails, so that nothing goes on behind the caller's back. On Ctrl-C
    `stop`, where given, is called, so that this wait ends soon.
    Raises the one LabctlError that happened, SeveralErrors when there were more; any other exception
    (a bug, Ctrl-C) as it is.
    """
    todo = list(items)
    if not todo:
        return []
    if len(todo) == 1:
        return [do(todo[0])]
    from concurrent.futures import ThreadPoolExecutor  # late: a command that asks one node need not wait for it

    with ThreadPoolExecutor(max_workers=min(at_once, len(todo)), thread_name_prefix="labctl") as pool:
        try:
            return gather([pool.submit(do, item) for item in todo])
        except KeyboardInterrupt:
            # What has not begun shall not begin, whenever Ctrl-C came; what runs is waited for by the pool.
            pool.shutdown(wait=False, cancel_futures=True)
            if stop is not None:
                stop()
            raise


def together(*jobs: Callable[[], object]) -> None:
    """Run the jobs at the same time and wait for all; errors as in `each`."""
    each(jobs, lambda job: job(), at_once=max(1, len(jobs)))


def gather(futures: Sequence[Future[B]]) -> list[B]:
    """Wait for all the futures and return their results in order; errors as in `each`.

    An error that only follows from another one (Abandoned) is not told beside it.
    """
    from concurrent.futures import wait

    while wait(futures, timeout=HEED).not_done:
        pass
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
