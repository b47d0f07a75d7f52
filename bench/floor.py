"""The floor: the same nodes, made with threads over the Engine API and nothing else.

No keys are made, nothing is checked, no registry, no names but the containers' own; the engines are spoken
to in plain TCP. Whatever labctl adds to this is its own cost.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import requests

from bench.common import LABEL, engine, node_body, poll, remove_labelled

__all__ = ["down", "up"]

SUBNET = "10.243.0.0/21"
PORT = 2375
JOINS_AT_ONCE = 5


def up(nodes: int, image: str) -> float:
    """Make a swarm of so many nodes and return the seconds from nothing to all Ready."""
    client = engine()
    began = time.monotonic()
    pool = docker.types.IPAMPool(subnet=SUBNET)
    client.create_network("bench-floor", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={LABEL: "floor"})
    formed = threading.Event()
    gate = threading.Semaphore(JOINS_AT_ONCE)
    manager: dict[str, str] = {}

    def one(number: int) -> None:
        address = f"10.243.{(10 + number) // 250}.{(10 + number) % 250}"
        _boot(client, number, address, image)
        if number == 0:
            _post(address, "/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address})
            manager["token"] = requests.get(f"http://{address}:{PORT}/swarm", timeout=30).json()["JoinTokens"]["Worker"]
            manager["address"] = address
            formed.set()
            return
        formed.wait()
        with gate:
            remotes = [f"{manager['address']}:2377"]
            token = {"JoinToken": manager["token"], "AdvertiseAddr": address, "ListenAddr": "0.0.0.0:2377"}
            _post(address, "/swarm/join", {"RemoteAddrs": remotes, **token})

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(one, range(nodes)))
    poll("all nodes being ready", lambda: _ready(manager["address"]) == nodes, pause=0.05)
    return time.monotonic() - began


def down() -> float:
    """Remove it all and return the seconds."""
    return remove_labelled("floor")


def _boot(client: Any, number: int, address: str, image: str) -> None:
    config = json.dumps(
        {"hosts": ["unix:///var/run/docker.sock", f"tcp://0.0.0.0:{PORT}"], "tls": False, "log-level": "warn"}
    )
    name = f"bench-floor-{number}"
    body = node_body(name, image, "bench-floor", address, labels={LABEL: "floor"})
    client.create_container_from_config(body, name)
    client.put_archive(name, "/", _tar("etc/docker/daemon.json", config))
    client.start(name)
    poll(name, lambda: _answers(address), pause=0.02)


def _answers(address: str) -> bool:
    try:
        requests.get(f"http://{address}:{PORT}/_ping", timeout=2)
    except requests.RequestException:
        return False
    return True


def _tar(path: str, text: str) -> bytes:
    from labctl.engine.client import tar_of

    return tar_of({path: (text.encode(), 0o644)})


def _post(address: str, path: str, body: dict[str, Any]) -> None:
    requests.post(f"http://{address}:{PORT}{path}", json=body, timeout=120).raise_for_status()


def _ready(address: str) -> int:
    found: list[dict[str, Any]] = requests.get(f"http://{address}:{PORT}/nodes", timeout=30).json()
    return sum(node["Status"]["State"] == "ready" for node in found)
