"""What the mesh asks of the node's own engine: its overlay networks, and the bridge that leads to ingress."""

from __future__ import annotations

import json
import os
import signal
from typing import Any, NamedTuple, Protocol

from .httpget import Connection, HttpError
from .nft import BRIDGE

__all__ = ["Engine", "EngineError", "LocalEngine", "Network", "diagnostic_port", "reload_engine"]

PID_FILE = "/run/docker.pid"
CONFIG_FILE = "/etc/docker/daemon.json"
USUAL_DIAGNOSTIC_PORT = 2000


class EngineError(Exception):
    """The engine did not answer, or not as expected; the text says which."""


class Network(NamedTuple):
    """An overlay network of the swarm."""

    identity: str
    name: str
    is_ingress: bool


class Engine(Protocol):
    """What the agent asks of the node's engine."""

    def overlays(self) -> list[Network]:
        """Return the overlay networks that this node knows. Raises EngineError."""
        ...

    def gateway_subnet(self) -> str:
        """Return the IPv4 subnet of the bridge between the node and ingress. Raises EngineError."""
        ...


class LocalEngine:
    """Reads from the engine's API on its local socket."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def overlays(self) -> list[Network]:
        """Return the overlay networks that this node knows. Raises EngineError."""
        listing = self._get('/networks?filters={"driver":["overlay"]}'.replace('"', "%22"))
        try:
            return [Network(str(it["Id"]), str(it["Name"]), bool(it["Ingress"])) for it in listing]
        except (KeyError, TypeError) as error:
            raise EngineError(f"a list of networks that is not understood: {error!r}") from error

    def gateway_subnet(self) -> str:
        """Return the IPv4 subnet of the bridge between the node and ingress. Raises EngineError."""
        bridge = self._get(f"/networks/{BRIDGE}")
        try:
            subnets = [str(config["Subnet"]) for config in bridge["IPAM"]["Config"]]
        except (KeyError, TypeError) as error:
            raise EngineError(f"a network {BRIDGE} that is not understood: {error!r}") from error
        for subnet in subnets:
            if ":" not in subnet:
                return subnet
        raise EngineError(f"the network {BRIDGE} has no IPv4 subnet")

    def _get(self, path: str) -> Any:
        try:
            status, body = self._connection.get(path)
            answer: Any = json.loads(body)
        except HttpError as error:
            raise EngineError(f"the engine does not answer: {error}") from error
        except ValueError as error:
            raise EngineError(f"the engine's answer to {path} is not JSON") from error
        if status != 200:
            said = answer.get("message") if isinstance(answer, dict) else None
            raise EngineError(f"the engine refuses {path}: {said or status}")
        return answer


def diagnostic_port(config_file: str = CONFIG_FILE) -> int:
    """Return the loopback port on which the engine is told to show its networkdb; 2000 where it is not told."""
    try:
        return int(json.loads(_text(config_file))["network-diagnostic-port"])
    except (OSError, ValueError, KeyError, TypeError):
        return USUAL_DIAGNOSTIC_PORT


def reload_engine(pid_file: str = PID_FILE) -> bool:
    """Let the engine read its configuration again, and tell whether there was one to be told.

    It opens its network diagnostic port only then. To be called when its API has answered: before that
    the signal would end it.
    """
    try:
        pid = int(_text(pid_file))
        if _text(f"/proc/{pid}/comm").strip() != "dockerd":
            return False
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def _text(path: str) -> str:
    with open(path) as file:
        return file.read()
