"""Long answers of an engine, heard line by line: none may fall silent for ever, all can be given up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from labctl.errors import Abandoned, WaitTimeout
from labctl.waiting import stretched

__all__ = ["Note", "heard", "no_note", "read_size"]

T = TypeVar("T")
Note = Callable[[str], None]

LOOK_AROUND = 0.5  # seconds after which a wait looks whether it was given up


def no_note(_text: str) -> None:
    """Hear what is going on and say nothing."""


def heard(lines: Iterator[T], what: str, *, idle: float, stop: threading.Event | None = None) -> Iterator[T]:
    """Yield from an iterator that may block in a read.

    Raises WaitTimeout when nothing came for `idle` seconds and Abandoned when `stop` was set: the reader is
    then left behind with its connection, which ends with the process and with it what the engine does for it.
    """
    box = _listen(lines)
    while True:
        line, problem = _take(box, what, idle, stop)
        if isinstance(problem, StopIteration):
            return
        if problem is not None:
            raise problem
        yield line  # type: ignore[misc]  # None only comes with a problem


_Item = tuple[T | None, BaseException | None]


def _listen(lines: Iterator[T]) -> queue.SimpleQueue[_Item[T]]:
    """Read in a thread of its own: what was read and at last what ended it, StopIteration for the end."""
    box: queue.SimpleQueue[_Item[T]] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in lines:
                box.put((line, None))
        except BaseException as problem:  # noqa: BLE001  it is raised again where the lines are read
            box.put((None, problem))
        else:
            box.put((None, StopIteration()))

    threading.Thread(target=read, daemon=True, name="labctl-listener").start()
    return box


def _take(box: queue.SimpleQueue[_Item[T]], what: str, idle: float, stop: threading.Event | None) -> _Item[T]:
    idle = stretched(idle)
    deadline = time.monotonic() + idle
    while stop is None or not stop.is_set():
        try:
            return box.get(timeout=min(LOOK_AROUND, idle))
        except queue.Empty:
            if time.monotonic() >= deadline:
                raise WaitTimeout(what, idle, "no word from the engine") from None
    raise Abandoned(f"{what} was given up")


def read_size(count: float) -> str:
    """Return bytes as a person reads them: 12 MB, 1.4 GB (decimal, as `docker images` has them)."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.3g} GB"
