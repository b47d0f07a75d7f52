"""Typed views of a manager's answers (GET /nodes, /services, /tasks of the Engine API)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labctl.engine import Engine
from labctl.swarm.amounts import Amounts

__all__ = ["NAMESPACE", "Port", "Service", "SwarmNode", "SwarmView", "Task", "moment"]

NAMESPACE = "com.docker.stack.namespace"  # the label that the Docker CLI marks a stack's objects with
# Task states that a task does not leave by itself (swarmkit api/types.proto).
OVER = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")


@dataclass(frozen=True)
class SwarmNode:
    """A node as the managers know it."""

    id: str
    hostname: str
    role: str
    state: str
    availability: str
    address: str
    engine_version: str
    labels: dict[str, str]
    leader: bool = False
    reachability: str = ""
    version: int = 0
    size: Amounts = field(default_factory=Amounts)  # what it has to reserve of
    created: float = 0.0  # when it joined, in seconds since the epoch: one that left and came back is a new node

    @classmethod
    def of(cls, raw: dict[str, Any]) -> SwarmNode:
        """Read one element of GET /nodes."""
        manager = raw.get("ManagerStatus") or {}
        return cls(
            id=raw["ID"],
            hostname=raw["Description"].get("Hostname", ""),
            role=raw["Spec"]["Role"],
            state=raw["Status"]["State"],
            availability=raw["Spec"]["Availability"],
            address=raw["Status"].get("Addr", ""),
            engine_version=raw["Description"].get("Engine", {}).get("EngineVersion", ""),
            labels=raw["Spec"].get("Labels") or {},
            leader=bool(manager.get("Leader")),
            reachability=manager.get("Reachability", ""),
            version=raw["Version"]["Index"],
            size=Amounts.of(raw["Description"].get("Resources")),
            created=moment(raw.get("CreatedAt", "")),
        )


@dataclass(frozen=True)
class Port:
    """A published port of a service."""

    published: int
    target: int
    protocol: str
    mode: str

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Port:
        """Read one element of a service's Endpoint.Ports."""
        return cls(
            raw.get("PublishedPort", 0),
            raw.get("TargetPort", 0),
            raw.get("Protocol", "tcp"),
            raw.get("PublishMode", "ingress"),
        )


@dataclass(frozen=True)
class Task:
    """A task: one slot's container, or the plan for one. `reason` is the scheduler's or the engine's own word.

    `ended` is what the node's engine says of its container's health check or its end (see `health.py`): a text says
    what is wrong, "" that nothing is, None that no engine was asked.
    """

    id: str
    service_id: str
    slot: int
    node_id: str
    state: str
    desired: str
    reason: str
    container_id: str
    image: str
    iteration: int = 0
    exit_code: int = 0
    ended: str | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Task:
        """Read one element of GET /tasks."""
        status = raw["Status"]
        return cls(
            id=raw["ID"],
            service_id=raw.get("ServiceID", ""),
            slot=raw.get("Slot", 0),
            node_id=raw.get("NodeID", ""),
            state=status["State"],
            desired=raw["DesiredState"],
            reason=status.get("Err", ""),
            container_id=(status.get("ContainerStatus") or {}).get("ContainerID", ""),
            image=raw["Spec"].get("ContainerSpec", {}).get("Image", ""),
            iteration=(raw.get("JobIteration") or {}).get("Index", 0),
            exit_code=(status.get("ContainerStatus") or {}).get("ExitCode", 0),
            raw=raw,
        )

    @property
    def created(self) -> float:
        """When it was planned, in seconds since the epoch."""
        return moment(self.raw.get("CreatedAt", ""))

    @property
    def since(self) -> float:
        """When it came into its state, in seconds since the epoch, by its node's clock."""
        return moment(self.raw.get("Status", {}).get("Timestamp", ""))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.state in OVER


@dataclass(frozen=True)
class Service:
    """A service. `mode` is replicated, global, replicated-job or global-job."""

    id: str
    name: str
    mode: str
    replicas: int
    image: str
    ports: tuple[Port, ...]
    labels: dict[str, str]
    update_state: str = ""
    update_message: str = ""
    iteration: int = 0
    networks: tuple[str, ...] = ()
    virtual_ips: tuple[str, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Service:
        """Read one element of GET /services."""
        spec = raw["Spec"]
        mode, replicas = _mode_of(spec["Mode"])
        template = spec["TaskTemplate"]
        update = raw.get("UpdateStatus") or {}
        endpoint = raw.get("Endpoint") or {}
        return cls(
            id=raw["ID"],
            name=spec["Name"],
            mode=mode,
            replicas=replicas,
            image=template.get("ContainerSpec", {}).get("Image", ""),
            ports=tuple(Port.of(port) for port in endpoint.get("Ports") or ()),
            labels=spec.get("Labels") or {},
            update_state=update.get("State", ""),
            update_message=update.get("Message", ""),
            iteration=(raw.get("JobStatus") or {}).get("JobIteration", {}).get("Index", 0),
            networks=tuple(net["Target"] for net in template.get("Networks") or spec.get("Networks") or ()),
            virtual_ips=tuple(vip.get("Addr", "") for vip in endpoint.get("VirtualIPs") or ()),
            raw=raw,
        )

    @property
    def update_began(self) -> str:
        """When its last update began, as the API has it; empty where there was none."""
        return str((self.raw.get("UpdateStatus") or {}).get("StartedAt", ""))

    @property
    def is_global(self) -> bool:
        """Whether it has one task for each node that may run it."""
        return self.mode.startswith("global")

    @property
    def is_job(self) -> bool:
        """Whether its tasks end by themselves."""
        return self.mode.endswith("-job")

    @property
    def stack(self) -> str:
        """The stack it belongs to; empty for none."""
        return self.labels.get(NAMESPACE, "")

    @property
    def short_image(self) -> str:
        """The image without its digest, as `docker service ls` shows it."""
        return self.image.partition("@")[0]


def moment(text: str) -> float:
    """Read a time of the API (RFC 3339) as seconds since the epoch; 0.0 where there is none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _mode_of(mode: dict[str, Any]) -> tuple[str, int]:
    if "Replicated" in mode:
        return "replicated", int(mode["Replicated"].get("Replicas", 1))
    if "ReplicatedJob" in mode:
        job = mode["ReplicatedJob"]
        return "replicated-job", int(job.get("TotalCompletions") or job.get("MaxConcurrent") or 1)
    return ("global-job", 0) if "GlobalJob" in mode else ("global", 0)


class SwarmView:
    """What one manager says of the swarm now. Each method asks once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def nodes(self) -> list[SwarmNode]:
        """All nodes, managers first, by host name."""
        found = [SwarmNode.of(raw) for raw in self.engine.swarm_objects("nodes")]
        return sorted(found, key=lambda node: (node.role != "manager", node.hostname))

    def services(self, *, stack: str | None = None) -> list[Service]:
        """All services, or those of a stack, by name."""
        filters = {"label": f"{NAMESPACE}={stack}"} if stack else None
        return sorted((Service.of(raw) for raw in self.engine.swarm_objects("services", filters)), key=lambda s: s.name)

    def service(self, name: str) -> Service | None:
        """The service of that name or id; None when there is none."""
        raw = self.engine.swarm_object("services", name)
        return Service.of(raw) if raw else None

    def tasks(self, services: Iterable[str] = (), *, running: bool = False) -> list[Task]:
        """The tasks of the services (all where none is named); with `running` those that shall run."""
        filters: dict[str, Any] = {}
        if wanted := list(services):
            filters["service"] = wanted
        if running:
            filters["desired-state"] = "running"
        found = [Task.of(raw) for raw in self.engine.swarm_objects("tasks", filters)]
        return sorted(found, key=lambda task: (task.service_id, task.slot, task.node_id))
