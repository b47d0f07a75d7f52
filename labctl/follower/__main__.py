"""`python3 -m follower`: follow the swarm until the container ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from .files import FOLDER, KEYS
from .follow import Follower
from .managers import Managers
from .nginx import Nginx, NginxError

__all__ = ["Bell", "main"]


class Bell:
    """Wakes the loop, from any thread and from signals."""

    def __init__(self) -> None:
        self._ear, self._rope = socket.socketpair()
        for end in (self._ear, self._rope):
            end.setblocking(False)

    def ring(self, *_: object) -> None:
        """Wake it, or let it not sleep next time."""
        with contextlib.suppress(BlockingIOError):  # it rings already
            self._rope.send(b"!")

    def wait(self, seconds: float) -> bool:
        """Sleep, and return whether it rang."""
        ready, _, _ = select.select([self._ear], [], [], seconds)
        return bool(ready) and bool(self._ear.recv(65536))


def main() -> int:
    """Follow until SIGTERM, or until nginx ends."""
    bell = Bell()
    try:
        # Where the engine publishes its ports on 127.0.0.1, all addresses here are the container's own.
        own = sys.argv[1:] == ["published"]
        nginx = Nginx("0.0.0.0" if own else "127.0.0.1", bell.ring)  # noqa: S104  # see above
    except NginxError as problem:
        sys.stderr.write(f"follower: nginx does not start: {problem}\n")
        return 1
    ending = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        ending = True
        bell.ring()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, bell.ring)
    follower = Follower(Managers(os.path.join(FOLDER, KEYS), bell.ring), nginx, FOLDER, beacon=light_beacon())
    attempt(follower.begin)
    while not ending and nginx.runs:
        attempt(lambda: follower.step(time.monotonic()))
        if bell.wait(follower.nap(time.monotonic())):
            follower.stir(time.monotonic())
    nginx.end()
    return 0 if ending else 1


def attempt(work: Callable[[], None]) -> None:
    """Do it; what nginx does not take is told, and tried again the next time."""
    try:
        work()
    except NginxError as problem:
        sys.stderr.write(f"follower: nginx refuses what was asked: {problem}\n")


def light_beacon() -> tuple[int, str]:
    """Listen on a port of 127.0.0.1 that tells a token: so labctl sees whether this is its host's network."""
    listener = socket.create_server(("127.0.0.1", 0))
    token = os.urandom(8).hex()

    def shine() -> None:
        while True:
            link, _ = listener.accept()
            with link:
                try:
                    link.sendall(token.encode())
                except OSError:
                    continue

    threading.Thread(target=shine, daemon=True).start()
    return int(listener.getsockname()[1]), token


if __name__ == "__main__":
    sys.exit(main())
