"""Files between this machine and nodes, as scp names and places them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Set
from pathlib import Path

from labctl.errors import NotFoundError, UsageError
from labctl.lab.core import LabCore
from labctl.lab.nodeplace import NodePlace
from labctl.lab.places import Found, LocalPlace, Place, sum_of
from labctl.node import LOGIN_USER
from labctl.words import some

__all__ = ["check_user", "copy", "place", "split_place"]

USER = re.compile(r"[a-z_][a-z0-9_-]*")


def split_place(text: str) -> tuple[str, str, str]:
    """Split `[[user@]machine:]path` into user, machine and path; machine is empty for a path of this machine."""
    head, colon, path = text.partition(":")
    is_drive = os.name == "nt" and len(head) == 1
    if not colon or not head or "/" in head or is_drive:
        return "", "", text
    user, _, machine = head.rpartition("@")
    return user, machine, path


def check_user(name: str) -> None:
    """Raise UsageError for what cannot be the name of a node's user."""
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is no user's name")


def place(lab: LabCore, text: Path | str) -> Place:
    """The place that `[[user@]machine:]path` means; a Path is here. Raises NotFoundError for an unknown node."""
    if isinstance(text, Path):
        return LocalPlace(str(text))
    if text == "-":
        hint = "`labctl ssh NODE cat PATH` prints a node's file; `./-` is one of that name."
        raise UsageError("`-` is no file for scp", hint=hint)
    user, machine, path = split_place(text)
    if not machine:
        return LocalPlace(path)
    check_user(user or LOGIN_USER)
    # Like scp, from the user's home; the shell on the node never sees the path, so ~ is taken off here.
    inside = "." if path in ("", "~") else path.removeprefix("~/")
    try:
        node = lab.node(machine)
    except NotFoundError as problem:
        if LocalPlace(text).look().kind != "none":  # with scp too, a colon makes it another machine's
            problem.hint = f"`./{text}` is the one of that name here."
        raise
    if not user and not inside.startswith("/"):
        user = LOGIN_USER  # whose home `labctl ssh` begins in
    return NodePlace(node, inside, "" if user == "root" else user)


def copy(
    source: Place,
    target: Place,
    *,
    recursive: bool = False,
    delta: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Place:
    """Copy a file, or with `recursive` a folder, and return where it is now; `delta` leaves out what is there already.

    Links are followed; `warn` hears of what could not be copied, which keeps nothing else from it.
    Into a folder it goes under its own name; elsewhere it gets the name that the target says. Raises UsageError
    when the source is missing, or the target cannot take it.
    """
    from_, to = source.look(), target.look()
    _check_source(source, from_, recursive=recursive)
    if to.kind != "folder" and str(target).endswith("/"):
        raise UsageError(f"{target}: there is no such folder")
    if to.kind == "folder":
        # As with cp: what is in `folder/.` goes into the target itself.
        if not from_.name and not str(source).endswith("/."):
            hint = "Name it: FOLDER/NAME as the target; or SOURCE/. for what is in it."
            raise UsageError(f"{source}: it has no name that it could have in {target}", hint=hint)
        target = target.below("." if str(source).endswith("/.") else from_.name)
        to = target.look()
    # A file may be written to what is a pipe or a device here: /dev/stdout.
    if to.kind not in ("none", from_.kind) and (from_.kind, to.kind) != ("file", "special file"):
        raise UsageError(f"{target} is a {to.kind}, and {source} is a {from_.kind}")
    _check_apart(source, from_, target, to)
    if from_.kind == "folder":
        same = _same(source, target) if delta and to.kind == "folder" else frozenset()
        strays = source.strays()
        target.unpack(source.pack(same))
        if strays:
            warn(f"left out, for {'it leads' if len(strays) == 1 else 'they lead'} to no file: {some(strays)}")
    elif not (delta and to.kind == "file" and sum_of(source.read()) == sum_of(target.read())):
        target.write(source.read(), from_.mode)
    return target


def _check_source(source: Place, found: Found, *, recursive: bool) -> None:
    """Refuse what cannot be copied, before anything is read or made."""
    if found.kind == "none":
        raise UsageError(f"{source}: there is no such file")
    if found.kind == "special file":
        raise UsageError(f"{source} is a pipe, a socket or a device: only files and folders are copied")
    if found.kind == "folder" and not recursive:
        raise UsageError(f"{source} is a folder", hint="`-r` copies folders.")


def _check_apart(source: Place, from_: Found, target: Place, to: Found) -> None:
    """Refuse a file onto itself, which would be emptied before it is read, and a folder into itself, which never ends.

    As cp does, whatever the two paths look like.
    """
    if to.identity and from_.identity == to.identity:
        raise UsageError(f"{source} and {target} are the same {from_.kind}")
    if from_.kind == "folder" and from_.identity in target.around():
        raise UsageError(f"{source} cannot be copied into itself, {target}", hint="Copy it to a folder outside of it.")


def _same(source: Place, target: Place) -> Set[str]:
    there = target.sums()
    return {path for path, sum_ in source.sums().items() if there.get(path) == sum_}
