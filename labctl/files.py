"""Files at a path of the user's: whole or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_special", "written_whole"]

# What these links lead to may be an ordinary file, and yet it is their other end that is meant.
THROUGH = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


def is_special(path: Path) -> bool:
    """Whether a pipe, a socket or a device is there, which may keep one waiting; /dev/stdout and the like are none."""
    return path.exists() and not (path.is_file() or path.is_dir() or _is_through(path))


def _is_through(path: Path) -> bool:
    return str(path.absolute()).startswith(THROUGH)


@contextlib.contextmanager
def written_whole(path: Path, *, mode: int | None = None, follow: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of `path` when the block ends well.

    It is made beside the path, as readable as the user's other files or with `mode`. A link at the path is replaced,
    and what it leads to stays as it is; with `follow` it is the other way round. A device and a pipe are written as
    they are. Raises OSError.
    """
    through = _is_through(path)
    place = path.resolve() if follow and not through else path
    # A folder is no place for a file: to open it says so.
    if through or (place.exists() and not place.is_symlink() and not place.is_file()):
        with place.open("ab" if through else "wb") as file:
            yield file
        return
    fresh = place.with_name(f".labctl-{secrets.token_hex(6)}.part")  # the path's own name may be as long as can be
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(fresh, flags, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if mode is not None:
                fresh.chmod(mode)  # the umask took some of it
        fresh.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
