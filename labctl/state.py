"""What labctl keeps on disk, for its user alone: keys and certificates, progress, a VM lab's folder.

Everything else is read from the engine. The folder is `$LABCTL_STATE`, or the place that the
system has for a user's state (`~/.local/state/labctl` on Linux).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from labctl.errors import HostError, LabError, UsageError
from labctl.locking import Busy, held_file, login, shared_folder

__all__ = [
    "at_home",
    "drop_lab_dir",
    "lab_dir",
    "lab_lock",
    "lab_path",
    "labs_of_machines",
    "labs_on_disk",
    "lock",
    "locks_dir",
    "machines_path",
    "state_dir",
    "write_private",
]

ANOTHER = "LABCTL_STATE names another folder."
MAY = "See that you may read and write all in it, or let LABCTL_STATE name another folder."
ROOM = "Make room there, or let LABCTL_STATE name another folder."
LONGEST_NAME, LONGEST_SHOWN = 200, 40  # letters; file systems take 255 bytes, and a lock's name is longer
LOCK_LIMIT = 600.0  # seconds: longer than any `up` that still makes progress


def state_dir() -> Path:
    """Return labctl's folder, made with mode 0700 where it is missing."""
    chosen = os.environ.get("LABCTL_STATE")
    if chosen:
        path = at_home(lambda: Path(chosen).expanduser(), ANOTHER).absolute()  # it is told to shells that go elsewhere
    else:
        import platformdirs

        path = at_home(lambda: platformdirs.user_state_dir("labctl"), ANOTHER)
    return _private_dir(path)


def at_home(find: Callable[[], Path | str], way_out: str) -> Path:
    """Return the path that `find` gives, which may begin at the user's home.

    Raises HostError, with the way out, where that home is not known.
    """
    with suppress(RuntimeError):
        path = Path(find())
        if not str(path).startswith("~"):
            return path
    if os.environ.get("HOME"):
        raise HostError("a path begins with ~ and a user whom this machine does not know", hint=way_out)
    raise HostError(f"the home folder of user {login()} is not known, and HOME is not set", hint=way_out)


def lab_dir(lab: str) -> Path:
    """Return the folder of one lab, made where it is missing. Raises UsageError for what cannot be a lab's name."""
    return _private_dir(_private_dir(state_dir() / "labs") / _file_name(lab))


def lab_path(lab: str) -> Path:
    """Return where one lab's folder is or would be: to look at a lab of somebody else leaves nothing behind."""
    return state_dir() / "labs" / _file_name(lab)


def labs_on_disk() -> list[str]:
    """Return the names of the labs that left something on disk."""
    labs = state_dir() / "labs"
    return sorted(entry.name for entry in labs.iterdir() if entry.is_dir()) if labs.is_dir() else []


def machines_path(lab: str) -> Path:
    """Return where a lab of virtual machines has its Vagrant folder, or would have it."""
    return lab_path(lab) / "vm"


def labs_of_machines() -> list[str]:
    """Return the names of the labs that are virtual machines."""
    return [lab for lab in labs_on_disk() if machines_path(lab).is_dir()]


def drop_lab_dir(lab: str) -> None:
    """Remove a lab's folder; missing is fine. Raises UsageError for what cannot be a lab's name."""
    import shutil

    shutil.rmtree(state_dir() / "labs" / _file_name(lab), ignore_errors=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises HostError when it cannot be written."""
    import tempfile

    try:
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink()
            raise
    except OSError as problem:
        raise HostError(f"cannot write {path}: {problem.strerror}", hint=ROOM) from problem


def locks_dir() -> Path:
    """Return the folder of this user's lock files, made where it is missing."""
    return _private_dir(state_dir() / "locks")


@contextmanager
def lab_lock(
    lab: str, *, wait: float = LOCK_LIMIT, engine: str = "", waiting: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the lab for one changing command; others wait up to `wait` seconds.

    With `engine` (its ID) the lab on that engine is held against everybody on this machine, else against those who use
    this state folder. `waiting` hears who holds it. Raises LabError when another command holds it for longer,
    UsageError for what cannot be a lab's name.
    """
    try:
        with lock(_file_name(lab), wait=wait, engine=engine, waiting=waiting):
            yield
    except Busy as busy:
        raise LabError(
            f"another labctl command has been changing lab {lab!r} for {wait:g} s"
            + (f": {busy.holder}" if busy.holder else ""),
            hint="Wait for it, or end it, and try again.",
        ) from None


@contextmanager
def lock(
    name: str, *, wait: float, engine: str = "", waiting: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold a name on an engine (its ID) against everybody on this machine; without one, in this state folder.

    Raises Busy after `wait` seconds, HostError when this state folder has no room for locks.
    """
    with ExitStack() as stack:
        own = locks_dir() / f"{name}.lock"
        try:
            stack.enter_context(held_file(own, wait=wait, waiting=waiting))
        except OSError as problem:
            raise HostError(f"cannot hold {own}: {problem.strerror or problem}", hint=MAY) from problem
        folder = shared_folder() if engine else None
        if folder is not None:
            import hashlib

            digest = hashlib.sha256(engine.encode()).hexdigest()[:16]
            path = folder / f"{digest}-{name}.lock"
            # A place that somebody has spoiled holds nobody up: owners are told apart by labels all the same.
            with suppress(OSError):
                stack.enter_context(held_file(path, wait=wait, shared=True, waiting=waiting))
        yield


def _file_name(lab: str) -> str:
    """What is typed behind `-l` becomes part of a path, and `down` removes what stands there."""
    if not lab or lab in (".", "..") or len(lab) > LONGEST_NAME or set(lab) & {"/", "\\", "\0"}:
        shown = lab if len(lab) <= LONGEST_NAME else f"{lab[:LONGEST_SHOWN]}…"
        raise UsageError(f"{shown!r} is no lab's name", hint="`labctl labs` lists the labs that there are.")
    return lab


def _private_dir(path: Path) -> Path:
    try:
        # Windows' folder for a user's programs is private; with a mode Python gives it to OWNER RIGHTS, which its
        # ssh.exe takes for somebody else (python/cpython#128038).
        path.mkdir(mode=0o777 if sys.platform == "win32" else 0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise HostError(f"cannot make {path}: {problem.strerror}", hint=ANOTHER) from problem
    if not os.access(path, os.R_OK | os.X_OK):
        raise HostError(f"cannot read {path}: {os.strerror(errno.EACCES)}", hint=MAY)
    return path
