"""Files between this machine and nodes, as scp names and places them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from labctl.errors import CommandFailed, UsageError
from labctl.lab.lab import Lab
from labctl.node import Node

__all__ = ["copy", "place", "split_place"]

CHUNK = 1 << 16
USER = re.compile(r"[a-z_][a-z0-9_-]*")


@dataclass(frozen=True)
class Found:
    """What stands at a path: `kind` is file, folder or none, `name` its last part, `mode` its permissions."""

    kind: str
    name: str = ""
    mode: int = 0o644


class Place(Protocol):
    """A path on some machine."""

    def __str__(self) -> str: ...

    def look(self) -> Found:
        """What stands there."""
        ...

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        ...

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        ...

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file, in a folder that is there."""
        ...

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below the folder, by its path from here."""
        ...

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below the folder, links followed, without the files named."""
        ...

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack such an archive in the folder, which is made where it is missing."""
        ...


def split_place(text: str) -> tuple[str, str, str]:
    """Split `[[user@]machine:]path` into user, machine and path; machine is empty for a path of this machine."""
    head, colon, path = text.partition(":")
    is_drive = os.name == "nt" and len(head) == 1
    if not colon or not head or "/" in head or is_drive:
        return "", "", text
    user, _, machine = head.rpartition("@")
    return user, machine, path


def place(lab: Lab, text: str) -> Place:
    """The place that `[[user@]machine:]path` means. Raises NotFoundError for an unknown node."""
    user, machine, path = split_place(text)
    if not machine:
        return LocalPlace(path)
    if user and not USER.fullmatch(user):
        raise UsageError(f"{user!r} is no user's name")
    # Like scp, from the user's home; the shell on the node never sees the path, so ~ is taken off here.
    inside = "." if path in ("", "~") else path.removeprefix("~/")
    return NodePlace(lab.node(machine), inside, "" if user == "root" else user)


def copy(source: Place, target: Place, *, recursive: bool = False, delta: bool = False) -> Place:
    """Copy a file, or with `recursive` a folder, and return where it is now; `delta` leaves out what is there already.

    Into a folder it goes under its own name; elsewhere it gets the name that the target says. Raises UsageError
    when the source is missing, or the target cannot take it.
    """
    from_, to = source.look(), target.look()
    if from_.kind == "none":
        raise UsageError(f"{source}: there is no such file")
    if from_.kind == "folder" and not recursive:
        raise UsageError(f"{source} is a folder", hint="`-r` copies folders.")
    if to.kind != "folder" and str(target).endswith("/"):
        raise UsageError(f"{target}: there is no such folder")
    if to.kind == "folder":
        # As with cp: what is in `folder/.` goes into the target itself.
        target = target.below("." if str(source).endswith("/.") else from_.name)
        to = target.look()
    if to.kind != "none" and to.kind != from_.kind:
        raise UsageError(f"{target} is a {to.kind}, and {source} is a {from_.kind}")
    if from_.kind == "folder":
        same = _same(source, target) if delta and to.kind == "folder" else frozenset()
        target.unpack(source.pack(same))
    elif not (delta and to.kind == "file" and _sum(source.read()) == _sum(target.read())):
        target.write(source.read(), from_.mode)
    return target


def _same(source: Place, target: Place) -> Set[str]:
    there = target.sums()
    return {path for path, sum_ in source.sums().items() if there.get(path) == sum_}


def _sum(content: Iterable[bytes]) -> str:
    sum_ = hashlib.sha256()
    for chunk in content:
        sum_.update(chunk)
    return sum_.hexdigest()


@dataclass(frozen=True)
class LocalPlace:
    """A path of this machine, as it was typed: a slash at its end means something."""

    typed: str

    def __str__(self) -> str:
        return self.typed

    @property
    def path(self) -> Path:
        """The path itself."""
        return Path(self.typed).expanduser()

    def look(self) -> Found:
        """What stands there."""
        if not self.path.exists():
            return Found("none")
        kind = "folder" if self.path.is_dir() else "file"
        return Found(kind, self.path.resolve().name, self.path.stat().st_mode & 0o777)

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        return LocalPlace(str(self.path / name))

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        with _told(self.path), self.path.open("rb") as file:
            yield from _chunks(file)

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file."""
        with _told(self.path):
            with self.path.open("wb") as file:
                for chunk in content:
                    file.write(chunk)
            self.path.chmod(mode)

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below."""
        files = (path for path in self.path.rglob("*") if path.is_file())
        return {path.relative_to(self.path).as_posix(): _sum(LocalPlace(str(path)).read()) for path in files}

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below."""
        with tempfile.TemporaryFile() as packed, _told(self.path):
            with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
                archive.add(self.path, ".", filter=lambda entry: None if entry.name[2:] in leave_out else entry)
            packed.seek(0)
            yield from _chunks(packed)

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack an archive in the folder."""
        with tempfile.TemporaryFile() as packed, _told(self.path):
            for chunk in archive:
                packed.write(chunk)
            packed.seek(0)
            self.path.mkdir(exist_ok=True)
            with tarfile.open(fileobj=packed) as found:
                found.extractall(self.path, filter="data")


@dataclass(frozen=True)
class NodePlace:
    """A path on a node: from the home of `user`, who is root where not said."""

    node: Node
    path: str
    user: str = ""

    def __str__(self) -> str:
        return f"{self.node.name}:{self.path}"

    def look(self) -> Found:
        """What stands there."""
        script = 'test -e "$1" || exit 44; test -d "$1" && echo folder || echo file; stat -Lc %a "$1"; realpath "$1"'
        result = self.node.run(self._argv("/bin/sh", "-c", script, "sh", self.path))
        if result.code == 44:
            return Found("none")
        lines = result.stdout.splitlines()
        if not result.ok or len(lines) != 3:
            raise UsageError(f"{self}: {result.stderr.strip() or 'cannot be looked at'}")
        return Found(lines[0], lines[2].rpartition("/")[2], int(lines[1], 8) & 0o777)

    def below(self, name: str) -> Place:
        """The place of that name in this folder."""
        return NodePlace(self.node, name if self.path == "." else f"{self.path.rstrip('/')}/{name}", self.user)

    def read(self) -> Iterator[bytes]:
        """The file's content."""
        return self._stream("cat", "--", self.path)

    def write(self, content: Iterable[bytes], mode: int) -> None:
        """Write the file."""
        script = 'cat > "$1" && chmod "$2" "$1"'
        _run(self._stream("/bin/sh", "-c", script, "sh", self.path, f"{mode:o}", stdin=content))

    def sums(self) -> dict[str, str]:
        """The SHA-256 of each file below."""
        script = 'cd "$1" && find . -follow -type f -exec sha256sum -z {} +'
        said = b"".join(self._stream("/bin/sh", "-c", script, "sh", self.path)).decode(errors="surrogateescape")
        pairs = (line.split("  ./", 1) for line in said.split("\0") if line)
        return {path: sum_ for sum_, path in pairs}

    def pack(self, leave_out: Set[str]) -> Iterator[bytes]:
        """A tar archive of what is below."""
        # What is left out is told by a file: a command line has a limit.
        names = "".join(f"./{path}\0" for path in leave_out).encode(errors="surrogateescape")
        script = (
            'skip=$(mktemp) && head -c "$2" > "$skip" && tar -C "$1" -h --null --no-wildcards --anchored'
            ' -X "$skip" -cf - .; code=$?; rm -f "$skip"; exit $code'
        )
        return self._stream("/bin/sh", "-c", script, "sh", self.path, str(len(names)), stdin=[names])

    def unpack(self, archive: Iterable[bytes]) -> None:
        """Unpack an archive in the folder."""
        script = 'mkdir -p "$1" && tar -C "$1" --no-same-owner -xf -'
        _run(self._stream("/bin/sh", "-c", script, "sh", self.path, stdin=archive))

    def _argv(self, *command: str) -> list[str]:
        prefix = f"cd ~{self.user} && exec runuser -u {self.user} --" if self.user else "cd && exec"
        return ["/bin/sh", "-c", f'{prefix} "$@"', "sh", *command]

    def _stream(self, *command: str, stdin: Iterable[bytes] = ()) -> Iterator[bytes]:
        try:
            yield from self.node.stream(self._argv(*command), stdin=stdin)
        except CommandFailed as failed:
            raise UsageError(f"{self}: {_reason(failed.result.stderr)}") from failed


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn this machine's refusals into a line with the path."""
    try:
        yield
    except tarfile.TarError as problem:
        raise UsageError(f"{path}: {problem}") from problem
    except OSError as problem:
        raise UsageError(f"{problem.filename or path}: {problem.strerror or problem}") from problem


def _run(output: Iterator[bytes]) -> None:
    for _ in output:
        pass


def _reason(stderr: str) -> str:
    """The last line, without what says which program of ours complained."""
    line = (stderr.strip() or "it printed nothing").splitlines()[-1]
    return re.sub(r"^(?:sh: \d+: |cat: |tar: )+", "", line)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
