"""What happens in a lab, as its engines tell it: nodes, services and networks of the swarm, and containers.

`labctl.events` is what a verb is at; this is what becomes of the lab, whoever does it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "FILTERS",
    "ContainerEvent",
    "LabEvent",
    "LinkEvent",
    "NetworkEvent",
    "NodeEvent",
    "Objects",
    "ServiceEvent",
    "identity_of",
    "read_event",
    "time_of",
]

# What an engine is asked for; it takes those that are of such a type and of such an event.
FILTERS = {
    "type": ["container", "node", "service", "network"],
    "event": ["start", "die", "health_status", "create", "update", "remove"],
}
MOST_GONE = 10_000  # objects that are remembered after they went
HEALTH = "health_status: "
SERVICE, TASK = "com.docker.swarm.service.name", "com.docker.swarm.task.id"


@dataclass(frozen=True)
class LabEvent:
    """Something that happened in a lab.

    `number` counts what one iterator gave, from 1. `time` is in seconds since 1970, by the clock of the node that told
    it. `node` is the node that it happened on; of services and networks, the manager that told it.
    """

    number: int
    time: float
    lab: str
    node: str


@dataclass(frozen=True)
class NodeEvent(LabEvent):
    """A member of the swarm was created, updated or removed (`action`).

    `changes` has what is new and what was, where the managers tell: {"state.new": "down", "state.old": "ready"}. The
    managers do not know the name of a member that was just created: `node` is empty then.
    """

    action: str
    id: str
    changes: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class ServiceEvent(LabEvent):
    """A service was created, updated or removed (`action`); `changes` as of a NodeEvent: replicas, image."""

    action: str
    service: str
    id: str
    changes: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class NetworkEvent(LabEvent):
    """A network of the swarm was created, updated or removed (`action`)."""

    action: str
    network: str
    id: str


@dataclass(frozen=True)
class ContainerEvent(LabEvent):
    """A container on a node: `action` is start, die or health.

    `service` and `task` (an id) are empty for one that is no task. `exit_code` is that of one that died, `health` is
    healthy or unhealthy.
    """

    action: str
    container: str
    id: str
    image: str
    service: str = ""
    task: str = ""
    exit_code: int | None = None
    health: str = ""


@dataclass(frozen=True)
class LinkEvent(LabEvent):
    """The node's engine is heard from now on (`action` is up), or not any more (down, with the reason)."""

    action: str
    reason: str = ""


def time_of(raw: Mapping[str, Any]) -> float:
    """When it happened."""
    return float(raw.get("timeNano") or raw.get("time", 0) * 1e9) / 1e9


def identity_of(raw: Mapping[str, Any], node: str) -> Hashable:
    """What is the same when one event comes twice: from the same node again, or from another manager.

    Managers tell of a creation and of a change with the time of that, and of a removal each with its own: see Objects.
    """
    kind, id_ = raw.get("Type"), (raw.get("Actor") or {}).get("ID")
    return kind, raw.get("Action"), id_, node if kind == "container" else "", raw.get("timeNano")


class Objects:
    """The swarm's objects by their ids: what was removed is told once, and only of what was there.

    A manager that joins or starts reads the swarm's log, and tells of all that was ever removed as if it were now.
    """

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._gone: OrderedDict[str, None] = OrderedDict()

    def learn(self, ids: Iterable[str]) -> None:
        """Take these for all that there are."""
        self._there |= {id_ for id_ in ids if id_ not in self._gone}

    def is_news(self, action: str, id_: str) -> bool:
        """Whether what a manager tells of an object can be so."""
        if id_ in self._gone:
            return False
        if action != "remove":
            self._there.add(id_)
            return True
        if id_ not in self._there:
            return False
        self._there.discard(id_)
        self._gone[id_] = None
        if len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
        return True


def read_event(raw: Mapping[str, Any], lab: str, node: str) -> Callable[[int], LabEvent] | None:
    """Read an engine's event; what is returned gives it its number. None for one that nobody asked for."""
    kind, action = str(raw.get("Type", "")), str(raw.get("Action", ""))
    actor = raw.get("Actor") or {}
    id_, told = str(actor.get("ID", "")), {key: str(value) for key, value in (actor.get("Attributes") or {}).items()}
    name, when = told.pop("name", ""), time_of(raw)
    if kind == "container":
        return _container(action, lab, node, raw)
    if raw.get("scope") != "swarm" or action not in ("create", "update", "remove"):
        return None
    if kind == "node":
        return lambda number: NodeEvent(number, when, lab, name, action, id_, told)
    if kind == "service":
        return lambda number: ServiceEvent(number, when, lab, node, action, name, id_, told)
    if kind == "network":
        return lambda number: NetworkEvent(number, when, lab, node, action, name, id_)
    return None


def _container(action: str, lab: str, node: str, raw: Mapping[str, Any]) -> Callable[[int], LabEvent] | None:
    health = action.removeprefix(HEALTH) if action.startswith(HEALTH) else ""
    if not health and action not in ("start", "die"):
        return None
    told = raw["Actor"].get("Attributes") or {}
    code = str(told.get("exitCode", ""))
    return lambda number: ContainerEvent(
        number,
        time_of(raw),
        lab,
        node,
        action="health" if health else action,
        container=str(told.get("name", "")),
        id=str(raw["Actor"].get("ID", "")),
        image=str(told.get("image", "")),
        service=str(told.get(SERVICE, "")),
        task=str(told.get(TASK, "")),
        exit_code=int(code) if action == "die" and code.lstrip("-").isdigit() else None,
        health=health,
    )
