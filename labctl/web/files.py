"""Files on a node for the page's editor: list a folder, read a text, write it back as the one that it was."""

from __future__ import annotations

from typing import Any

from labctl.errors import LabError, UsageError
from labctl.node import LOGIN_USER, Node

__all__ = ["listed", "read", "write"]

LARGEST = 512 << 10  # bytes of a file that is edited in a page
LONGEST = 1024  # characters of a path
LIMIT = 20.0  # seconds
LIST = r"""cd -- "$0" && for name in .* *; do
  [ "$name" = . ] || [ ! -e "$name" ] || { [ -d "$name" ] && printf '%s/\0' "$name" || printf '%s\0' "$name"; }
done"""
# A file that is there keeps its owner and its mode; one that is new is the learner's.
WRITE = r"""[ ! -d "$0" ] || exit 45
[ -e "$0" ] || { mkdir -p -- "$(dirname -- "$0")" && : > "$0" && chown "$1": -- "$0"; } || exit
cat > "$0" """
FOLDER = 45


def listed(node: Node, path: str) -> dict[str, Any]:
    """What is in a folder; folders end with a slash. Raises CommandFailed for what is none."""
    said = node.expect(["/bin/sh", "-c", LIST, _path(path)], limit=LIMIT).stdout
    names = [name for name in said.split("\0") if name and name != "../"]
    return {"path": path, "names": sorted(names, key=lambda name: (not name.endswith("/"), name))}


def read(node: Node, path: str) -> dict[str, Any]:
    """A file's text. Raises LabError for one that is no text, or is too large to be edited in a page."""
    content = node.get(_path(path))
    if len(content) > LARGEST:
        raise LabError(f"{path} is larger than {LARGEST >> 10} KiB, the most that is edited here")
    try:
        return {"path": path, "text": content.decode()}
    except UnicodeDecodeError:
        raise LabError(f"{path} is no text in UTF-8") from None


def write(node: Node, path: str, text: str) -> dict[str, Any]:
    """Write a text to a file, which is made where it is missing. Raises UsageError where a folder is."""
    content = text.encode()
    if len(content) > LARGEST:
        raise UsageError(f"the text is larger than {LARGEST >> 10} KiB, the most that is edited here")
    done = node.run(["/bin/sh", "-c", WRITE, _path(path), LOGIN_USER], stdin=content, limit=LIMIT)
    if done.code == FOLDER:
        raise UsageError(f"{path} on {node.name} is a folder")
    if not done.ok:
        raise LabError(f"{path} on {node.name} cannot be written: {done.stderr.strip() or done.code}")
    return {"path": path}


def _path(path: str) -> str:
    if not path.startswith("/") or "\0" in path or len(path) > LONGEST:
        raise UsageError(f"{path[:80]!r} is no path on a node", hint="It begins with a slash, as /exercise/app.yml.")
    return path
