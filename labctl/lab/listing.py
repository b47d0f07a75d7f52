"""Nodes as docker-machine lists and inspects them, each asked at once and for a bounded time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labctl.concurrent import each
from labctl.engine import Engine
from labctl.errors import LabctlError, UsageError
from labctl.lab.core import LabCore
from labctl.node import Node
from labctl.swarm.cluster import Membership
from labctl.swarm.states import trouble_of

__all__ = ["ASK_LIMIT", "Machine", "inspect", "is_active", "keep", "list_machines", "machine_word", "parse_filters"]

ASK_LIMIT = 10.0  # seconds that one engine may take to answer; docker-machine's own
WORDS = {
    "running": "Running",
    "paused": "Paused",
    "created": "Stopped",
    "exited": "Stopped",
    "restarting": "Starting",
    "removing": "Stopping",
}
FILTERS = ("driver", "swarm", "state", "name", "label")
Filters = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Machine:
    """A row of `labctl ls`. `swarm` is the lab's name where the node is in a swarm, `error` why `docker` is unknown."""

    name: str
    driver: str
    state: str
    url: str = ""
    active: bool = False
    swarm: str = ""
    docker: str = "Unknown"
    error: str = ""
    seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """The row under the names that docker-machine's `--format` knows."""
        return {
            "Name": self.name,
            "Active": "*" if self.active else "-",
            "ActiveHost": self.active,
            "ActiveSwarm": False,
            "DriverName": self.driver,
            "State": self.state,
            "URL": self.url,
            "Swarm": self.swarm,
            "DockerVersion": self.docker,
            "Error": self.error,
            "ResponseTime": f"{self.seconds:.3f}s",
        }


def machine_word(state: str) -> str:
    """docker-machine's word for a machine's state."""
    return WORDS.get(state, "Error")


def is_active(node: Node, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the shell talks to this node's engine (`labctl env`)."""
    return node.is_running and environ.get("DOCKER_HOST") == node.endpoint.url


def parse_filters(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Read `key=value` filters. Raises UsageError for a key that there is not, or a name that is no pattern."""
    filters: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key.lower() not in FILTERS:
            raise UsageError(f"--filter {pair}: expected KEY=VALUE, and KEY is one of {', '.join(FILTERS)}")
        if key.lower() == "name":
            _pattern(value)
        filters.setdefault(key.lower(), []).append(value)
    return filters


def keep(machine: Machine, filters: Filters) -> bool:
    """Whether a row passes: one value of each key that is filtered by."""
    tests: dict[str, Callable[[str], bool]] = {
        "driver": lambda wanted: machine.driver == wanted,
        "swarm": lambda wanted: machine.swarm.removesuffix(" (manager)") == wanted,
        "state": lambda wanted: machine.state.lower() == wanted.lower(),
        "name": lambda wanted: _pattern(wanted).search(machine.name) is not None,
        "label": lambda wanted: _has_label(machine.labels, wanted),
    }
    return all(any(tests[key](wanted) for wanted in values) for key, values in filters.items())


def list_machines(lab: LabCore, filters: Filters, *, ask: bool = True, limit: float = ASK_LIMIT) -> list[Machine]:
    """Return the lab's machines that pass the filters, by name. Each engine is given `limit` seconds to answer.

    Without `ask`, no engine is asked (unless a filter needs it), and only names and states are true.
    """
    from labctl.spec import NodeSpec

    driver = lab.spec.provider or lab.spec.backend
    specs = {spec.name: spec for spec in lab.spec.all_nodes()}
    known = {key: values for key, values in filters.items() if key in ("driver", "name", "label")}
    ask = ask or bool(set(filters) - set(known))
    yours = lab.record.owner.is_you

    def look(node: Node) -> Machine:
        spec = specs.get(node.name, NodeSpec(name=node.name))
        labels = lab.spec.labels_of(spec) if node.name in specs else {}
        row = Machine(node.name, driver, machine_word(node.state), labels=labels)
        if not yours:
            return replace(row, url=node.endpoint.url, error=f"the lab belongs to {lab.record.owner}")
        return _asked(row, node, limit) if ask and node.is_running and keep(row, known) else row

    rows = [row for row in each(lab.nodes, look, at_once=max(1, len(lab.nodes))) if keep(row, filters)]
    return sorted(rows, key=lambda row: _natural(row.name))


def _asked(row: Machine, node: Node, limit: float) -> Machine:
    began = time.monotonic()
    engine = Engine(node.endpoint, where=f"the engine of {node.name}", limit=limit)
    state, swarm, docker, error = row.state, "", "Unknown", ""
    try:
        info = engine.info()
        docker = f"v{info['ServerVersion']}"
        member = Membership.of(info["Swarm"])
        if member.state == "active":
            swarm = node.lab + (" (manager)" if member.is_manager else "")
        error = trouble_of(node.name, member) or ""
    except LabctlError as problem:
        # docker-machine has a word of its own for a host that keeps silent.
        state = "Timeout" if time.monotonic() - began >= limit else state
        error = problem.message
    finally:
        engine.close()
    seconds = time.monotonic() - began
    return Machine(
        row.name, row.driver, state, node.endpoint.url, is_active(node), swarm, docker, error, seconds, row.labels
    )


def inspect(lab: LabCore, node: Node) -> dict[str, Any]:
    """All that is known of a node, in docker-machine's shape where it has one; our own words beside it."""
    certs = node.endpoint.tls or Path()
    return {
        "ConfigVersion": 3,
        "Name": node.name,
        "DriverName": lab.spec.provider or lab.spec.backend,
        "Driver": {
            "MachineName": node.name,
            "IPAddress": node.address,
            "SSHUser": "root",
            "SSHPort": 22,
            "SSHKeyPath": str(certs / "id_ed25519"),
            "StorePath": str(certs),
            "Container": node.machine,
        },
        "HostOptions": {
            "EngineOptions": _engine_options(lab, node),
            "SwarmOptions": {"IsSwarm": lab.spec.joins(node.name), "Master": node.is_manager},
            "AuthOptions": {
                "CertDir": str(certs),
                "CaCertPath": str(certs / "ca.pem"),
                "ClientCertPath": str(certs / "cert.pem"),
                "ClientKeyPath": str(certs / "key.pem"),
                "StorePath": str(certs),
            },
        },
        "Lab": node.lab,
        "Role": node.role,
        "State": machine_word(node.state),
        "URL": node.endpoint.url,
    }


def _engine_options(lab: LabCore, node: Node) -> dict[str, Any]:
    """What the spec says of the node's engine, under docker-machine's names where it has some."""
    engine = dict(lab.spec.engine)
    for spec in lab.spec.all_nodes():
        engine |= spec.engine if spec.name == node.name else {}
    return {
        "Options": engine,
        "Labels": engine.get("labels", []),
        "InsecureRegistry": engine.get("insecure-registries", []),
        "RegistryMirror": engine.get("registry-mirrors", []),
        "StorageDriver": engine.get("storage-driver", ""),
        "TlsVerify": True,
    }


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise UsageError(f"--filter name={text}: this is no regular expression: {problem}") from None


def _natural(name: str) -> list[tuple[int, str]]:
    """worker10 after worker2."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]
