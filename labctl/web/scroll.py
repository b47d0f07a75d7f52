"""The last bytes that a terminal showed, by where they stand in all that it ever showed."""

from __future__ import annotations

import threading

__all__ = ["KEPT", "Scroll"]

KEPT = 1 << 20  # bytes of a terminal that a page which comes back can still have


class Scroll:
    """Bytes are added at the end, and the oldest go. Every method may be called from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._data = bytearray()
        self._begin = 0

    @property
    def end(self) -> int:
        """How many bytes there ever were."""
        with self._lock:
            return self._begin + len(self._data)

    def add(self, data: bytes) -> None:
        """Add what was shown."""
        with self._lock:
            self._data += data
            if len(self._data) > 2 * self._kept:  # a copy is made once in a while, not for each piece
                gone = len(self._data) - self._kept
                del self._data[:gone]
                self._begin += gone

    def since(self, at: int, most: int) -> tuple[int, bytes]:
        """Bytes from `at` on, `most` at most, and where they begin: later than asked where those have gone.

        A place that there never was means the beginning.
        """
        with self._lock:
            if at < self._begin or at > self._begin + len(self._data):
                at = self._begin
            start = at - self._begin
            return at, bytes(self._data[start : start + most])
