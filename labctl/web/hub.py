"""What all pages are told, from whatever thread, and what one that comes later has to know."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Hub", "Message", "Page"]

Message = Mapping[str, Any]
MOST_LOGGED = 200  # of each log


class Page(Protocol):
    """A page that hears."""

    def put(self, message: Message) -> None:
        """Hear a message."""
        ...


class Hub:
    """Tells every page, and keeps what makes a new one like the others: the last of a kind, or a log of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: list[Page] = []
        self._kept: dict[str, Message] = {}
        self._logs: dict[str, deque[Message]] = {}

    def tell(self, message: Message, *, keep: bool = False) -> None:
        """Tell all pages; with `keep` it stands, by its type, until the next of that type."""
        with self._lock:
            if keep:
                self._kept[str(message["type"])] = message
            self._tell(message)

    def log(self, name: str, message: Message, *, anew: bool = False, once: str = "") -> None:
        """Tell all pages, and those that come the whole log.

        `anew` begins the log with this. With `once` it stands in the place of one that has the same under that key.
        """
        with self._lock:
            log = self._logs.setdefault(name, deque(maxlen=MOST_LOGGED))
            if anew:
                log.clear()
            for same in [one for one in log if once and one.get(once) == message.get(once)]:
                log.remove(same)
            log.append(message)
            self._tell(message)

    def join(self, page: Page) -> None:
        """Tell a page how things are, and from now on all."""
        with self._lock:
            for message in (*self._kept.values(), *(one for log in self._logs.values() for one in log)):
                page.put(message)
            self._pages.append(page)

    def leave(self, page: Page) -> None:
        """Tell a page no more."""
        with self._lock:
            if page in self._pages:
                self._pages.remove(page)

    def _tell(self, message: Message) -> None:
        for page in self._pages:
            page.put(message)
