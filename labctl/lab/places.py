"""A path on this machine, and what a copy needs of one on any machine."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Protocol

from labctl.errors import UsageError
from labctl.files import written_whole
from labctl.lab.unpacking import PERMISSIONS, checked_inside, is_plain_name, unpack
from labctl.state import at_home

__all__ = ["Found", "LocalPlace", "Place", "name_of", "sum_of", "told"]

CHUNK = 1 << 16
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what a link that leads nowhere answers


@dataclass(frozen=True)
class Found:
    """What stands at a path: `kind` is file, folder, special file or none.

    A special file is a pipe, a socket or a device. `name` is the last part, `mode` the permissions. `identity` is what
    it has in common with the same file by another path: machine and inode.
    """

    kind: str
    name: str = ""
    mode: int = 0o644
    identity: str = ""


class Place(Protocol):
    """A path on some machine."""

    def __str__(self) -> str: ...

    def look(self) -> Found:
        """What stands there."""
        ...

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        ...

    def around(self) -> Set[str]:
        """The identities of the folders that it is in, and its own: links followed, whatever of it is there."""
        ...

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        ...

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file, in a folder that is there: whole, or what was there stays."""
        ...

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below the folder, by its path from here."""
        ...

    def strays(self) -> Sequence[str]:
        """What is below the folder and cannot be copied: links that lead nowhere or in a circle, sockets, pipes."""
        ...

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below the folder, links followed, without strays and the files named."""
        ...

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack such an archive in the folder, which is made where it is missing."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """A path of this machine, as it was typed: a slash at its end means something.

    `folder` is the one that was typed, where only that was: nothing is written outside of it.
    """

    typed: str
    folder: Path | None = None

    def __str__(self) -> str:
        return self.typed

    @property
    def path(self) -> Path:
        """The path itself."""
        return at_home(lambda: Path(self.typed).expanduser(), f"{self.typed} is to be named without the ~.")

    def look(self) -> Found:
        """What stands there."""
        if not self.path.exists():
            return Found("none")
        kind = "folder" if self.path.is_dir() else "file" if self.path.is_file() else "special file"
        name, mode = name_of(self.path.name, self.path.resolve().name), self.path.stat().st_mode & PERMISSIONS
        return Found(kind, name, mode, _here(self.path))

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        return LocalPlace(str(self.path / name), self.path)

    def around(self) -> Set[str]:
        """The identities of the folders that it is in."""
        real = self.path.resolve()
        return {_here(path) for path in (real, *real.parents) if path.exists()}

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        with told(self.path), _opened(self.path) as file:
            yield from _chunks(file)

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file."""
        # A link that was typed is followed, one that was found in a folder only inside of that.
        path = self.path if self.folder is None else checked_inside(self.path, self.folder)
        with told(self.path), written_whole(path, mode=mode & PERMISSIONS, follow=True) as file:
            for chunk in content:
                file.write(chunk)

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below."""
        below = _below(self.path)
        return {
            name: sum_of(LocalPlace(str(path)).read()) for name, path in below if path is not None and path.is_file()
        }

    def strays(self) -> list[str]:
        """What cannot be copied."""
        with told(self.path):
            return sorted(name for name, path in _below(self.path) if path is None)

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below."""
        with tempfile.TemporaryFile() as packed, told(self.path):
            with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
                archive.add(self.path, ".", recursive=False)
                for name, path in _below(self.path):
                    if path is not None and name not in leave_out:
                        archive.add(path, f"./{name}", recursive=False)
            packed.seek(0)
            yield from _chunks(packed)

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack an archive in the folder."""
        with told(self.path):
            unpack(archive, self.path if self.folder is None else checked_inside(self.path, self.folder))


def name_of(typed: str, real: str) -> str:
    """The name of a copy: the last part of what was typed; where that says none (., .., ~), the one it has there."""
    last = typed.rstrip("/").rpartition("/")[2]
    name = real if last in ("", ".", "..", "~") else last
    return name if is_plain_name(name) else ""


def sum_of(content: Iterable[bytes]) -> str:
    """The SHA-256 of a content."""
    sum_ = hashlib.sha256()
    for chunk in content:
        sum_.update(chunk)
    return sum_.hexdigest()


@contextlib.contextmanager
def told(path: Path | Place) -> Iterator[None]:
    """Turn this machine's refusals, and those of an archive, into a line with the path."""
    try:
        yield
    except tarfile.TarError as problem:
        raise UsageError(f"{path}: {problem}") from problem
    except OSError as problem:
        raise UsageError(f"{problem.filename or path}: {problem.strerror or problem}") from problem


def _opened(path: Path) -> IO[bytes]:
    """Open a file to read; what became a pipe since it was looked at keeps nobody waiting, and is refused."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no file any more", str(path))
    return file


def _below(folder: Path) -> Iterator[tuple[str, Path | None]]:
    """Each path below the folder, links followed, by its name from there: folders first; None for a stray."""
    todo = [("", folder, frozenset([_identity(folder)]))]
    while todo:
        above, here, around = todo.pop()
        for path in sorted(here.iterdir()):
            name = f"{above}{path.name}"
            try:
                found = path.stat()
            except OSError as problem:
                if problem.errno not in NOWHERE:
                    raise
                yield name, None
                continue
            if S_ISDIR(found.st_mode) and _identity(path) not in around:
                todo.append((f"{name}/", path, around | {_identity(path)}))
                yield name, path
            else:
                yield name, path if S_ISREG(found.st_mode) else None


def _here(path: Path) -> str:
    """What this machine calls what is at the path, whatever the path."""
    found = path.stat()
    return f" {found.st_dev}:{found.st_ino}"


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
