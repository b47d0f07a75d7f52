"""Files at a path of the user's: whole or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_special", "written_whole"]

# What is open here as a number: /dev/stdout is a link to a path of this kind, and that leads to what is open, which may
# be an ordinary file; where it stands is known to the number alone.
OPEN = re.compile(r"/(?:dev|proc/(\d+)(?:/task/\d+)?)/fd/(\d+)")
SYSTEMS = ("/dev/", "/proc/")
MOST_LINKS = 40  # as many as Linux follows


def is_special(path: Path) -> bool:
    """Whether a pipe, a socket or a device is there, which may keep one waiting; /dev/stdout and the like are none."""
    return path.exists() and not (path.is_file() or path.is_dir() or _is_through(path))


def _is_through(path: Path, *, follow: bool = False) -> bool:
    return _number(path, follow=follow) is not None or str(path.absolute()).startswith("/proc/")


def _number(path: Path, *, follow: bool = False) -> int | None:
    """The descriptor of this process that the path means; None for any other path. `follow` the user's links too."""
    for _ in range(MOST_LINKS):
        path = path.absolute()
        with contextlib.suppress(OSError, RuntimeError):
            path = path.parent.resolve() / path.name
        if found := OPEN.fullmatch(str(path)):
            return int(found[2]) if found[1] in (None, str(os.getpid())) else None
        if not path.is_symlink() or not (follow or str(path).startswith(SYSTEMS)):
            return None
        path = path.parent / path.readlink()
    return None


def _opened_through(path: Path) -> BinaryIO:
    """What is open already, from where it stands: opened anew it would be written over from its beginning."""
    number = _number(path, follow=True)
    if number is None:
        return path.open("ab")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # what was said before comes before
            stream.flush()
    return os.fdopen(os.dup(number), "wb")


@contextlib.contextmanager
def written_whole(path: Path, *, mode: int | None = None, follow: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of `path` when the block ends well.

    It is made beside the path, as readable as the user's other files or with `mode`. A link at the path is replaced,
    and what it leads to stays as it is; with `follow` it is the other way round. A device and a pipe are written as
    they are. Raises OSError.
    """
    through = _is_through(path, follow=follow)
    place = path.resolve() if follow and not through else path
    # A folder is no place for a file: to open it says so.
    if through or (place.exists() and not place.is_symlink() and not place.is_file()):
        with _opened_through(place) if through else place.open("wb") as file:
            yield file
        return
    fresh = place.with_name(f".labctl-{secrets.token_hex(6)}.part")  # the path's own name may be as long as can be
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(fresh, flags, 0o666 if mode is None else mode)
    except OSError as problem:  # the user never named the file beside it
        raise OSError(problem.errno, problem.strerror, str(place)) from problem
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
