"""Tar archives of others, read as they come and within bounds.

Python's tarfile takes a header's word for its length: one of a few bytes on disk takes gigabytes of memory. And what
its filters let through depends on the Python. So what comes from elsewhere is read here, entry by entry.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from tarfile import BLOCKSIZE, TarInfo

__all__ = ["TarReader", "end", "header", "padding", "rewritten"]

LONGEST_HEADER = 1 << 20  # bytes of all that is said ahead of one entry; Linux' longest path has 4096
LONGEST_NAME = 4096
LONGEST_REST = 1 << 20  # bytes; tar fills up 10 KiB
CHUNK = 1 << 16
PAX, PAX_FOR_ALL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"
EXTENSIONS = (PAX, PAX_FOR_ALL, LONG_NAME, LONG_LINK)
SPARSE = "GNU.sparse"
KEPT = ("path", "linkpath", "size")  # of a pax header; the rest is read over
ENCODING, ERRORS = "utf-8", "surrogateescape"
LATEST = 1 << 33  # seconds; a later time is no file's
NUL = b"\0"


class TarReader:
    """Yields the entries of an archive, each with its long name; `content` is what is in the one yielded last.

    Raises tarfile.TarError for what is no archive, is cut off, has more than `most_entries` or an entry with more
    than a mebibyte of headers.
    """

    def __init__(self, chunks: Iterable[bytes], *, most_entries: int | None = None) -> None:
        self._chunks = iter(chunks)
        self._buffer = memoryview(b"")  # cut up without a copy of what is left
        self._left = 0  # of the current entry's content
        self._padding = 0
        self._most = most_entries

    def __iter__(self) -> Iterator[TarInfo]:
        """Each entry in turn; what was not read of the one before is skipped."""
        count = 0
        while (entry := self._next()) is not None:
            count += 1
            if self._most is not None and count > self._most:
                raise tarfile.ReadError(f"it has more than {self._most} entries")
            yield entry

    def content(self) -> Iterator[bytes]:
        """What is left of the current entry's content."""
        while self._left:
            data = self._some(self._left)
            self._left -= len(data)
            yield bytes(data)

    def drain(self) -> None:
        """Read what fills up the archive behind its end, so that its writer comes to an end too."""
        rest = len(self._buffer)
        for chunk in self._chunks:
            rest += len(chunk)
            if rest > LONGEST_REST:
                raise tarfile.ReadError("it goes on behind its end")

    def _next(self) -> TarInfo | None:
        said: dict[str, str] = {}
        headers = 0
        while True:
            for _ in self.content():
                pass
            self._exactly(self._padding)
            self._padding = 0
            block = self._exactly(BLOCKSIZE)
            if block.count(NUL) == BLOCKSIZE:
                return None
            entry = TarInfo.frombuf(block, ENCODING, ERRORS)
            if entry.size < 0:
                raise tarfile.ReadError("an entry has a negative size")
            if entry.type not in EXTENSIONS:
                return self._begun(entry, said)
            headers += entry.size
            if headers > LONGEST_HEADER:
                raise tarfile.ReadError(f"an entry's header takes {headers} bytes")
            headers += BLOCKSIZE
            said |= self._extension(entry)

    def _begun(self, entry: TarInfo, said: dict[str, str]) -> TarInfo:
        if entry.type == tarfile.GNUTYPE_SPARSE or SPARSE in said:
            raise tarfile.ReadError(f"{entry.name}: files with holes are not read")
        entry.name = said.get("path", entry.name)
        entry.linkname = said.get("linkpath", entry.linkname)
        try:
            entry.size = int(said.get("size", entry.size))
        except ValueError as problem:
            raise tarfile.ReadError(f"{entry.name}: {problem}") from problem
        if entry.size < 0 or len(entry.name) > LONGEST_NAME:
            raise tarfile.ReadError(f"the entry {entry.name[:40]!r} has a size or a name that no file has")
        self._left = entry.size if entry.isreg() else 0
        self._padding = -self._left % BLOCKSIZE
        return entry

    def _extension(self, entry: TarInfo) -> dict[str, str]:
        """What an entry says of the one after it."""
        body = self._exactly(entry.size)
        self._exactly(-entry.size % BLOCKSIZE)
        if entry.type == LONG_NAME:
            return {"path": _text(body)}
        if entry.type == LONG_LINK:
            return {"linkpath": _text(body)}
        return _attributes(body) if entry.type == PAX else {}

    def _some(self, most: int) -> memoryview:
        while not self._buffer:
            found = next(self._chunks, None)
            if found is None:
                raise tarfile.ReadError("it ends too early")
            self._buffer = memoryview(found)
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        return data

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            parts.append(self._some(count))
            count -= len(parts[-1])
        return b"".join(parts)


def _text(body: bytes) -> str:
    return body.partition(NUL)[0].decode(ENCODING, ERRORS)


def _attributes(body: bytes) -> dict[str, str]:
    """What a pax header says of the keys that matter; any that tells of holes is SPARSE."""
    found: dict[str, str] = {}
    for key, value in _records(body):
        if key.startswith(SPARSE):
            found[SPARSE] = ""
        elif key in KEPT:
            found[key] = value
    return found


def _records(body: bytes) -> Iterator[tuple[str, str]]:
    """The records of a pax header: "LENGTH KEY=VALUE\\n", the length being that of the whole record."""
    at = 0
    while at < len(body):
        length, space, _ = body[at : at + 20].partition(b" ")
        if not space or not length.isdigit() or not len(length) + 1 < int(length) <= len(body) - at:
            raise tarfile.ReadError("an entry has a bad header")
        record = body[at + len(length) + 1 : at + int(length)]
        at += int(length)
        key, _, value = record.removesuffix(b"\n").partition(b"=")
        yield key.decode(ENCODING, ERRORS), value.decode(ENCODING, ERRORS)


def header(name: str, *, size: int = 0, folder: bool = False, mode: int = 0o644, mtime: float = 0) -> bytes:
    """The header of an entry, as every tar reads it."""
    entry = TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, mode, int(mtime if 0 <= mtime < LATEST else 0)
    entry.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return entry.tobuf(tarfile.GNU_FORMAT, ENCODING, ERRORS)


def padding(size: int) -> bytes:
    """What fills up the last block of a content."""
    return NUL * (-size % BLOCKSIZE)


def end() -> bytes:
    """The end of an archive."""
    return NUL * (2 * BLOCKSIZE)


def rewritten(archive: Iterable[bytes]) -> Iterator[bytes]:
    """The archive's files and folders in an archive of our own writing: no special bit, no owner.

    Raises tarfile.TarError when something else is in it.
    """
    reader = TarReader(archive)
    for entry in reader:
        if not (entry.isreg() or entry.isdir()):
            raise tarfile.ReadError(f"{entry.name!r} is neither a file nor a folder")
        size = entry.size if entry.isreg() else 0
        yield header(entry.name, size=size, folder=entry.isdir(), mode=entry.mode & 0o777, mtime=entry.mtime)
        yield from reader.content()
        yield padding(size)
    yield end()
    reader.drain()
