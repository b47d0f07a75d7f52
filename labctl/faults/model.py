"""What a fault is: its kind, where it acts, and what every kind can do."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from labctl.errors import LabError, NodeDown, UsageError
from labctl.events import Emit, quiet

if TYPE_CHECKING:
    from labctl.backend import Backend
    from labctl.node import Node
    from labctl.swarm import SwarmView

__all__ = ["Fault", "Healer", "Kind", "Option", "Scene", "Target", "percent", "seconds_of"]

# Who ends a fault when its time is over: the node itself, a process on this host, or a manager. "nobody": it is a
# single blow, and the swarm answers it.
Healer = Literal["node", "host", "manager", "nobody"]
Target = Literal["node", "service"]


@dataclass(frozen=True)
class Fault:
    """One fault that was injected: `kind` on `target`, a node or a service.

    `until` is when it heals by itself, in seconds since 1970; None when it stays until somebody heals it.
    """

    id: str
    kind: str
    target: str
    options: Mapping[str, str] = field(default_factory=dict)
    until: float | None = None

    @property
    def left(self) -> float | None:
        """How many seconds are left before it heals by itself; None when it does not."""
        return None if self.until is None else max(0.0, self.until - time.time())


@dataclass
class Scene:
    """The lab as faults see it. `start` tries the lab with nodes that are back, and mends what they missed."""

    lab: str
    subnet: str
    nodes: Sequence[Node]
    backend: Backend
    swarm: Callable[[], SwarmView]
    start: Callable[[Sequence[str]], object]
    memory_of: Callable[[Node], int | None] = lambda _node: None
    emit: Emit = quiet

    @property
    def host(self) -> str:
        """This host's address in the lab's network: the first of it, whatever the backend."""
        return str(next(ipaddress.ip_network(self.subnet).hosts()))

    def others(self, node: Node) -> list[Node]:
        """The nodes but this one."""
        return [other for other in self.nodes if other.name != node.name]

    def node(self, name: str) -> Node | None:
        """The node of that name as it is now; None when it is gone."""
        known = next((node for node in self.nodes if node.name == name), None)
        found = known and self.backend.look(known)
        return None if found is None or found.state == "gone" else found

    def running(self, name: str) -> Node:
        """The node of that name, which runs. Raises LabError for one that is gone, NodeDown for one that is down."""
        node = self.node(name)
        if node is None:
            raise LabError(f"node {name} is gone", hint="`labctl status` lists the nodes.")
        if not node.is_running:
            raise NodeDown(node.name, node.state)
        return node


@dataclass(frozen=True)
class Option:
    """One thing that a kind of fault can be told. `read` raises ValueError for what it does not take."""

    name: str
    default: str
    help: str
    read: Callable[[str], object] = str


class Kind(Protocol):
    """A kind of fault. `breaks_node`: a node that has it counts as lost to the swarm."""

    name: str
    summary: str
    acts_on: Target
    healer: Healer
    options: tuple[Option, ...]
    breaks_node: bool

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise what says that it cannot be injected here. Nothing is changed."""
        ...

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Break it. A lease, where the fault has one, is armed before."""
        ...

    def heal(self, scene: Scene, fault: Fault) -> None:
        """Mend it; one that is mended already is fine."""
        ...

    def is_active(self, scene: Scene, fault: Fault) -> bool:
        """Whether it acts now: looked at, not remembered."""
        ...


def percent(text: str) -> float:
    """Read a share: 50 %, 50% or 50. Raises ValueError outside of 0 to 100."""
    number = float(text.strip().removesuffix("%"))
    if not 0 < number <= 100:
        raise ValueError("expected a percentage above 0 and up to 100")
    return number


UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Read a time: 30s, 5m, 1h, 30 (seconds). Raises UsageError for anything else, and for nothing at all."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh]?)", text.strip(), re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UsageError(f"{text!r} is no time", hint="For example: 30s, 5m, 1h.")
    return seconds
