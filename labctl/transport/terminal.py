"""A terminal in a container, over the Engine API: raw mode, window size, exit code."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from labctl.engine import Engine
from labctl.engine.errors import translated

__all__ = ["attach"]


def attach(engine: Engine, container: str, command: list[str]) -> int:
    """Run a command in a container with our terminal (or our pipe) and return its exit code."""
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    with translated(engine.where):
        environment = {"TERM": os.environ.get("TERM", "xterm")} if tty else {}
        created = engine.api.exec_create(container, command, stdin=True, tty=tty, environment=environment)
        if not tty:
            return _piped(engine, created["Id"])
        stream = engine.api.exec_start(created["Id"], tty=True, socket=True)
        connection: Any = getattr(stream, "_sock", stream)
        with _raw_terminal(), _window_follows(engine, created["Id"]):
            _pump(connection)
        return int(engine.api.exec_inspect(created["Id"])["ExitCode"] or 0)


def _piped(engine: Engine, exec_id: str) -> int:
    """Without a terminal: our input until its end, then the command's output until its end."""
    from docker.utils.socket import frames_iter

    stream = engine.api.exec_start(exec_id, tty=False, socket=True)
    connection: Any = getattr(stream, "_sock", stream)
    if not sys.stdin.isatty():
        while chunk := os.read(sys.stdin.fileno(), 65536):
            connection.sendall(chunk)
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    for kind, data in frames_iter(connection, tty=False):
        out = sys.stderr.buffer if kind == 2 else sys.stdout.buffer
        out.write(data)
        out.flush()
    return int(engine.api.exec_inspect(exec_id)["ExitCode"] or 0)


def _pump(connection: Any) -> None:
    """Carry bytes both ways until the command closes its side."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    watched: list[Any] = [connection, keyboard]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if connection in ready:
            data = connection.recv(65536)
            if not data:
                return
            os.write(screen, data)
        if keyboard in ready:
            typed = os.read(keyboard, 65536)
            if typed:
                connection.sendall(typed)
            else:
                watched.remove(keyboard)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window_follows(engine: Engine, exec_id: str) -> Iterator[None]:
    def resize(_signal: int = 0, _frame: FrameType | None = None) -> None:
        size = shutil.get_terminal_size()
        engine.api.exec_resize(exec_id, height=size.lines, width=size.columns)

    before = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
