"""Who votes in a swarm that cannot decide: its managers as the swarm knows them, not as their nodes were made.

A worker may have been promoted, and a manager demoted. Nobody can ask the swarm's list without a majority, but each
engine in the swarm remembers the addresses of its managers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import EngineRefused, LabctlError
from labctl.node import Node
from labctl.swarm.states import memberships

if TYPE_CHECKING:
    from labctl.spec import Role

__all__ = ["Voters", "is_no_manager", "may_have_manager", "voters_of"]

IN_NO_SWARM = 'Use "docker swarm init" or "docker swarm join"'  # an engine's words; one that is a worker has others
TOLD_WITHIN = 2.0  # seconds that an engine may take to tell its swarm's managers; usually a tenth


@dataclass(frozen=True)
class Voters:
    """The managers of a swarm that none of them can change.

    `left` answer, `here` have a machine (those of `left` too), `away` of these have left the swarm, `silent` say
    nothing; `gone` are the names of those that have no machine. `is_sure`: there are no others that may come back.
    """

    left: tuple[Node, ...]
    here: tuple[Node, ...]
    away: tuple[Node, ...]
    silent: tuple[Node, ...]
    gone: tuple[str, ...]
    is_sure: bool = True

    @property
    def lost(self) -> list[str]:
        """The names of those that cannot come back."""
        return [*(node.name for node in self.away), *self.gone]

    @property
    def may_elect(self) -> bool:
        """Whether those whose machines run are a majority, and may be choosing a leader."""
        return 2 * sum(node.is_running for node in self.here) > len(self.here) + len(self.gone)

    @property
    def majority_left(self) -> bool:
        """Whether half of them or more have left for good: none of the others is down or silent, and may come back."""
        if not self.left or not self.is_sure or self.silent or any(not node.is_running for node in self.here):
            return False
        return len(self.lost) >= len(self.left)


def voters_of(
    nodes: Sequence[Node], problems: Sequence[tuple[Node, LabctlError]], gone: Mapping[str, Role] | None = None
) -> Voters:
    """Find out who votes. `problems` are why the nodes that were asked cannot change the swarm.

    `nodes` are all machines of the lab where `gone` is told. Where no engine tells its swarm's managers, the nodes
    that were made as managers are taken for them, and those that cannot decide: a worker says at once that it is one.
    """
    refused = [(node, problem) for node, problem in problems if isinstance(problem, EngineRefused)]
    left = [node for node, problem in refused if problem.status in (500, 503) and not is_no_manager(problem)]
    known = _managers_known_to(nodes, left)
    here = [node for node in nodes if (node.address in known if known else node.is_manager or node in left)]
    voting = {node.name for node in here}
    away = [node for node, problem in refused if node.name in voting and IN_NO_SWARM in problem.message]
    silent = [node for node, problem in problems if node.name in voting and not isinstance(problem, EngineRefused)]
    missing = known - {node.address for node in nodes}
    lost = _names(missing, gone or {}) if known else [name for name, role in (gone or {}).items() if role == "manager"]
    told = lost if gone is not None else []
    return Voters(
        left=tuple(left),
        here=tuple(here),
        away=tuple(away),
        silent=tuple(silent),
        gone=tuple(told),
        is_sure=gone is not None or not missing,
    )


def may_have_manager(nodes: Sequence[Node]) -> bool:
    """Whether one of these nodes is a manager to its own engine, or to that of another one of them, or may be one.

    One that says nothing may be: a manager does not while the others choose a leader.
    """
    running = [node for node in nodes if node.is_running]
    seen = memberships(running)
    known = {address for one in seen.values() for address in one.managers}
    if len(seen) < len(running) or any(one.is_manager for one in seen.values()):
        return True
    return any(node.address in known for node in nodes)


def is_no_manager(problem: LabctlError) -> bool:
    """Whether an engine said that it is a worker's, or in no swarm."""
    return "not a swarm manager" in problem.message or "not part of a swarm" in problem.message


def _managers_known_to(nodes: Sequence[Node], left: Sequence[Node]) -> set[str]:
    """The addresses of all managers of the swarm that those `left` are in, as any node tells; empty where none does.

    A manager says it at once when it has found out that there is no leader; until then workers do.
    """
    own = {node.address for node in left}
    seen = memberships([node for node in nodes if node.is_running], limit=TOLD_WITHIN) if left else {}
    known = {address for one in seen.values() if own.intersection(one.managers) for address in one.managers}
    return known | own if known else known


def _names(addresses: set[str], gone: Mapping[str, Role]) -> list[str]:
    """What to call managers without a machine: nobody knows any more which node had which address."""
    likely = sorted(gone, key=lambda name: gone[name] != "manager")
    sure = [name for name in likely if gone[name] == "manager"]
    if len(addresses) in (len(sure), len(likely)):
        return likely[: len(addresses)]
    return sorted(f"the manager at {address}" for address in addresses)
