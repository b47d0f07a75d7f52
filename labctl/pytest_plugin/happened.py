"""What happens in the lab, heard from the session's begin on, for the reports of tests that fail."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING

from labctl.errors import LabctlError

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.lab.happening import LabEvent
    from labctl.lab.watching import LabEvents

__all__ = ["Happened"]

MOST = 5000  # events that are kept
COMMON = ("number", "time", "lab", "node")


class Happened:
    """Listens in a thread of its own until `close`. A lab that cannot be followed has no events."""

    def __init__(self, lab: Lab) -> None:
        self._heard: deque[LabEvent] = deque(maxlen=MOST)
        self._events: LabEvents | None = None
        try:
            self._events = lab.events()
        except LabctlError:
            return
        threading.Thread(target=self._listen, args=(self._events,), name="labctl-pytest-events", daemon=True).start()

    def _listen(self, events: LabEvents) -> None:
        with suppress(LabctlError):  # the report tells what was heard until then
            for event in events:
                self._heard.append(event)

    def since(self, moment: float) -> str:
        """What has happened since then (in seconds since 1970), a line each."""
        return "".join(f"{_line(event)}\n" for event in list(self._heard) if event.time >= moment)

    def close(self) -> None:
        """Listen no more."""
        if self._events is not None:
            self._events.close()


def _line(event: LabEvent) -> str:
    when = datetime.fromtimestamp(event.time).astimezone().isoformat(timespec="milliseconds")
    more = [f"{one.name}={getattr(event, one.name)}" for one in fields(event) if one.name not in COMMON]
    told = " ".join(word for word in more if not word.endswith(("=", "=None", "={}")))
    return f"{when} {event.node or '-'} {type(event).__name__.removesuffix('Event').lower()} {told}"
