"""LabSpec and what it is made of: plain values, that every command may read quickly.

Frozen: a spec describes, it does not change. What is read from a person is checked by `labctl.spec.checked`, what
labctl has noted itself by `labctl.spec.noted`; what is made here is not checked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labctl.errors import UsageError
from labctl.spec.choices import MACHINE_MEMORY_MIB
from labctl.spec.names import select
from labctl.spec.rules import MAX_MANAGERS, port_of, size_in_bytes
from labctl.words import counted

__all__ = [
    "MAX_MANAGERS",
    "Backend",
    "Contradictions",
    "LabSpec",
    "Membership",
    "NodeSpec",
    "PortSpec",
    "Protocol",
    "Provider",
    "Role",
    "Swarm",
]

Backend = Literal["dind", "vagrant"]
Provider = Literal["libvirt", "virtualbox", "hyperv"]
Role = Literal["manager", "worker"]
Swarm = Literal["formed", "empty"]
Membership = Literal["joined", "bare"]
Protocol = Literal["tcp", "udp"]


class Contradictions(ValueError):
    """What is wrong with a spec whose parts are each right: pairs of where and what."""

    def __init__(self, problems: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


class _Unsaid(str):
    """What a lab is called that nobody has named."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One node, where its name or its size matters."""

    name: str
    role: Role = "worker"
    swarm: Membership = "joined"
    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory: str | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else size_in_bytes(self.memory)

    @property
    def machine_memory_mib(self) -> int:
        """The memory in MiB of a virtual machine, which always has a size."""
        return MACHINE_MEMORY_MIB if self.memory_bytes is None else self.memory_bytes >> 20


@dataclass(frozen=True, kw_only=True)
class PortSpec:
    """A port that the swarm publishes, and where this host shall reach it."""

    target: int
    host: int
    protocol: Protocol = "tcp"

    @classmethod
    def parse(cls, text: str) -> PortSpec:
        """Read `8080`, `18080:8080` (host:swarm, as Docker has it) or `8080/udp`. Raises ValueError."""
        return cls(**port_of(text))

    def __str__(self) -> str:
        return f"{self.host}:{self.target}/{self.protocol}"


@dataclass(frozen=True, kw_only=True)
class LabSpec:
    """A whole lab. What is left out gets the value that most labs want."""

    name: str = _Unsaid("lab")
    backend: Backend = "dind"
    provider: Provider | None = None
    box: str | None = None
    managers: int = 1
    workers: int = 3
    nodes: tuple[NodeSpec, ...] = ()
    cpus: float | None = None
    memory: str | None = None
    swarm: Swarm = "formed"
    subnet: str | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    registry: bool = True
    ports: tuple[PortSpec, ...] = ()
    images: tuple[str, ...] = ()
    node_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bare_names: bool = False
    privileged_tasks: bool = False

    @property
    def is_named(self) -> bool:
        """Whether somebody said the lab's name."""
        return not isinstance(self.name, _Unsaid)

    def refuse_contradictions(self) -> None:
        """Raise Contradictions where parts that are each right do not go together."""
        problems = [*self._machine_problems(), *self._node_problems(), *self._port_problems(), *self._label_problems()]
        if problems:
            raise Contradictions(problems)

    def _machine_problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for key, value in (("box", self.box), ("provider", self.provider)):
            if value is not None and self.backend != "vagrant":
                yield (key,), f"{value} is for virtual machines, and the backend is {self.backend}, not vagrant"
        if self.privileged_tasks and self.backend == "vagrant":
            yield ("privileged_tasks",), "it is for containers: tasks on virtual machines may be privileged anyway"

    def _node_problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        seen: set[str] = set()
        for index, node in enumerate(self.nodes):
            if node.name in seen:
                yield ("nodes", index, "name"), f"another node is called {node.name} too"
            seen.add(node.name)
        managers = sum(node.role == "manager" and self.joins(node.name) for node in self.nodes)
        if self.nodes and self.swarm == "formed" and not 1 <= managers <= MAX_MANAGERS:
            yield ("nodes",), f"a swarm has 1 to {MAX_MANAGERS} managers, and there are {managers}"
        wanted = len(self.all_nodes())
        if self.subnet is not None:
            from labctl.spec.addresses import room

            if (places := room(self.subnet)) < wanted:
                yield ("subnet",), f"{self.subnet} has room for {counted(places, 'node')}, and there are {wanted}"

    def _port_problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        seen: set[tuple[int, str]] = set()
        for index, port in enumerate(self.ports):
            if (port.host, port.protocol) in seen:
                yield ("ports", index), f"another port wants {port.host}/{port.protocol} of this host too"
            seen.add((port.host, port.protocol))

    def _label_problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        roles = {node.name: node.role for node in self.all_nodes()}
        for pattern in self.node_labels:
            try:
                select(pattern, roles)
            except UsageError as problem:
                yield ("node_labels", pattern), problem.message

    def all_nodes(self) -> tuple[NodeSpec, ...]:
        """The nodes in order, managers first, named where the spec does not name them."""
        if self.nodes:
            return tuple(self._sized(node) for node in sorted(self.nodes, key=lambda node: node.role != "manager"))
        size: dict[str, Any] = {"cpus": self.cpus, "memory": self.memory}
        managers = [NodeSpec(name=f"manager{i}", role="manager", **size) for i in range(1, self.managers + 1)]
        return (*managers, *(NodeSpec(name=f"worker{i}", role="worker", **size) for i in range(1, self.workers + 1)))

    def _sized(self, node: NodeSpec) -> NodeSpec:
        """The node with the lab's size where it says none."""
        usual = {key: getattr(self, key) for key in ("cpus", "memory") if getattr(node, key) is None}
        return replace(node, **usual) if any(usual.values()) else node

    def joins(self, name: str) -> bool:
        """Whether the node of that name shall be in the swarm; one that the spec does not name shall."""
        return self.swarm == "formed" and all(node.swarm == "joined" for node in self.nodes if node.name == name)

    def labels_of(self, node: NodeSpec) -> dict[str, str]:
        """The node labels that the node shall bear."""
        roles = {each.name: each.role for each in self.all_nodes()}
        labels: dict[str, str] = {}
        for pattern, given in self.node_labels.items():
            if node.name in select(pattern, roles):
                labels.update(given)
        return {**labels, **node.labels}
