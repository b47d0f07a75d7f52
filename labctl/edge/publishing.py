"""What a swarm's services publish, as a manager knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labctl.engine import Engine
from labctl.follower.managers import PROBE

__all__ = ["PublishedPort", "published"]


@dataclass(frozen=True)
class PublishedPort:
    """A port that a service publishes: on every node (ingress), or on `nodes`, which run its tasks (host).

    `target` is the port in its containers, `urls` is where this host reaches it, as far as that was asked for.
    """

    service: str
    port: int
    protocol: str
    mode: str
    target: int
    nodes: tuple[str, ...] = ()
    service_id: str = field(default="", compare=False)
    urls: tuple[str, ...] = ()

    @property
    def places(self) -> list[str]:
        """Where it is open inside the lab, as Docker writes it: *:8080->80/tcp, worker1:8080->80/tcp."""
        where = self.nodes if self.mode == "host" else ("*",)
        return [f"{node}:{self.port}->{self.target}/{self.protocol}" for node in where]


def published(manager: Engine) -> list[PublishedPort]:
    """What the swarm's services publish, by service and port, as a manager's engine knows it."""
    services = [one for one in manager.swarm_objects("services") if PROBE not in (one["Spec"].get("Labels") or {})]
    on_hosts = _on_hosts(manager) if any(_ports(service, "host") for service in services) else {}
    found = []
    for service in services:
        for port in _ports(service, "ingress"):
            if port.get("PublishedPort"):
                found.append(_published(service, port, "ingress"))
        at = on_hosts.get(str(service.get("ID", "")), {})
        for port in _ports(service, "host"):
            nodes = {
                number: names
                for (number, target, protocol), names in at.items()
                if (target, protocol) == (port.get("TargetPort", 0), port.get("Protocol", "tcp"))
                and port.get("PublishedPort", 0) in (0, number)
            }
            for number, names in (nodes or {port.get("PublishedPort", 0): []}).items():
                if number:
                    found.append(_published(service, {**port, "PublishedPort": number}, "host", names))
    return sorted(found, key=lambda each: (each.service, each.port))


def _ports(service: dict[str, Any], mode: str) -> list[dict[str, Any]]:
    ports = service.get("Endpoint", {}).get("Ports") or []
    return [port for port in ports if port.get("PublishMode", "ingress") == mode]


def _published(
    service: dict[str, Any], port: dict[str, Any], mode: str, nodes: list[str] | None = None
) -> PublishedPort:
    return PublishedPort(
        service=str(service["Spec"]["Name"]),
        port=int(port["PublishedPort"]),
        protocol=str(port.get("Protocol", "tcp")),
        mode=mode,
        target=int(port.get("TargetPort", 0)),
        nodes=tuple(sorted(set(nodes or []))),
        service_id=str(service.get("ID", "")),
    )


def _on_hosts(manager: Engine) -> dict[str, dict[tuple[int, int, str], list[str]]]:
    """By service: which nodes its running tasks have opened which ports on (number, target, protocol)."""
    names = {node["ID"]: str(node["Description"].get("Hostname", "")) for node in manager.swarm_objects("nodes")}
    found: dict[str, dict[tuple[int, int, str], list[str]]] = {}
    for task in manager.swarm_objects("tasks", {"desired-state": ["running"]}):
        if task["Status"].get("State") != "running":
            continue
        for port in (task["Status"].get("PortStatus") or {}).get("Ports") or []:
            key = (int(port.get("PublishedPort", 0)), int(port.get("TargetPort", 0)), str(port.get("Protocol", "tcp")))
            node = str(task.get("NodeID", ""))
            found.setdefault(str(task.get("ServiceID", "")), {}).setdefault(key, []).append(names.get(node, node))
    return found
