"""Stack files, and the files that they name, on a manager for as long as its CLI reads them."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import secrets
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labctl.engine.client import tar_of
from labctl.errors import NotFoundError, UsageError
from labctl.node import Node
from labctl.swarm.olderyaml import for_older_cli
from labctl.swarm.stackfile import StackFile

__all__ = ["carried", "environment_of", "with_own_paths"]

RELATIVE = "Name it by a path relative to the stack file."
PLACE = re.compile(r"/tmp/labctl-stack-[0-9a-f]+")

OTHERS = (
    ".labctl-files"  # where the second file and those after it stand; the first one's place is what paths start from
)


# Each folder lists the files that were put elsewhere on the node, and the folders that were made for them, the deepest
# first, ended by NUL.
OUTSIDE, MADE = ".labctl-outside", ".labctl-made"
CLEAN = (
    f"[ -f $d{OUTSIDE} ] && xargs -0 -r rm -f < $d{OUTSIDE}; "
    f"[ -f $d{MADE} ] && xargs -0 -r rmdir --ignore-fail-on-non-empty < $d{MADE} 2>/dev/null; rm -rf $d"
)
SWEEP = f"for d in /tmp/labctl-stack-*/; do {CLEAN}; done"
THERE = "[ -e {0} ] || [ -L {0} ]"  # whatever it is
# Which folders on the way to these are not there.
MISSING = 'for d; do while [ ! -d "$d" ]; do printf "%s\\n" "$d"; d=$(dirname -- "$d"); done; done'


def environment_of(files: Sequence[StackFile]) -> dict[str, str]:
    """The variables that the files take from the user's environment."""
    return {name: value for file in files for name, value in file.environment.items()}


@contextlib.contextmanager
def carried(manager: Node, files: Sequence[StackFile]) -> Iterator[list[str]]:
    """The stack files and what they name, on the manager for as long as the block lasts; yields their paths there.

    The caller sees to it that nobody else's files are carried at this moment: what a killed command left, with secrets
    in clear, is removed first.
    """
    place = f"/tmp/labctl-stack-{secrets.token_hex(4)}"
    first = files[0]
    top = _top(files)
    inside = first.folder.relative_to(top).as_posix()
    names = [posixpath.normpath(posixpath.join(inside, first.name))]
    names += [f"{OTHERS}/{number}.yml" for number in range(2, len(files) + 1)]
    content = {
        name: (for_older_cli(file.text)[0].encode(), 0o600) for name, file in zip(names, files, strict=True)
    }  # fmt: skip
    manager.transport.run(SWEEP)
    outside: dict[str, bytes] = {}
    for reference in (reference for file in files for reference in file.references):
        data = reference.path.read_bytes()
        if not Path(reference.said).is_absolute():
            content[posixpath.normpath(posixpath.join(inside, reference.said))] = (data, 0o600)
        elif reference.said not in outside and not _is_there(manager, reference.said, data):
            outside[reference.said] = data
    content[OUTSIDE] = _listed(outside)
    content[MADE] = _listed(_missing_folders(manager, outside))
    try:
        manager.transport.run(["mkdir", "-m", "700", place])
        for _ in manager.transport.stream(["tar", "-x", "-C", place], stdin=[tar_of(content)]):
            pass
        for path, data in outside.items():
            manager.put(data, path, mode=0o600)
        yield [f"{place}/{name}" for name in names]
    finally:
        manager.transport.run(f"d={place}/; {CLEAN}")


def _listed(paths: Iterable[str]) -> tuple[bytes, int]:
    return "".join(f"{path}\0" for path in paths).encode(), 0o600


def _missing_folders(manager: Node, files: Iterable[str]) -> list[str]:
    """The folders that are made when these files are put on the node, the deepest first."""
    folders = sorted({posixpath.dirname(path) for path in files})
    if not folders:
        return []
    said = manager.transport.run(["/bin/sh", "-c", MISSING, "sh", *folders]).stdout
    return sorted(set(said.splitlines()), key=lambda path: (-path.count("/"), path))


def with_own_paths(text: str, files: Sequence[StackFile]) -> str:
    """What a manager's CLI made of carried files, with paths as they are on this machine."""
    return PLACE.sub(lambda _: str(_top(files)), text)


def _top(files: Sequence[StackFile]) -> Path:
    return Path(os.path.commonpath([file.top for file in files]))


def _is_there(manager: Node, path: str, content: bytes) -> bool:
    """Whether the node has a file that is named by an absolute path. Raises UsageError where anything else is there."""
    try:
        there = manager.get(path)
    except NotFoundError:
        # A folder, a device, or a link that leads nowhere: no file, and yet somebody's.
        if manager.transport.run(THERE.format(shlex.quote(path))).ok:
            raise UsageError(f"{path} is no file on {manager.name}", hint=RELATIVE) from None
        return False
    if there != content:
        raise UsageError(f"{path} is another file on {manager.name} than here", hint=RELATIVE)
    return True
