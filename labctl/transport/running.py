"""A command that runs on a node now, its input and output open: the same for an engine's exec and for SSH."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from labctl.errors import LabctlError

__all__ = ["STDERR", "STDOUT", "Feeder", "Running"]

STDOUT, STDERR = 1, 2


class Running(Protocol):
    """A command on a node. `send` raises a LabctlError when the command has ended, or its node has."""

    def send(self, data: bytes) -> None:
        """Write to its input."""
        ...

    def end_input(self) -> None:
        """Let it read the end of its input."""
        ...

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what it writes, until its end: STDOUT or STDERR (a terminal knows only STDOUT), bytes."""
        ...

    def resize(self, lines: int, columns: int) -> None:
        """Tell its terminal the size."""
        ...

    def exit_code(self) -> int:
        """Wait for its end, after its output's, and return its exit code."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Feeder:
    """Feeds a command's input beside the reading of its output: one may wait for the other."""

    def __init__(self, running: Running, chunks: Iterable[bytes]) -> None:
        self._running = running
        self._chunks = chunks
        self._problem: LabctlError | None = None
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what stopped the feeding, once the command has ended well."""
        self._thread.join(timeout=5)
        if self._problem is not None:
            raise self._problem

    def _feed(self) -> None:
        try:
            for chunk in self._chunks:
                if not self._sent(chunk):
                    return
        except LabctlError as problem:
            self._problem = problem
        self._running.end_input()

    def _sent(self, chunk: bytes) -> bool:
        try:
            self._running.send(chunk)
        except LabctlError:
            # The command ended before it had read all; its exit code tells whether that was well.
            return False
        return True
