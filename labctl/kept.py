"""What a program writes, kept within a bound: of more than that, the last part."""

from __future__ import annotations

__all__ = ["MOST_OUTPUT", "Kept", "read_bytes"]

MOST_OUTPUT = 16 << 20  # bytes of each of a command's two outputs; a result is for reading, a copy goes by `stream`
MIB = 1 << 20


class Kept:
    """Collects bytes and keeps the last `most` of them; `dropped` counts the others."""

    def __init__(self, most: int = MOST_OUTPUT) -> None:
        self._most = most
        self._bytes = bytearray()
        self._gone = 0

    def add(self, data: bytes) -> None:
        """Take what was written."""
        self._bytes += data
        if len(self._bytes) > self._most + MIB:  # not at each call: to drop the first part moves all the rest
            self._cut()

    @property
    def dropped(self) -> int:
        """How many bytes were not kept."""
        return self._gone + max(0, len(self._bytes) - self._most)

    def content(self) -> bytes:
        """What was kept."""
        self._cut()
        return bytes(self._bytes)

    def text(self) -> str:
        """What was kept, as text."""
        return self.content().decode(errors="replace")

    def _cut(self) -> None:
        more = len(self._bytes) - self._most
        if more > 0:
            del self._bytes[:more]
            self._gone += more


def read_bytes(count: int) -> str:
    """Return a number of bytes in words: 8 MiB."""
    return f"{count / MIB:.0f} MiB" if count >= 10 * MIB else f"{count / MIB:.3g} MiB" if count >= MIB else f"{count} B"
