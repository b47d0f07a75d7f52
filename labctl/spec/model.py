"""LabSpec and what it is made of. Frozen: a spec describes, it does not change."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from labctl.errors import UsageError
from labctl.spec.addresses import room
from labctl.spec.choices import MACHINE_MEMORY_MIB
from labctl.spec.names import select
from labctl.words import counted

__all__ = [
    "MAX_MANAGERS",
    "Backend",
    "Contradictions",
    "LabSpec",
    "NodeSpec",
    "PortSpec",
    "Role",
    "Swarm",
    "size_in_bytes",
]

Backend = Literal["dind", "vagrant"]
Provider = Literal["libvirt", "virtualbox", "hyperv"]
Role = Literal["manager", "worker"]
Swarm = Literal["formed", "empty"]
Membership = Literal["joined", "bare"]

# Raft's own limit is higher, but each manager more makes every write slower; Docker's documentation
# (engine/swarm/admin_guide) advises no more than seven.
MAX_MANAGERS = 7
MAX_NODES = 1000
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST_LAB_NAME = 40  # with a node's name behind it, it must fit into the 63 characters of a DNS label
LONGEST_NODE_NAME = 22
LAST_PORT = 65535
# Names that already mean something else inside a node.
TAKEN_NAMES = ("hub", "localhost", "registry")
# Bytes; an engine that does nothing has 70 to 180 MiB.
LEAST_MEMORY = 128 << 20
PRIVATE = tuple(ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)i?b?", re.IGNORECASE | re.ASCII)
BOX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
# The host's own engine owns these; a spec that sets them would cut labctl off from its nodes.
OURS_IN_ENGINE = ("hosts", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey", "data-root", "containerd", "pidfile")


class Model(BaseModel):
    """Strict about what it is given: an unknown key is a mistake, not an extension."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _name(value: str, longest: int) -> str:
    if len(value) > longest:
        raise ValueError(f"{value[:20]}… has {len(value)} characters; {longest} is the most")
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: lower-case letters, digits and hyphens, a letter or digit at each end")
    return value


def _engine_options(value: dict[str, Any]) -> dict[str, Any]:
    taken = sorted(set(value) & set(OURS_IN_ENGINE))
    if taken:
        raise ValueError(f"labctl itself sets {', '.join(taken)}")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("daemon.json cannot hold what is no JSON: infinity, a date") from None
    return value


def _memory(value: str | None) -> str | None:
    if value is not None and size_in_bytes(value) < LEAST_MEMORY:
        raise ValueError(f"{value} is too little for an engine; {LEAST_MEMORY >> 20}m is the least")
    return value


Cpus = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]
Memory = Annotated[str | None, AfterValidator(_memory)]
EngineOptions = Annotated[dict[str, Any], AfterValidator(_engine_options)]


class Contradictions(ValueError):
    """What is wrong with a spec whose parts are each right: pairs of where and what."""

    def __init__(self, problems: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


class NodeSpec(Model):
    """One node, where its name or its size matters."""

    name: str = Field(description="its host name; unique in the lab")
    role: Role = Field("worker", description="manager or worker")
    swarm: Membership = Field("joined", description="joined: it is in the swarm; bare: an engine to join by hand")
    labels: dict[str, str] = Field(default_factory=dict, description="node labels, for placement constraints")
    cpus: Cpus = Field(None, description="how many CPUs it may use; where not said, as many as the lab's nodes")
    memory: Memory = Field(None, description="the most memory it may use: 512m, 2g; where not said, the lab's")
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options of this node's engine")

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if value in TAKEN_NAMES:
            raise ValueError(f"{value} is another machine's name in a lab")
        return _name(value, LONGEST_NODE_NAME)

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes."""
        return None if self.memory is None else size_in_bytes(self.memory)

    @property
    def machine_memory_mib(self) -> int:
        """The memory in MiB of a virtual machine, which always has a size."""
        return MACHINE_MEMORY_MIB if self.memory_bytes is None else self.memory_bytes >> 20


class PortSpec(Model):
    """A port that the swarm publishes, and where this host shall reach it."""

    target: int = Field(ge=1, le=LAST_PORT, description="the port that the swarm publishes")
    host: int = Field(ge=1, le=LAST_PORT, description="the port on this host's 127.0.0.1")
    protocol: Literal["tcp", "udp"] = "tcp"

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Read `8080`, `18080:8080` (host:swarm, as Docker has it) or `8080/udp`."""
        if isinstance(value, bool) or not isinstance(value, int | str):
            return value
        found = re.fullmatch(r"(?:(\d{1,5}):)?(\d{1,5})(?:/(tcp|udp))?", str(value).strip())
        if not found:
            raise ValueError(f"{value!r} is no port: 8080, 18080:8080 or 8080/udp")
        host, target, protocol = found.groups()
        if not all(1 <= int(port) <= LAST_PORT for port in (host or target, target)):
            raise ValueError(f"{value!r} is no port: ports are 1 to {LAST_PORT}")
        return {"target": int(target), "host": int(host or target), "protocol": protocol or "tcp"}

    def __str__(self) -> str:
        return f"{self.host}:{self.target}/{self.protocol}"


class LabSpec(Model):
    """A whole lab. What is left out gets the value that most labs want."""

    name: str = Field("lab", description="the lab's name; several labs live side by side")
    backend: Backend = Field("dind", description="dind: nodes are containers; vagrant: virtual machines")
    provider: Provider | None = Field(
        None, description="who runs virtual machines: libvirt, virtualbox or hyperv; found out where not said"
    )
    box: str | None = Field(
        None,
        description="a Vagrant box of Debian 12 or 13 that the playbook makes nodes of, for example debian/bookworm64; "
        "labctl's own where not said",
    )
    managers: Annotated[int, Field(ge=1, le=MAX_MANAGERS, description="how many managers, 1 to 7")] = 1
    workers: Annotated[int, Field(ge=0, le=MAX_NODES, description="how many workers")] = 3
    nodes: tuple[NodeSpec, ...] = Field(
        (), max_length=MAX_NODES, description="the nodes one by one, instead of managers and workers"
    )
    cpus: Cpus = Field(
        None, description="how many CPUs each node may use; where not said, a container all, a virtual machine one"
    )
    memory: Memory = Field(
        None, description="the most memory each node may use: 2g; where not said, a container all, a machine 1g"
    )
    swarm: Swarm = Field("formed", description="formed: init and join are done; empty: bare engines")
    subnet: str | None = Field(
        None, description="the nodes' network, for example 172.30.0.0/24; a free one if not said"
    )
    engine: EngineOptions = Field(default_factory=dict, description="daemon.json options of every node's engine")
    registry: bool = Field(True, description="whether the lab has a registry and a mirror of Docker Hub")
    ports: tuple[PortSpec, ...] = Field((), description="published ports to reach on this host's 127.0.0.1")
    images: tuple[str, ...] = Field((), description="images that every node shall have from the start")
    node_labels: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="labels by filter: {'@worker': {zone: a}, 'worker1': {ssd: 'true'}}"
    )
    bare_names: bool = Field(False, description="containers are called worker1, not lab-worker1")
    privileged_tasks: bool = Field(
        False,
        description="nodes may use every device of this host, as `docker run --privileged` in a node needs; "
        "only for code that you trust with this host",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _name(value, LONGEST_LAB_NAME)

    @field_validator("box")
    @classmethod
    def _check_box(cls, value: str | None) -> str | None:
        if value is not None and not BOX.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a box: debian/bookworm64; `vagrant box list` shows those here")
        return value

    @field_validator("images")
    @classmethod
    def _check_images(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for image in value:
            if not image or any(letter.isspace() for letter in image):
                raise ValueError(f"{image!r} is no image's name: nginx, nginx:1.27, group/web:2")
        return value

    @field_validator("subnet")
    @classmethod
    def _check_subnet(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            network = ipaddress.IPv4Network(value)
        except ValueError:
            raise ValueError(f"{value!r} is no IPv4 subnet like 172.30.0.0/24") from None
        if not any(network.subnet_of(private) for private in PRIVATE):
            raise ValueError(f"{value} is no private range; take one of 10/8, 172.16/12 or 192.168/16")
        return str(network)

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        problems = [*self._machine_problems(), *self._node_problems(), *self._port_problems(), *self._label_problems()]
        if problems:
            raise Contradictions(problems)
        return self

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
        if self.subnet is not None and (places := room(self.subnet)) < wanted:
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
        return node.model_copy(update=usual) if any(usual.values()) else node

    def joins(self, name: str) -> bool:
        """Whether the node of that name shall be in the swarm; one that the spec does not name shall."""
        return self.swarm == "formed" and all(node.swarm == "joined" for node in self.nodes if node.name == name)

    def labels_of(self, node: NodeSpec) -> dict[str, str]:
        """The node labels that the node shall bear."""
        roles = {each.name: each.role for each in self.all_nodes()}
        labels: dict[str, str] = {}
        for pattern, given in self.node_labels.items():
            if node.name in select(pattern, roles):
                labels |= given
        return labels | node.labels


def size_in_bytes(text: str) -> int:
    """Read 512m or 2g as bytes. Raises ValueError for anything else."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size: 512m, 2g")
    number, unit = found.groups()
    return int(float(number) * 1024 ** (" kmgt".index(unit.lower()) if unit else 0))
