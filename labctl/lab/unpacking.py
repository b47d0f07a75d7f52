"""An archive that a node wrote, unpacked in a folder of this machine, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from tarfile import TarInfo

from labctl.errors import UsageError
from labctl.files import written_whole
from labctl.tarstream import TarReader

__all__ = ["PERMISSIONS", "checked_inside", "is_plain_name", "unpack"]

PERMISSIONS = 0o777  # what a copy keeps of a mode: neither setuid nor setgid nor sticky
MEANT_BY_WINDOWS = frozenset('\\:*?"<>|')


class _LeadsOut(UsageError):
    """A link leads out of the folder."""


def unpack(archive: Iterable[bytes], folder: Path) -> None:
    """Unpack files and folders; the folder is made where it is missing, and then gets its mode from the archive.

    What existed keeps its mode, and is left when an entry's name leads elsewhere. Raises tarfile.TarError for an
    archive with anything else in it, UsageError where a link in the folder leads out of it, and OSError. What a refused
    archive brought that was not there before is removed.
    """
    modes: dict[Path, int] = {}
    files: list[Path] = []
    _make(folder, modes)
    reader = TarReader(archive)
    try:
        for entry in reader:
            parts = _parts(entry)
            place = folder.joinpath(*parts)
            checked_inside(place if entry.isdir() else place.parent, folder)
            _make_folders(folder, parts if entry.isdir() else parts[:-1], modes)
            if entry.isdir():
                if place in modes:
                    modes[place] = entry.mode & PERMISSIONS
            else:
                if not os.path.lexists(place):
                    files.append(place)
                _write(place, reader.content(), entry)
        reader.drain()
    except (tarfile.TarError, _LeadsOut):
        _remove(files, modes)
        raise
    finally:
        # Last, and the deepest first: a folder may be one that nobody may write in.
        for made in sorted(modes, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                made.chmod(modes[made])


def _remove(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Remove what was made; a folder in which somebody else put something meanwhile stays."""
    for file in files:
        with contextlib.suppress(OSError):
            file.unlink()
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()


def checked_inside(path: Path, folder: Path) -> Path:
    """Return the path, if no link leads from it out of the folder that it is in. Raises UsageError."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _LeadsOut(
            f"{path} leads out of {folder}: a link there points elsewhere",
            hint="Remove that link, or name the place where it leads as the target.",
        )
    return path


def is_plain_name(name: str) -> bool:
    """Whether it is the name of something in a folder, and nothing else."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return False
    return sys.platform != "win32" or not MEANT_BY_WINDOWS & set(name)


def _parts(entry: TarInfo) -> list[str]:
    """Where in the folder an entry belongs; empty for the folder itself."""
    if not (entry.isreg() or entry.isdir()):
        raise tarfile.ReadError(f"{entry.name!r} in what the node sent is neither a file nor a folder")
    name = entry.name.removeprefix("./")
    parts = [] if name in ("", ".") else name.rstrip("/").split("/")
    if not all(is_plain_name(part) for part in parts) or not (parts or entry.isdir()):
        raise tarfile.ReadError(f"the node sent a file with a name that leads elsewhere: {entry.name!r}")
    return parts


def _make_folders(folder: Path, parts: Iterable[str], modes: dict[Path, int]) -> None:
    for part in parts:
        folder = folder / part
        _make(folder, modes)


def _make(folder: Path, modes: dict[Path, int]) -> None:
    """Make the folder where it is missing, for the user alone until all is in it."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        modes[folder] = 0o700


def _write(place: Path, content: Iterator[bytes], entry: TarInfo) -> None:
    with written_whole(place, mode=entry.mode & PERMISSIONS) as file:
        for chunk in content:
            file.write(chunk)
        file.flush()
        if os.utime in os.supports_fd:
            with contextlib.suppress(OSError, OverflowError, ValueError):
                os.utime(file.fileno(), (entry.mtime, entry.mtime))
