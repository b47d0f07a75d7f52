"""What the measurements share."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker

from labctl import host
from labctl.engine import Engine, host_endpoint
from labctl.waiting import Pending, wait_until

__all__ = ["LABEL", "engine", "median", "node_body", "poll", "remove_labelled", "timed"]

LABEL = "labctl.bench"


def engine() -> Any:
    """The host's engine, by the SDK itself."""
    return docker.APIClient(base_url=host_endpoint().url, version="auto", timeout=120, max_pool_size=64)


def node_body(name: str, image: str, network: str, address: str, labels: dict[str, str]) -> dict[str, Any]:
    """A node's container as labctl makes it, without its keys and its published port."""
    return {
        "Image": image,
        "Hostname": name,
        "Labels": labels,
        "HostConfig": {
            "CapDrop": ["ALL"],
            "CapAdd": list(host.grantable_capabilities(Engine(host_endpoint()))),
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "DeviceCgroupRules": ["a *:* rwm"],
            "CgroupnsMode": "private",
            "NetworkMode": network,
            "Tmpfs": {"/run": "rw,exec,mode=755"},
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"IPAMConfig": {"IPv4Address": address}}}},
    }


def remove_labelled(value: str) -> float:
    """Remove the containers and networks with the label, containers in parallel, and return the seconds."""
    client = engine()
    began = time.monotonic()
    found = client.containers(all=True, filters={"label": f"{LABEL}={value}"})
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda one: client.remove_container(one["Id"], v=True, force=True), found))
    for network in client.networks(filters={"label": f"{LABEL}={value}"}):
        client.remove_network(network["Id"])
    return time.monotonic() - began


def timed(command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> float:
    """Run a command that must succeed, `env` added to ours; return its seconds from the shell's point of view."""
    began = time.monotonic()
    around = {**os.environ, **(env or {})}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=cwd, env=around
    )
    took = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return took


def poll(what: str, probe: Callable[[], bool], *, pause: float) -> None:
    """Ask every `pause` seconds until the answer is yes. Raises WaitTimeout after two minutes."""

    def look() -> None:
        if not probe():
            raise Pending("not yet")

    wait_until(what, look, limit=120, pause=pause, longest_pause=pause)


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
