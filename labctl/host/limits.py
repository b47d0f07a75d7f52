"""Kernel limits that are one for all containers together, and bind when nodes are many.

Every node talks to every node, and the table of neighbours is one for all network namespaces: when it
overflows, joins fail with timeouts and resets that name no cause. On cgroup v2 each container costs an
inotify instance of root's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import HostError
from labctl.events import CommandShown, Emit, Noted, quiet
from labctl.host.facts import LimitFacts
from labctl.host.kernel_facts import gather_limits

__all__ = ["Change", "inotify_changes", "neighbour_changes", "raise_limits"]

# Measured: 1024 entries, the kernel's default, overflow at about 55 nodes in one lab. Half the square of
# the nodes warns at 46.
_INSTANCES_BEFORE_US = 64  # what a system uses by itself
_INSTANCES_PER_NODE = {False: 1, True: 6}  # cgroup v2 takes one for the node itself and for each of its tasks
_WATCHES_BEFORE_US, _WATCHES_PER_NODE = 8192, 64
_THRESHOLDS = tuple(f"net.ipv4.neigh.default.gc_thresh{n}" for n in (1, 2, 3))


@dataclass(frozen=True)
class Change:
    """A sysctl that is lower than needed."""

    key: str
    before: int
    after: int


def neighbour_changes(limits: LimitFacts, nodes: int) -> list[Change]:
    """Return what must be raised so that the neighbour tables of `nodes` nodes fit; nothing when they do."""
    if limits.gc_thresh is None or limits.gc_thresh[2] >= limits.neighbours + nodes * nodes // 2:
        return []
    # Below the first nothing is ever thrown out, above the third nothing gets in.
    square = _round_up(limits.neighbours + nodes * nodes)
    after = (square, 2 * square, 4 * square)
    pairs = zip(_THRESHOLDS, limits.gc_thresh, after, strict=True)
    return [Change(key, before, wanted) for key, before, wanted in pairs if before < wanted]


def inotify_changes(limits: LimitFacts, nodes: int) -> list[Change]:
    """Return what must be raised so that `nodes` nodes and their tasks can be watched."""
    instances = _INSTANCES_BEFORE_US + nodes * _INSTANCES_PER_NODE[limits.unified_cgroups]
    watches = _WATCHES_BEFORE_US + nodes * _WATCHES_PER_NODE
    wanted = (
        ("fs.inotify.max_user_instances", limits.inotify_instances, instances),
        ("fs.inotify.max_user_watches", limits.inotify_watches, watches),
    )
    # Raised to the next power of two, so that a slightly larger lab needs no second visit.
    return [Change(key, now, _round_up(need)) for key, now, need in wanted if now is not None and now < need]


def raise_limits(nodes: int, emit: Emit = quiet, *, proc: Path = Path("/proc")) -> list[Change]:
    """Raise what is too low for `nodes` nodes, until the next boot, and return what was changed.

    Each change is told. Raises HostError when the kernel does not let us, as it does for others than root.
    """
    limits = gather_limits(proc)
    changes = [*inotify_changes(limits, nodes), *neighbour_changes(limits, nodes)]
    # From the top down, so that at no moment a lower threshold stands above a higher one.
    for change in reversed(changes):
        _write(change, proc)
        emit(CommandShown("host", f"sysctl -w {change.key}={change.after}"))
        emit(Noted(f"{change.key}: {change.before} before, {change.after} now, until the next boot"))
    return changes


def shown(changes: Sequence[Change]) -> str:
    """Return the command that makes the changes."""
    return "sudo sysctl -w " + " ".join(f"{change.key}={change.after}" for change in changes)


def _write(change: Change, proc: Path) -> None:
    file = proc / "sys" / Path(*change.key.split("."))
    try:
        file.write_text(f"{change.after}\n")
    except OSError as problem:
        raise HostError(
            f"{change.key} cannot be raised to {change.after}: {problem.strerror}", hint=shown([change])
        ) from problem


def _round_up(number: int) -> int:
    return 1 << max(number - 1, 1).bit_length()
