"""One command at a time makes an image or writes to the mirror; the others wait, and say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from labctl.engine import Engine
from labctl.errors import Abandoned, HostError
from labctl.images.progress import Note
from labctl.locking import Busy
from labctl.state import lock

__all__ = ["held"]

LIMIT = 1800.0  # seconds: longer than any build that still makes progress
LOOK = 1.0  # seconds between two looks at who holds it, and at `stop`


@contextmanager
def held(
    what: str,
    note: Note,
    *,
    engine: Engine | None = None,
    stop: threading.Event | None = None,
    limit: float = LIMIT,
) -> Iterator[None]:
    """Hold `what` (a word: base, node, mirror) against all other labctl commands on the engine, whoever runs them.

    Without an engine, against those of this user. Raises HostError when another one holds it for longer than `limit`
    seconds, Abandoned once `stop` is set.
    """
    # No lab can be called so: a lab's name begins with a letter or digit.
    name, identity = f"_image-{what}", engine.identity() if engine else ""
    began = time.monotonic()
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock(name, wait=min(LOOK, limit), engine=identity))
                break
            except Busy as busy:
                by = f" ({busy.holder})" if busy.holder else ""
            waited = time.monotonic() - began
            note(f"{what} is being made already{by}; waiting for it")
            if stop is not None and stop.is_set():
                raise Abandoned(f"{what} was given up")
            if waited >= limit:
                raise HostError(
                    f"another labctl command has been making {what} for {waited:.0f} s{by}",
                    hint="Wait for it, or end it, and try again.",
                )
        yield
