"""Listen on this machine's loopback alone, and serve until somebody says stop."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from labctl.errors import HostError, UsageError
from labctl.waiting import unhurried
from labctl.web.safety import Guard

__all__ = ["FIRST_PORT", "bound", "serving"]

FIRST_PORT = 7070
TRIED = 20  # ports after the first, where none is asked for
CLOSING = 2  # seconds that open connections have to end
END_LIMIT = 10.0
MOST_SAID = 1 << 20  # bytes of one message of a page


def bound(port: int | None) -> tuple[int, list[socket.socket]]:
    """A port that is free on all loopback addresses, and the sockets that listen there.

    localhost is 127.0.0.1 and ::1 to a browser: another program on either would be sent the token. Without a port it
    is the first free one. Raises UsageError for one that is taken, or that this user may not open.
    """
    tried = [port] if port else range(FIRST_PORT, FIRST_PORT + TRIED + 1)
    for number in tried:
        try:
            return number, _listening(number)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE:
                raise UsageError(f"port {number} cannot be opened: {problem.strerror}") from problem
    if port:
        raise UsageError(f"port {port} is taken on this machine", hint="Without --port, one is found.")
    last = FIRST_PORT + TRIED
    raise HostError(f"the ports {FIRST_PORT} to {last} are all taken on this machine", hint="`--port` names another.")


def _listening(port: int) -> list[socket.socket]:
    found: list[socket.socket] = []
    try:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            if family is socket.AF_INET6 and not _has_ipv6():
                continue
            one = socket.socket(family, socket.SOCK_STREAM)
            found.append(one)
            if os.name == "posix":  # elsewhere it lets two programs have one port
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
            one.listen(128)
    except OSError:
        for one in found:
            one.close()
        raise
    return found


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def serving(guard: Guard, sockets: list[socket.socket]) -> Iterator[threading.Event]:
    """Serve while the block runs, in a thread: Ctrl-C stays with whoever runs the block. The event tells of the end."""
    server = uvicorn.Server(
        uvicorn.Config(
            guard,
            log_config=None,  # an address in a log would have the token in it
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=MOST_SAID,
            ws_per_message_deflate=False,  # it costs a keystroke more than it saves on loopback
            timeout_graceful_shutdown=CLOSING,
            server_header=False,
            date_header=False,
        )
    )
    over = threading.Event()  # a join that Ctrl-C cuts short takes the thread for ended (python/cpython#90882)

    def run() -> None:
        try:
            server.run(sockets)
        finally:
            over.set()

    threading.Thread(target=run, name="labctl-web", daemon=True).start()
    try:
        yield over
    finally:
        server.should_exit = True
        over.wait(unhurried(END_LIMIT))
        for one in sockets:
            one.close()
