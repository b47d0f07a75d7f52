"""A path on this machine or on a node, and what a copy needs of it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, Protocol

from labctl.concurrent import Stop
from labctl.errors import CommandFailed, UsageError
from labctl.files import written_whole
from labctl.kept import Kept
from labctl.lab.unpacking import PERMISSIONS, checked_inside, is_plain_name, unpack
from labctl.node import Node
from labctl.state import at_home
from labctl.tarstream import rewritten
from labctl.transport.base import STREAM_LIMIT

__all__ = ["Found", "LocalPlace", "NodePlace", "Place", "sum_of"]

CHUNK = 1 << 16
MOST_SUMS = 64 << 20  # bytes; a file whose sum is not known is copied
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # what a link that leads nowhere answers
LOOKED = re.compile(
    r"(?P<kind>file|folder|special file)\n(?P<mode>[0-7]{1,6}) (?P<inode>\d+:\d+)\n(?P<path>.*)\n", re.DOTALL
)
LOOP = re.compile(
    r"find: (?:File system loop detected; )?'(.*?)'(?:: Too many levels of symbolic links| is part of .*)"
)

# Write stdin to "$1" with mode "$2"; it must end with "$3", which has "$4" bytes and is no part of the file. It is made
# beside what is there, whose owner it gets, and takes its place when it is whole. A file that is mounted at its path
# (/etc/hosts of a container), whose folder takes no other or whose owner cannot be kept, is written over then.
WRITE = """
[ ! -e "$1" ] || [ -f "$1" ] || { head -c "-$4" > "$1"; exit; }
to=$(realpath -m -- "$1") || exit
[ ! -e "$to" ] || [ -w "$to" ] || { echo "$1: Permission denied" >&2; exit 1; }
trap 'rm -f -- "$new"' EXIT
trap 'exit 129' HUP INT TERM
new=$(mktemp "${to%/*}/.labctl-XXXXXXXXXX" 2>/dev/null) || new=$([ -e "$to" ] && mktemp) || { : >> "$to"; exit 1; }
cat > "$new" || exit
[ "$(tail -c "$4" "$new")" = "$3" ] || { echo "what was to be written ended too early" >&2; exit 1; }
truncate -s "-$4" "$new" && chmod "$2" "$new" || exit
{ [ ! -e "$to" ] || chown --reference="$to" "$new"; } 2>/dev/null && mv -fT -- "$new" "$to" 2>/dev/null && exit
cat "$new" > "$to" && chmod "$2" "$to"
"""


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
        name, mode = _name_of(self.path.name, self.path.resolve().name), self.path.stat().st_mode & PERMISSIONS
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
        with _told(self.path), _opened(self.path) as file:
            yield from _chunks(file)

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file."""
        # A link that was typed is followed, one that was found in a folder only inside of that.
        path = self.path if self.folder is None else checked_inside(self.path, self.folder)
        with _told(self.path), written_whole(path, mode=mode & PERMISSIONS, follow=True) as file:
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
        with _told(self.path):
            return sorted(name for name, path in _below(self.path) if path is None)

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below."""
        with tempfile.TemporaryFile() as packed, _told(self.path):
            with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
                archive.add(self.path, ".", recursive=False)
                for name, path in _below(self.path):
                    if path is not None and name not in leave_out:
                        archive.add(path, f"./{name}", recursive=False)
            packed.seek(0)
            yield from _chunks(packed)

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack an archive in the folder."""
        with _told(self.path):
            unpack(archive, self.path if self.folder is None else checked_inside(self.path, self.folder))


@dataclass(frozen=True)
class NodePlace:
    """A path on a node: from the home of `user`, who is root where it is empty."""

    node: Node
    path: str
    user: str = ""

    def __str__(self) -> str:
        return f"{self.node.name}:{self.path}"

    def look(self) -> Found:
        """What stands there."""
        script = (
            'test -e "$1" || exit 44; '
            'if test -d "$1"; then echo folder; elif test -f "$1"; then echo file; else echo special file; fi; '
            'stat -Lc "%a %d:%i" "$1"; realpath "$1"'
        )
        result = self.node.run(self._argv("/bin/sh", "-c", script, "sh", self._word))
        if result.code == 44:
            return Found("none")
        said = LOOKED.fullmatch(result.stdout)
        if not result.ok or said is None:
            raise UsageError(f"{self}: {result.stderr.strip() or 'cannot be looked at'}")
        real = said["path"].rpartition("/")[2]
        # A name that nobody typed: a hidden one would be read by what runs here (.bashrc, .ssh).
        name = _name_of(self.path, "" if real.startswith(".") else real)
        return Found(said["kind"], name, int(said["mode"], 8) & PERMISSIONS, f"{self.node.name} {said['inode']}")

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        return NodePlace(self.node, name if self.path == "." else f"{self.path.rstrip('/')}/{name}", self.user)

    def around(self) -> Set[str]:
        """The identities of the folders that it is in."""
        script = (
            'p=$(realpath -m -- "$1") || exit; '
            'while stat -Lc %d:%i -- "$p" 2>/dev/null; [ "$p" != / ]; do p=${p%/*}; p=${p:-/}; done'
        )
        said = self.node.run(self._argv("/bin/sh", "-c", script, "sh", self._word)).stdout
        return {f"{self.node.name} {inode}" for inode in said.split()}

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        return self._stream("cat", "--", self._word)

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file."""
        end = secrets.token_hex(16)  # a source that breaks off looks like one that has ended, but for this
        argv = ["/bin/sh", "-c", WRITE, "sh", self._word, f"{mode:o}", end, str(len(end))]
        _run(self._stream(*argv, stdin=itertools.chain(content, [end.encode()])))

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below."""
        # What find complains of is told by `strays`.
        script = 'cd "$1" && { find -L . -type f -exec sha256sum -z {} + 2>/dev/null || :; }'
        said = Kept(MOST_SUMS)
        for chunk in self._stream("/bin/sh", "-c", script, "sh", self._word):
            said.add(chunk)
        lines = said.content().decode(errors="surrogateescape").split("\0")
        pairs = (line.partition("  ./") for line in lines)
        return {path: sum_ for sum_, _, path in pairs if path}

    def strays(self) -> list[str]:
        """What cannot be copied."""
        script = 'cd "$1" && LC_ALL=C find -L . ! -type f ! -type d -printf "%P\\0"'
        # Where links lead up to /, it goes through all that is there, and is to end with us.
        result = self.node.run(self._argv("/bin/sh", "-c", script, "sh", self._word), limit=STREAM_LIMIT, stop=Stop())
        complaints = [(line, LOOP.fullmatch(line)) for line in result.stderr.splitlines()]
        for line, circle in complaints:
            if circle is None:
                raise UsageError(f"{self}: {_reason(line)}")
        circles = [circle[1].removeprefix("./") for _, circle in complaints if circle is not None]
        return sorted({*filter(None, result.stdout.split("\0")), *circles})

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below."""
        # find notices links that lead in a circle, tar does not. What is left out is told by a file: a command line
        # has a limit.
        names = "".join(f"./{path}\0" for path in leave_out).encode(errors="surrogateescape")
        script = (
            'skip=$(mktemp) && head -c "$2" > "$skip" && cd "$1" && '
            'find -L . "(" -type f -o -type d ")" -print0 2>/dev/null | '
            'tar -h --hard-dereference --null --no-recursion --no-wildcards --anchored -X "$skip" -T - -cf -; '
            'code=$?; rm -f "$skip"; exit $code'
        )
        return self._stream("/bin/sh", "-c", script, "sh", self._word, str(len(names)), stdin=[names])

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack an archive in the folder."""
        # What existed keeps its mode; a folder that is made gets its own from the archive.
        script = (
            'keep=; if [ -d "$1" ]; then keep=--no-overwrite-dir; else mkdir -p "$1"; fi && '
            'tar -C "$1" --no-same-owner -p $keep -xf -'
        )
        _run(self._stream("/bin/sh", "-c", script, "sh", self._word, stdin=self._rewritten(archive)))

    def _rewritten(self, archive: Iterable[bytes]) -> Iterator[bytes]:
        """The archive, which may be another node's, without what a copy does not carry."""
        with _told(self):
            yield from rewritten(archive)

    @property
    def _word(self) -> str:
        """The path as a word of a command, which a dash at its beginning makes no option (and `cd -` no way back)."""
        return f"./{self.path}" if self.path.startswith("-") else self.path

    def _argv(self, *command: str) -> list[str]:
        prefix = f"cd ~{self.user} && exec runuser -u {self.user} --" if self.user else "cd && exec"
        return ["/bin/sh", "-c", f'{prefix} "$@"', "sh", *command]

    def _stream(self, *command: str, stdin: Iterable[bytes] = ()) -> Iterator[bytes]:
        try:
            yield from self.node.stream(self._argv(*command), stdin=stdin)
        except CommandFailed as failed:
            raise UsageError(f"{self}: {_reason(failed.result.stderr)}") from failed


def _name_of(typed: str, real: str) -> str:
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
def _told(path: Path | Place) -> Iterator[None]:
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


def _run(output: Iterator[bytes]) -> None:
    for _ in output:
        pass


def _reason(stderr: str) -> str:
    """The last line, without what says which program of ours complained."""
    line = (stderr.strip() or "it printed nothing").splitlines()[-1]
    return re.sub(r"^(?:sh: \d+: |cat: |tar: |find: )+", "", line)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
