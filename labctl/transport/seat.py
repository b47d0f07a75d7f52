"""A terminal on a node that a program holds: bytes to it, bytes from it, and a size."""

from __future__ import annotations

import threading
from collections.abc import Callable

from labctl.concurrent import LAST_WORDS, within
from labctl.errors import LabctlError, LabError
from labctl.transport.running import Running
from labctl.waiting import unhurried

__all__ = ["Terminal"]


class Terminal:
    """A command with a terminal, which runs now. Every method may be called from any thread; a block closes it.

    One thread reads, as a rule, while others send and resize: a read waits.
    """

    def __init__(self, running: Running, *, cut: Callable[[], object], end: Callable[[], object]) -> None:
        """`cut` lets a read wait no longer, and must not wait itself; `end` ends the command on the node."""
        self._running = running
        self._cut = cut
        self._end = end
        self._output = running.output()
        self._reading = threading.Lock()
        self._closing = threading.Lock()
        self._over = False
        self._closed = threading.Event()

    def send(self, data: bytes) -> None:
        """Type. Raises LabError when the terminal is closed, NodeDown or EngineUnreachable when nobody is there."""
        self._refuse_closed()
        self._running.send(data)

    def read(self) -> bytes:
        """Wait for what the command shows, and return it; b"" from its end on, and when the terminal is closed."""
        with self._reading:
            if self._over or self._closed.is_set():
                return b""
            try:
                _, data = next(self._output, (0, b""))
            except (LabctlError, OSError, ValueError):  # what is read from was closed meanwhile
                if self._closed.is_set():
                    return b""
                raise
            self._over = not data and not self._closed.is_set()
            return data

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; one whose command has ended needs none."""
        if not self._closed.is_set():
            self._running.resize(rows, columns)

    def exit_code(self) -> int:
        """The command's exit code, once `read` has returned b"". Raises LabError when it was closed before."""
        self._refuse_closed()
        return self._running.exit_code()

    def close(self) -> None:
        """End the command with all that it started, and let a read return at once. Twice is fine."""
        with self._closing:
            if self._closed.is_set():
                return
            self._closed.set()
        was_over = self._over
        self._cut()
        try:
            if not was_over:
                within(unhurried(LAST_WORDS), self._end)
        finally:
            self._running.close()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed.is_set():
            raise LabError("the terminal is closed")
