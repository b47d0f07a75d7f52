"""Lock files that tell who holds them. A holder that dies lets go at once.

A file in a shared folder may be one that another user made, or a trap: no link is followed, nothing is truncated, and
what a holder wrote is only ever shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Busy", "held_file", "login", "shared_folder"]

PAUSE, LONGEST_PAUSE = 0.02, 0.25  # seconds between two tries
TOLD_AFTER = 1.0  # seconds of waiting before somebody is told
LONGEST_HOLDER = 400  # bytes; the file may be somebody else's
# The folder that all users of this machine share, and ours in it: the first one whose parent is there counts.
PLACES = ((Path("/run/lock"), "labctl"), (Path("/tmp"), "labctl-locks"))
STICKY = 0o1777
SECRET_OPTION = re.compile(r"--[a-z-]*key")


def _without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command as every user of the machine may read them: a key that was typed is left out."""
    shown: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        option, sign, _ = word.partition("=")
        if SECRET_OPTION.fullmatch(before):
            shown.append("***")
        elif sign and SECRET_OPTION.fullmatch(option):
            shown.append(f"{option}=***")
        else:
            shown.append(word)
    return shown


class Busy(Exception):
    """The lock is still held at the limit. `holder` tells by whom, as far as the file says; "" where it does not."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


def login() -> str:
    """Return the name of the user that this process runs as."""
    if sys.platform == "win32":
        import getpass

        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user, which no file knows
        return str(os.getuid())


@contextmanager
def held_file(
    path: Path, *, wait: float, shared: bool = False, waiting: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the lock file for the block; wait up to `wait` seconds for another holder.

    `shared` lets every user of the machine take it. `waiting` hears once who holds it. Raises Busy at the limit, and
    OSError for a file that cannot be a lock.
    """
    if sys.platform == "win32":
        with _held_on_windows(path, wait):
            yield
    else:
        descriptor = _locked(path, wait, shared, waiting)
        try:
            _write_holder(descriptor)
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


def shared_folder() -> Path | None:
    """Return the folder for locks that all users of this machine share; None where there can be none.

    Anybody may make it; one that is a link, or that not everybody can write to, is not used.
    """
    if sys.platform == "win32":
        return None
    for parent, name in PLACES:
        with contextlib.suppress(OSError):
            if stat.S_IMODE(parent.stat().st_mode) & STICKY == STICKY:
                return _made_shared(parent / name)
    return None


def _made_shared(folder: Path) -> Path | None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=STICKY)
    for _ in range(20):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return None
        if stat.S_IMODE(found.st_mode) & STICKY == STICKY:
            return folder
        with contextlib.suppress(PermissionError):  # somebody else made it, and may be about to do so
            folder.chmod(STICKY)  # the umask took some of it
            continue
        time.sleep(PAUSE)
    return None


if sys.platform == "win32":

    @contextmanager
    def _held_on_windows(path: Path, wait: float) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(path)
        try:
            lock.acquire(timeout=wait)
        except Timeout:
            raise Busy("") from None
        try:
            yield
        finally:
            lock.release()

else:

    def _locked(path: Path, wait: float, shared: bool, waiting: Callable[[str], None]) -> int:
        import fcntl

        began, pause, told = time.monotonic(), PAUSE, False
        while True:
            descriptor = _opened(path, shared)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    return descriptor
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited >= wait:
                    holder = _holder(descriptor)
                    os.close(descriptor)
                    raise Busy(holder) from None
                if waited > TOLD_AFTER and not told:
                    told = True
                    waiting(_holder(descriptor))
                os.close(descriptor)
                time.sleep(min(pause, max(0.0, wait - waited)))
                pause = min(pause * 1.5, LONGEST_PAUSE)
                continue
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # somebody has cleared it away meanwhile

    def _opened(path: Path, shared: bool) -> int:
        """Open the file, made where it is missing.

        The kernel refuses O_CREAT on another's file in a sticky folder (fs.protected_regular), so it is left out
        where the file is there. One that its maker has not opened to all yet is tried again.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        for attempt in range(50):
            try:
                descriptor = os.open(path, flags)
            except FileNotFoundError:
                try:
                    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
                except FileExistsError:
                    continue
                if shared:
                    os.fchmod(descriptor, 0o666)
            except PermissionError:
                if attempt == 49:
                    raise
                time.sleep(PAUSE)
                continue
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
            break
        raise OSError(f"{path} cannot be a lock file")

    def _is_at(path: Path, descriptor: int) -> bool:
        try:
            there = path.lstat()
        except FileNotFoundError:
            return False
        ours = os.fstat(descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _write_holder(descriptor: int) -> None:
        """Say who holds it. A full disk is no reason to stop."""
        command = " ".join(["labctl", *_without_secrets(sys.argv[1:])])[: LONGEST_HOLDER // 2]
        said = f"pid {os.getpid()} of {login()}, since {time.strftime('%H:%M:%S')}: {command}\n"
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, said.encode(errors="replace"), 0)

    def _holder(descriptor: int) -> str:
        with contextlib.suppress(OSError):
            said = os.pread(descriptor, LONGEST_HOLDER, 0).decode(errors="replace")
            return "".join(letter for letter in said.partition("\n")[0] if letter.isprintable())
        return ""
