"""One command at a time makes an image; the others wait, and say so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from labctl.errors import HostError
from labctl.images.progress import Note
from labctl.state import state_dir

__all__ = ["held"]

LIMIT = 1800.0  # seconds: longer than any build that still makes progress


@contextmanager
def held(what: str, note: Note, *, limit: float = LIMIT) -> Iterator[None]:
    """Hold `what` (a word: base, node, mirror) against other labctl commands of this user.

    Raises HostError when another one holds it for longer than `limit` seconds.
    """
    from filelock import FileLock, Timeout

    folder = state_dir() / "locks"
    folder.mkdir(mode=0o700, exist_ok=True)
    # No lab can be called so: a lab's name begins with a letter or digit.
    lock = FileLock(folder / f"_image-{what}.lock")
    began = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            waited = time.monotonic() - began
            note(f"{what} is being made already; waiting for it")
            if waited > limit:
                raise HostError(
                    f"another labctl command has been making {what} for {waited:.0f} s",
                    hint="Wait for it, or end it, and try again.",
                ) from None
    try:
        yield
    finally:
        lock.release()
