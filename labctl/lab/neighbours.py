"""What a node knows of the rest of the lab: who it finds by name, and whether its engine is in the swarm's circle.

The swarm does not go by names: where they are lost its nodes are ready, mesh and overlay carry all, what was pulled
runs, and only what is pulled next fails. So the nodes are asked: each for the registry and its mirror, and for the node
next to it.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labctl.backend import LabRecord
from labctl.concurrent import each
from labctl.engine.client import Json
from labctl.errors import LabctlError, LabError
from labctl.lab.gossip import ASK_CIRCLE, alone_among, is_outside
from labctl.node import Node
from labctl.spec import labels
from labctl.waiting import unhurried
from labctl.words import some

__all__ = ["ASK", "Lost", "lost_names", "neighbour_problems", "refuse_lost_neighbours"]

FOUND_WITHIN = 5.0  # seconds that a name may take; usually a hundredth
MISSED = "missed "
# All names at once: one that nobody knows may take the whole time.
ASK = (
    f'for name in $NAMES; do {{ timeout "$WITHIN" getent ahostsv4 "$name" >/dev/null || echo "{MISSED}$name"; }} & '
    f"done; wait; {shlex.join(ASK_CIRCLE)}"
)


@dataclass(frozen=True)
class Lost:
    """What nodes do not find by name.

    `names` nobody finds who was asked for them; `deaf` nodes find nothing, and others find what these do not.
    """

    names: tuple[str, ...] = ()
    deaf: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.deaf)

    @property
    def told(self) -> list[str]:
        """A line for each kind of loss, with what mends it."""
        names = f"{some(self.names, 5)}: this host's engine has lost the name{'s' * (len(self.names) > 1)}"
        lines = [f"no node finds {names}, and `labctl start` restores what is lost"] if self.names else []
        return lines + [
            f"{name} finds nothing of the lab by name, and other nodes do: `labctl restart {name}` starts it over, "
            "with its containers"
            for name in self.deaf
        ]


@dataclass(frozen=True)
class _Said:
    """What a node was asked for, what of it was not found, and what its engine shows of its circle."""

    asked: tuple[str, ...]
    missed: tuple[str, ...]
    circle: str


def neighbour_problems(record: LabRecord, extras: Sequence[Json], members: Collection[str]) -> list[str]:
    """What nodes of the lab do not know of each other, in lines that say what mends it.

    `extras` are the lab's containers, `members` the names of the nodes that are in its swarm. All are asked at once.
    """
    said = _ask(record, extras)
    outside = [
        node
        for node in record.nodes
        if node.name in members and node.name in said and is_outside(node, said[node.name].circle)
    ]
    return [*_lost(said).told, *(_alone_told(node.name) for node in alone_among(outside))]


def refuse_lost_neighbours(record: LabRecord, extras: Sequence[Json], members: Collection[str]) -> None:
    """Raise LabError where `neighbour_problems` has something to tell."""
    if told := neighbour_problems(record, extras, members):
        raise LabError("\n".join(told))


def lost_names(record: LabRecord, extras: Sequence[Json]) -> Lost:
    """What the running nodes of the lab do not find by name."""
    return _lost(_ask(record, extras))


def _alone_told(node: str) -> str:
    """What is wrong with a node whose engine is not in the swarm's circle, and what mends it."""
    return (
        f"the engine of {node} has lost its own place among the swarm's engines (it left a swarm, or was killed and "
        "came back at once), so published ports and overlay networks fail there: `labctl start` starts the engine "
        "over, with its containers"
    )


def _ask(record: LabRecord, extras: Sequence[Json]) -> dict[str, _Said]:
    """What each node that runs at its own address says, by name; one that does not answer is left out."""
    nodes = [node for node in record.nodes if node.is_running and node.moved_to is None]
    wanted = _wanted(record, extras, [node.name for node in nodes])

    def ask(node: Node) -> tuple[str, _Said] | None:
        try:
            return node.name, _asked(node, wanted[node.name])
        except LabctlError:
            return None

    return dict(filter(None, each(nodes, ask)))


def _wanted(record: LabRecord, extras: Sequence[Json], nodes: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Which names each of these nodes shall find. Machines with a kernel of their own have the names in a file."""
    if record.spec is not None and record.spec.backend != "dind":
        return dict.fromkeys(nodes, ())
    states = {one["Labels"].get(labels.KIND): one["State"] for one in extras}
    # Without a cache of the Hub it is the registry that has its name.
    answers = {"registry": states.get("registry"), "hub": states.get("hub", states.get("registry"))}
    beside = [name for name, state in answers.items() if state == "running"]
    following = [*nodes[1:], *nodes[:1]] if len(nodes) > 1 else [""]
    return {node: tuple(filter(None, [*beside, other])) for node, other in zip(nodes, following, strict=False)}


def _asked(node: Node, names: tuple[str, ...]) -> _Said:
    result = node.transport.run(ASK, env={"NAMES": " ".join(names), "WITHIN": f"{unhurried(FOUND_WITHIN):g}"})
    missed = [line.removeprefix(MISSED) for line in result.stdout.splitlines() if line.startswith(MISSED)]
    return _Said(names, tuple(name for name in names if name in missed), result.stdout)


def _lost(said: Mapping[str, _Said]) -> Lost:
    hearing = {name: one for name, one in said.items() if len(one.missed) < len(one.asked) or not one.asked}
    deaf = [name for name in said if name not in hearing] if any(one.asked for one in hearing.values()) else []
    judges = [one for name, one in said.items() if name not in deaf]
    names = dict.fromkeys(name for one in judges for name in one.missed)
    return Lost(tuple(names), tuple(deaf))
