"""What a fault is: its kind, where it acts, and what every kind can do."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from labctl.concurrent import each
from labctl.errors import LabError, NodeDown, UsageError
from labctl.events import Emit, quiet

if TYPE_CHECKING:
    from labctl.backend import Backend
    from labctl.node import Node
    from labctl.swarm import SwarmView

__all__ = [
    "ID",
    "OVERDUE",
    "Fault",
    "Healer",
    "Kind",
    "Option",
    "Scene",
    "State",
    "Target",
    "Word",
    "as_flag",
    "as_keyword",
    "percent",
    "seconds_of",
    "whole",
]

ID = "[0-9a-f]{6}"  # what labctl makes; whatever else calls itself a fault's id is none
OVERDUE = 5.0  # seconds that a lease may be late

# Who ends a fault when its time is over: the node itself, a process on this host, or a manager. "nobody": it is a
# single blow, and the swarm answers it.
Healer = Literal["node", "host", "manager", "nobody"]
Target = Literal["node", "service"]
# "striking": it is being injected just now. "over": it does not act, or not any more.
State = Literal["striking", "acts", "over"]
Word = Callable[[str], str]  # how an option is called where it was said


def as_flag(name: str) -> str:
    """An option as the command line has it."""
    return f"--{name} "


def as_keyword(name: str) -> str:
    """An option as Python has it."""
    return f"{name}="


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
    state: State = field(default="acts", compare=False)

    @property
    def is_overdue(self) -> bool:
        """Whether it should have healed by itself, and has not: who was to heal it is gone."""
        return self.until is not None and self.until + OVERDUE < time.time()

    def as_json(self) -> dict[str, object]:
        """What is written of it, on this host and on its node."""
        said = {"id": self.id, "kind": self.kind, "target": self.target}
        return {**said, "options": dict(self.options), "until": self.until}

    @property
    def left(self) -> float | None:
        """How many seconds are left before it heals by itself; None when it does not."""
        return None if self.until is None else max(0.0, self.until - time.time())


@dataclass
class Scene:
    """The lab as faults see it. `start` tries the lab with nodes that are back, and mends what they missed.

    `meet` lets the engines of nodes that were apart hear of the others again; `missed` waits until the others have
    missed a node that was killed and is about to start. `swarmed` says whether the lab shall have a swarm, `word` how
    options are called where this was asked for.
    """

    lab: str
    subnet: str
    nodes: Sequence[Node]
    backend: Backend
    swarm: Callable[[], SwarmView]
    start: Callable[[Sequence[str]], object]
    memory_of: Callable[[Node], int | None] = lambda _node: None
    emit: Emit = quiet
    meet: Callable[[Sequence[str]], object] = lambda _names: None
    missed: Callable[[Node], object] = lambda _node: None
    swarmed: bool = True
    word: Word = as_flag

    def __repr__(self) -> str:
        return f"<Scene of lab {self.lab}: {len(self.nodes)} nodes>"

    def now(self) -> list[Node]:
        """The nodes that are there, as they are now."""
        found = each(self.nodes, self.backend.look)
        return [node for node in found if node.state != "gone"]

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
    """A kind of fault.

    `breaks_node`: a node that has it counts as lost to the swarm. `parts_nodes`: engines lose sight of each other.
    """

    name: str
    summary: str
    acts_on: Target
    healer: Healer
    options: tuple[Option, ...]
    breaks_node: bool
    parts_nodes: bool

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise what says that it cannot be injected here. Nothing is changed."""
        ...

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Break it. A lease, where the fault has one, is armed before."""
        ...

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """Mend it; one that is mended already is fine. Whether the lab is to be tried with its node then."""
        ...

    def state(self, scene: Scene, fault: Fault) -> State:
        """Whether it acts now: looked at, not remembered. A look changes nothing."""
        ...


SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%?", re.ASCII)


def percent(text: str, least: float = 0.01) -> float:
    """Read a share: 50 %, 50% or 50. Raises ValueError below `least` and above 100."""
    found = SHARE.fullmatch(text.strip())
    if found is None or not least <= float(found[1]) <= 100:
        raise ValueError(f"expected a percentage from {least:g} to 100")
    return float(found[1])


def whole(least: int, most: int, what: str) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) else -1
        if not least <= number <= most:
            raise ValueError(f"expected {what} from {least} to {most}")
        return number

    return read


UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """Read a time: 30s, 5m, 1h, 30 (seconds). Raises UsageError for anything else, and for nothing at all."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh]?)", text.strip(), re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise UsageError(f"{text!r} is no time", hint="For example: 30s, 5m, 1h.")
    return seconds
