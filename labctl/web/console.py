"""A node's terminal that outlives its pages: one shell, what it showed, and a new shell when the node comes back."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from labctl.errors import LabctlError
from labctl.transport import Terminal
from labctl.web.scroll import Scroll

__all__ = ["AHEAD", "Console", "Reader"]

AHEAD = 512 << 10  # bytes that a page may lag behind before the shell has to wait for it
PATIENCE = 2.0  # seconds for which a shell waits for a page that takes nothing; it then misses what scrolls away
AGAIN = 2.0  # seconds between two attempts to open a shell, where nobody tells that its node is back
MOST_TYPED = 1000  # pieces that wait to be typed
LEAST, MOST = 2, 1000  # rows and columns of a window that is believed


class Reader(Protocol):
    """A page that shows the terminal."""

    def wake(self) -> None:
        """There is more to take, or the console's state is another."""
        ...


@dataclass
class _Pace:
    """How far a page has shown the terminal, and when it last told so."""

    seen: int
    when: float


@dataclass
class Console:
    """A terminal on a node. `open` starts a shell of so many rows and columns; it raises while the node is down.

    `session` is another for each console that ever was: a page knows by it whether what it has is of this one. `state`
    is starting, open or down, with what there is to say in `why`.
    """

    node: str
    open: Callable[[int, int], Terminal]
    told: Callable[[Console], object] = lambda _: None
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    scroll: Scroll = field(default_factory=Scroll)
    state: str = "starting"
    why: str = ""
    _terminal: Terminal | None = None
    _size: tuple[int, int] = (24, 80)
    _paces: dict[Reader, _Pace] = field(default_factory=dict)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _nudged: threading.Event = field(default_factory=threading.Event)
    _typed: queue.Queue[bytes] = field(default_factory=lambda: queue.Queue(MOST_TYPED))
    _is_over: bool = False

    def start(self) -> None:
        """Open the shell, in threads of its own."""
        threading.Thread(target=self._type, name=f"labctl-keys-{self.node}", daemon=True).start()
        threading.Thread(target=self._live, name=f"labctl-console-{self.node}", daemon=True).start()

    # -- pages

    def attach(self, reader: Reader, at: int) -> None:
        """A page shows the terminal, and has it up to `at`."""
        with self._lock:
            self._paces[reader] = _Pace(at, time.monotonic())

    def detach(self, reader: Reader) -> None:
        """A page shows it no more."""
        with self._lock:
            self._paces.pop(reader, None)
            self._lock.notify_all()

    def saw(self, reader: Reader, at: int) -> None:
        """A page has shown all up to there."""
        with self._lock:
            if reader in self._paces:
                self._paces[reader] = _Pace(at, time.monotonic())
                self._lock.notify_all()

    def send(self, data: bytes) -> None:
        """Type. What is typed while the node is down goes nowhere, as on a machine without power."""
        with suppress(queue.Full):  # nobody reads there, and nobody types that fast
            self._typed.put_nowait(data)

    def resize(self, rows: int, columns: int) -> None:
        """Give it the size of the window that it is shown in; the last one told counts."""
        if not (rows and columns):
            return
        size = min(max(rows, LEAST), MOST), min(max(columns, LEAST), MOST)
        with self._lock:
            terminal, same, self._size = self._terminal, size == self._size, size
        if terminal is not None and not same:
            with suppress(LabctlError, OSError):
                terminal.resize(*size)

    def nudge(self) -> None:
        """The node may be back: try now."""
        self._nudged.set()

    def close(self) -> None:
        """End the shell with all that runs in it."""
        with self._lock:
            self._is_over, terminal = True, self._terminal
            self._lock.notify_all()
        self._nudged.set()
        self.send(b"")
        if terminal is not None:
            with suppress(LabctlError, OSError):
                terminal.close()

    # -- the shell

    def _type(self) -> None:
        """Type what pages have typed, in a thread: a command that reads nothing shall hold nobody else up."""
        while not self._is_over:
            data = self._typed.get()
            with self._lock:
                terminal = self._terminal
            if terminal is not None and data:
                with suppress(LabctlError, OSError):
                    terminal.send(data)

    def _live(self) -> None:
        while not self._is_over:
            self._nudged.clear()
            began = time.monotonic()
            try:
                terminal = self.open(*self._size)
            except (LabctlError, OSError) as problem:
                self._is("down", problem.message if isinstance(problem, LabctlError) else str(problem))
                self._nudged.wait(AGAIN)
                continue
            if not self._took(terminal):
                terminal.close()
                return
            self._is("open")
            self._carry(terminal)
            if time.monotonic() - began < AGAIN:  # a shell that ends at once shall not be begun in a busy loop
                self._nudged.wait(AGAIN)

    def _took(self, terminal: Terminal) -> bool:
        """Take a shell that was opened; false where nobody wants it any more."""
        with self._lock:
            if not self._is_over:
                self._terminal = terminal
            return not self._is_over

    def _carry(self, terminal: Terminal) -> None:
        with suppress(LabctlError, OSError):
            while data := terminal.read():
                self.scroll.add(data)
                self._tell()
                self._wait_for_pages()
        with self._lock:
            self._terminal = None
        with suppress(LabctlError, OSError):
            terminal.close()
        if not self._is_over:
            self.scroll.add(b"\r\n\x1b[0m\x1b[2m[the shell has ended]\x1b[0m\r\n")
            self._is("starting")

    def _wait_for_pages(self) -> None:
        """Let the shell run no further ahead than a page that still takes something can follow."""
        end = self.scroll.end
        with self._lock:
            while not self._is_over:
                now = time.monotonic()
                behind = [p for p in self._paces.values() if end - p.seen > AHEAD and now - p.when < PATIENCE]
                if not behind:
                    return
                self._lock.wait(PATIENCE)

    def _is(self, state: str, why: str = "") -> None:
        with self._lock:
            changed = (state, why) != (self.state, self.why)
            self.state, self.why = state, why
        if changed:
            self.told(self)
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            readers = list(self._paces)
        for reader in readers:
            reader.wake()
