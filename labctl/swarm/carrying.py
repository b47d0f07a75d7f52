"""Stack files, and the files that they name, on a manager for as long as its CLI reads them."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from labctl.engine.client import tar_of
from labctl.errors import NotFoundError, UsageError
from labctl.node import Node
from labctl.swarm.olderyaml import for_older_cli
from labctl.swarm.stackfile import StackFile

__all__ = ["carried", "environment_of", "with_own_paths"]

PLACE = re.compile(r"/tmp/labctl-stack-[0-9a-f]+")

OTHERS = (
    ".labctl-files"  # where the second file and those after it stand; the first one's place is what paths start from
)


def environment_of(files: Sequence[StackFile]) -> dict[str, str]:
    """The variables that the files take from the user's environment."""
    return {name: value for file in files for name, value in file.environment.items()}


@contextlib.contextmanager
def carried(manager: Node, files: Sequence[StackFile]) -> Iterator[list[str]]:
    """The stack files and what they name, on the manager for as long as the block lasts; yields their paths there."""
    place = f"/tmp/labctl-stack-{secrets.token_hex(4)}"
    first = files[0]
    top = _top(files)
    inside = first.folder.relative_to(top).as_posix()
    names = [posixpath.normpath(posixpath.join(inside, first.name))]
    names += [f"{OTHERS}/{number}.yml" for number in range(2, len(files) + 1)]
    content = {
        name: (for_older_cli(file.text)[0].encode(), 0o600) for name, file in zip(names, files, strict=True)
    }  # fmt: skip
    outside: list[str] = []
    for reference in (reference for file in files for reference in file.references):
        if Path(reference.said).is_absolute():
            if reference.said not in outside and _placed(manager, reference.said, reference.path.read_bytes()):
                outside.append(reference.said)
        else:
            content[posixpath.normpath(posixpath.join(inside, reference.said))] = (reference.path.read_bytes(), 0o600)
    try:
        manager.transport.run(["mkdir", "-m", "700", place])
        for _ in manager.transport.stream(["tar", "-x", "-C", place], stdin=[tar_of(content)]):
            pass
        yield [f"{place}/{name}" for name in names]
    finally:
        manager.transport.run(["rm", "-rf", place, *outside])


def with_own_paths(text: str, files: Sequence[StackFile]) -> str:
    """What a manager's CLI made of carried files, with paths as they are on this machine."""
    return PLACE.sub(lambda _: str(_top(files)), text)


def _top(files: Sequence[StackFile]) -> Path:
    return Path(os.path.commonpath([file.top for file in files]))


def _placed(manager: Node, path: str, content: bytes) -> bool:
    """Put a file that is named by an absolute path at just that path; False when the node has it already."""
    try:
        there = manager.get(path)
    except NotFoundError:
        manager.put(content, path, mode=0o600)
        return True
    if there != content:
        raise UsageError(
            f"{path} is another file on {manager.name} than here", hint="Name it by a path relative to the stack file."
        )
    return False
