"""A terminal in a container, over the Engine API: raw mode, window size, exit code; or pipes, where we have none."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from labctl.engine import Engine
from labctl.engine.attached import STDERR, Attached
from labctl.errors import EngineUnreachable

__all__ = ["attach"]

CHUNK = 1 << 16
RESIZE, END = b"r", b"e"


def attach(engine: Engine, container: str, command: list[str]) -> int:
    """Run a command in a container with our terminal (or our pipes) and return its exit code."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _piped(engine, container, command)
    env = {"TERM": os.environ.get("TERM", "xterm")}
    with contextlib.closing(Attached(engine, container, command, tty=True, env=env)) as attached:
        with _raw_terminal(), _keyboard(attached):
            for _, data in attached.output():
                _write_all(sys.stdout.fileno(), data)
        return attached.exit_code()


def _piped(engine: Engine, container: str, command: list[str]) -> int:
    """Carry our input there while its output comes back: either may have to wait for the other."""
    noted = f"/tmp/.labctl-pid-{os.getpid()}-{time.monotonic_ns()}"
    script = 'echo $$ > "$0"; "$@"; code=$?; rm -f "$0"; exit $code'
    with contextlib.closing(Attached(engine, container, ["/bin/sh", "-c", script, noted, *command])) as attached:
        if sys.stdin.isatty():
            attached.end_input()
        else:
            threading.Thread(target=_feed, args=(attached,), daemon=True).start()
        with _one_interrupt():
            try:
                for kind, data in attached.output():
                    _write_all((sys.stderr if kind == STDERR else sys.stdout).fileno(), data)
            except (KeyboardInterrupt, BrokenPipeError):
                # An engine does not end what it runs for somebody who has gone (moby#9098). Our end of the output
                # goes first: an engine that cannot get rid of it tells of no command's end any more.
                attached.close()
                engine.execute(container, ["/bin/sh", "-c", 'kill -s HUP -- -"$(cat "$0")"; rm -f "$0"', noted])
                raise
        return attached.exit_code()


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


def _feed(attached: Attached) -> None:
    # A command that has ended does not read the rest; its exit code tells whether that is bad.
    with contextlib.suppress(EngineUnreachable):
        while chunk := os.read(sys.stdin.fileno(), CHUNK):
            attached.send(chunk)
        attached.end_input()


@contextlib.contextmanager
def _keyboard(attached: Attached) -> Iterator[None]:
    """Carry what is typed, and the window's size whenever it changes, while the block reads the output."""
    listening, calling = os.pipe()

    def changed(_signal: int, _frame: FrameType | None) -> None:
        os.write(calling, RESIZE)

    typing = threading.Thread(target=_type, args=(attached, listening), daemon=True)
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


def _type(attached: Attached, listening: int) -> None:
    keyboard = sys.stdin.fileno()
    watched = [keyboard, listening]
    _fit(attached)
    while True:
        ready, _, _ = select.select(watched, [], [])
        if listening in ready:
            if END in os.read(listening, CHUNK):
                return
            _fit(attached)
        if keyboard in ready:
            typed = os.read(keyboard, CHUNK)
            if not typed:
                watched.remove(keyboard)
            with contextlib.suppress(EngineUnreachable):
                attached.send(typed)


def _fit(attached: Attached) -> None:
    size = os.get_terminal_size(sys.stdout.fileno())
    with contextlib.suppress(EngineUnreachable):
        attached.resize(size.lines, size.columns)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)  # what was typed ahead is for the command
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
