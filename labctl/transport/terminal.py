"""Our terminal for a command on a node: raw mode, window size, exit code; or pipes, where we have none."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from labctl.concurrent import LAST_WORDS, within
from labctl.errors import LabctlError, OutputFailed
from labctl.transport.running import STDERR, Running
from labctl.waiting import unhurried

__all__ = ["Noted", "at_terminal", "pipe", "sit"]

CHUNK = 1 << 16
HUNG_UP = 129  # the shell's own code for a command that the end of its terminal ended
RESIZE, END = b"r", b"e"
CLIENTS = "a client's work there: labctl.transport.client"


class Noted:
    """A command that notes its process group on the node, so that it can be ended when we are told to go."""

    def __init__(self, *, at_terminal: bool = False) -> None:
        self._file = f"/tmp/.labctl-pid-{os.getpid()}-{time.monotonic_ns()}"
        # Ctrl-C is for the command: the shell that waits for its exit code outlives it.
        self._first = "trap : INT QUIT; " if at_terminal else ""

    def starting(self, command: Sequence[str]) -> list[str]:
        """What starts the command; its shell must lead a process group."""
        # It keeps to itself what it has to say: that a signal ended the command, or that there is no room for the note.
        quiet = f'{self._first}exec 9>&2 2>/dev/null; echo $$ > "$0"; (exec 2>&9 9>&-; exec "$@")'
        script = f'{quiet}; code=$?; rm -f "$0"; exit $code'
        return ["/bin/sh", "-c", script, self._file, *command]

    def ending(self) -> list[str]:
        """What ends it, with all that it started."""
        # It may be just about to begin. `timeout` leads a group of its own, and hands on what it is sent itself.
        begun = 'for _ in 1 2 3 4 5; do [ -s "$0" ] && break; sleep 0.1; done'
        script = f'{begun}; led=$(cat "$0") || exit; pkill -HUP -P "$led"; kill -s HUP -- -"$led"; rm -f "$0"'
        return ["/bin/sh", "-c", script, self._file]


def at_terminal() -> bool:
    """Whether somebody sits in front of us."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def sit(running: Running, *, cut: Callable[[], object], end: Callable[[], object]) -> int:
    """Carry our terminal's keys, size and screen to a command with a terminal, and return its exit code.

    `end` ends the command on the node when we are told to go, or our terminal has gone (a window that is closed, of
    which nobody else may tell us); then `cut` lets the reading of its output wait no longer.
    """
    gone = threading.Event()

    def hang_up() -> None:
        gone.set()
        cut()

    try:
        with _raw_terminal(), _keyboard(running, hang_up):
            for _, data in running.output():
                _write_all(sys.stdout.fileno(), data)
        if not gone.is_set():
            return running.exit_code()
    except KeyboardInterrupt:
        _leave(running, end)
        raise
    except (LabctlError, OSError, ValueError) as problem:  # the latter where what is read from was cut off
        if not gone.is_set() and not isinstance(problem, OutputFailed):
            raise
    _leave(running, end)
    return HUNG_UP


def _leave(running: Running, end: Callable[[], object]) -> None:
    """Let go of a command, and end it: an engine does not end what it runs for somebody who has gone (moby#9098)."""
    # Our end of the output goes first: an engine that cannot get rid of it tells of no command's end any more.
    running.close()
    within(unhurried(LAST_WORDS), end)


def pipe(running: Running, end: Callable[[], None]) -> int:
    """Carry our input there while its output comes back: either may have to wait for the other.

    `end` ends the command on the node: on Ctrl-C, or when nobody reads our output any more. Raises OutputFailed when
    our stdout takes no more (a full disk).
    """
    if sys.stdin.isatty():
        running.end_input()
    else:
        threading.Thread(target=_feed, args=(running,), daemon=True).start()
    with _one_interrupt():
        try:
            for kind, data in running.output():
                if kind == STDERR:
                    with contextlib.suppress(OutputFailed):  # what comes on stdout is what the command is for
                        _write_all(sys.stderr.fileno(), data)
                else:
                    _write_all(sys.stdout.fileno(), data)
        except (KeyboardInterrupt, BrokenPipeError, OutputFailed):
            _leave(running, end)
            raise
    return running.exit_code()


@contextlib.contextmanager
def _one_interrupt() -> Iterator[None]:
    """Let the first Ctrl-C end the block, and no other keep it from ending in order."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _feed(running: Running) -> None:
    # A command that has ended does not read the rest; its exit code tells whether that is bad.
    with contextlib.suppress(LabctlError):
        while chunk := _read_stdin():
            running.send(chunk)
        running.end_input()


def _read_stdin() -> bytes:
    """The next bytes of our stdin; none at its end, and where it was closed or its terminal has gone."""
    try:
        return os.read(sys.stdin.fileno(), CHUNK)
    except (OSError, ValueError):
        return b""


@contextlib.contextmanager
def _keyboard(running: Running, hang_up: Callable[[], None]) -> Iterator[None]:
    """Carry what is typed, and the window's size whenever it changes, while the block reads the output.

    `hang_up` is called when the terminal has gone.
    """
    if sys.platform == "win32":
        raise AssertionError(CLIENTS)
    listening, calling = os.pipe()

    def changed(_signal: int, _frame: FrameType | None) -> None:
        os.write(calling, RESIZE)

    typing = threading.Thread(target=_type, args=(running, listening, hang_up), daemon=True)
    before = signal.signal(signal.SIGWINCH, changed)
    try:
        typing.start()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.write(calling, END)
        typing.join()
        os.close(listening)
        os.close(calling)


def _type(running: Running, listening: int, hang_up: Callable[[], None]) -> None:
    keyboard = sys.stdin.fileno()
    _fit(running)
    while True:
        ready, _, _ = select.select([keyboard, listening], [], [])
        if listening in ready:
            if END in os.read(listening, CHUNK):
                return
            _fit(running)
        if keyboard in ready:
            typed = _read_stdin()
            if not typed:  # a terminal in raw mode has no other end: Ctrl-D is a key
                hang_up()
                return
            with contextlib.suppress(LabctlError):
                running.send(typed)


def _fit(running: Running) -> None:
    with contextlib.suppress(LabctlError, OSError):  # the latter where the terminal has gone
        size = os.get_terminal_size(sys.stdout.fileno())
        running.resize(size.lines, size.columns)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write to our stdout or stderr. Raises OutputFailed; a pipe without a reader stays what it is."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise OutputFailed(problem.errno or errno.EIO, problem.strerror or str(problem)) from problem


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    if sys.platform == "win32":
        raise AssertionError(CLIENTS)
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(descriptor)
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is for the command
    except termios.error as problem:  # no OSError; it has gone since we looked
        raise OutputFailed(*problem.args) from problem
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # one that has gone needs nothing back
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
