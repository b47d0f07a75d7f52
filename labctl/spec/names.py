"""Short names and filters for nodes: w1, manager, @manager, @worker:0, @all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from labctl.errors import NotFoundError, UsageError

__all__ = ["expand", "select", "short"]

LONG = {"m": "manager", "w": "worker"}


def expand(name: str, known: Iterable[str], *, manager: str | None = None) -> str:
    """Return the node that `name` means: itself, or the one that m1 or w1 is short for.

    `manager` is the lab's first manager, which nodes know by the name manager too. Raises NotFoundError with the
    nearest name.
    """
    names = list(known)
    if name in names:
        return name
    found = re.fullmatch(r"([mw])(\d{1,4})", name)
    if found:
        long = LONG[found[1]] + found[2]
        if long in names:
            return long
    if name == "manager" and manager is not None:
        return manager
    raise NotFoundError("node", name, names)


def short(name: str, known: Iterable[str]) -> list[str]:
    """What a node may be called instead: m1 for manager1, unless another node of `known` is called so; else nothing."""
    found = re.fullmatch(r"(manager|worker)(\d{1,4})", name)
    called = found[1][0] + found[2] if found else ""
    return [called] if called and called not in known else []


def select(pattern: str, roles: Mapping[str, str], *, manager: str | None = None) -> list[str]:
    """Return the nodes that a filter means, in order: names and filters, with commas between.

    `roles` maps each node's name to its role. `@all`, `@manager` and `@worker` are groups, `@worker:0`
    the first of one, `@worker:0-2` the first three. `manager` is the node that the name manager means, the first with
    that role where none is given. Raises UsageError for a filter that means nothing.
    """
    first = manager or next((name for name, role in roles.items() if role == "manager"), None)
    chosen: list[str] = []
    for part in filter(None, (piece.strip() for piece in pattern.split(","))):
        for name in _group(part, roles) if part.startswith("@") else [expand(part, roles, manager=first)]:
            if name not in chosen:
                chosen.append(name)
    if not chosen:
        raise UsageError(f"{pattern!r} means no node", hint="Try @all, @manager, @worker:0, or a node's name.")
    return chosen


def _group(part: str, roles: Mapping[str, str]) -> list[str]:
    found = re.fullmatch(r"@(all|managers?|workers?)(?::(\d{1,4})(?:-(\d{1,4}))?)?", part)
    if not found:
        raise UsageError(f"{part!r} is no filter", hint="Filters are @all, @manager, @worker, @worker:0, @worker:0-2.")
    group, first, last = found.groups()
    names = [name for name, role in roles.items() if group == "all" or role == group.rstrip("s")]
    if first is None:
        return names
    begin, end = int(first), int(last if last is not None else first)
    if not names[begin : end + 1]:
        raise UsageError(f"{part!r} means no node: there are {len(names)}, counted from 0")
    return names[begin : end + 1]
