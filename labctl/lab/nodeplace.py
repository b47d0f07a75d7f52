"""A path on a node, and the commands there that a copy consists of."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from labctl.concurrent import Stop
from labctl.errors import CommandFailed, UsageError
from labctl.kept import Kept
from labctl.lab.places import Found, Place, name_of, told
from labctl.lab.unpacking import PERMISSIONS
from labctl.node import Node
from labctl.tarstream import rewritten
from labctl.transport.base import STREAM_LIMIT

__all__ = ["NodePlace"]

MOST_SUMS = 64 << 20  # bytes; a file whose sum is not known is copied
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
        name = name_of(self.path, "" if real.startswith(".") else real)
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
        # find notices links that lead in a circle, tar does not. To be sorted, all names are found before tar begins:
        # where a link leads to the target, what is made there would be copied without end. What is left out is told by
        # a file, for a command line has a limit; the file is gone as soon as it is open.
        names = "".join(f"./{path}\0" for path in leave_out).encode(errors="surrogateescape")
        script = (
            'export LC_ALL=C; skip=$(mktemp) && exec 8<> "$skip" && rm "$skip" && head -c "$2" | sort -z >&8 && '
            'cd "$1" && '
            'find -L . "(" -type f -o -type d ")" -print0 2>/dev/null | sort -z | comm -z -23 - /dev/fd/8 | '
            "tar -h --hard-dereference --null --no-recursion -T - -cf -"
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
        with told(self):
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


def _run(output: Iterator[bytes]) -> None:
    for _ in output:
        pass


def _reason(stderr: str) -> str:
    """The last line, without what says which program of ours complained."""
    line = (stderr.strip() or "it printed nothing").splitlines()[-1]
    return re.sub(r"^(?:sh: \d+: |cat: |tar: |find: )+", "", line)
