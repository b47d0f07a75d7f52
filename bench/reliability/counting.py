"""What a lab has left on this machine, counted exactly, while other labs come and go beside it.

What bears the lab's label or name is asked for by it. What an engine makes of it bears neither: the names of its
nameless volumes, bridge, veths and namespaces are noted while the lab is there, and each is looked for after its end.
Of processes and files the trials have a place of their own: whatever appears there is the lab's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import psutil

from labctl.locking import shared_folder

__all__ = ["KINDS", "Ground", "Traces", "firewall", "left", "noted", "rules_of", "settled"]

KINDS = (
    "containers", "volumes", "networks", "images", "bridges", "veths", "namespaces", "contexts", "files",
    "processes", "firewall rules",
)  # fmt: skip
LINKS = Path("/sys/class/net")
ADDRESS = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b")
SETTLES_WITHIN = 10.0  # seconds; an engine takes a moment to end what it has answered for
Left = dict[str, list[str]]


@dataclass(frozen=True)
class Ground:
    """The folders that all commands of the trials write to, and none else."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What sends labctl there."""
        return {
            "LABCTL_STATE": str(self.root / "state"),
            "DOCKER_CONFIG": str(self.root / "docker"),
            "TMPDIR": str(self.root / "tmp"),
        }

    def make(self) -> None:
        """Make the folders."""
        for folder in self.environment.values():
            Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)

    def files(self, lab: str) -> set[str]:
        """All files and folders there, and the lab's in the folder of locks that all users share."""
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*")}
        shared = shared_folder()
        return found | {str(path) for path in (shared.glob(f"*-{lab}.lock") if shared else ())}

    def contexts(self) -> set[str]:
        """The folders of Docker contexts."""
        return {str(path.relative_to(self.root)) for path in (self.root / "docker").glob("contexts/*/*")}


@dataclass
class Traces:
    """What an engine has made for a lab and calls by names of its own."""

    containers: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    veths: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    subnets: set[str] = field(default_factory=set)

    def add(self, more: Traces) -> None:
        """Take what was noted at another moment."""
        for name, values in vars(more).items():
            getattr(self, name).update(values)

    @property
    def bridges(self) -> set[str]:
        """The bridges of the networks."""
        return {f"br-{network[:12]}" for network in self.networks}


def noted(client: Any, lab: str, links: Path = LINKS) -> Traces:
    """Return what there is of the lab now."""
    seen = Traces()
    labelled = {"label": f"labctl.lab={lab}"}
    for network in client.networks(filters=labelled):
        seen.networks.add(network["Id"])
        seen.subnets.update(pool["Subnet"] for pool in (network["IPAM"].get("Config") or ()) if "Subnet" in pool)
    for bridge in seen.bridges:
        ports = links / bridge / "brif"
        seen.veths.update(path.name for path in (ports.iterdir() if ports.is_dir() else ()))
    for found in client.containers(all=True, filters=labelled):
        seen.containers.add(found["Id"])
        seen.volumes.update(mount["Name"] for mount in found.get("Mounts") or () if mount.get("Name"))
        try:
            seen.namespaces.add(client.inspect_container(found["Id"])["NetworkSettings"].get("SandboxKey") or "")
        except OSError:
            continue  # it has gone meanwhile
    seen.volumes -= {"labctl-mirror"}  # all labs share it
    seen.namespaces -= {"", "/var/run/docker/netns/default"}  # of the host's network there is one
    return seen


def left(client: Any, lab: str, traces: Traces, ground: Ground, before: tuple[set[str], set[str]]) -> Left:
    """Return by kind what is left of a lab that should be gone; `before` is what files and contexts were there.

    A namespace is left while it is mounted: the empty file that it was mounted at, an engine removes within a minute.
    """
    labelled = {"label": f"labctl.lab={lab}"}
    volumes = client.volumes()["Volumes"] or ()
    files, contexts = ground.files(lab), ground.contexts()
    free = _free(traces.subnets, client.networks())
    names = {
        "containers": {one["Id"][:12] for one in client.containers(all=True, filters=labelled)},
        "volumes": {
            one["Name"]
            for one in volumes
            if (one.get("Labels") or {}).get("labctl.lab") == lab or one["Name"] in traces.volumes
        },
        "networks": {one["Name"] for one in client.networks(filters=labelled)},
        "images": {tag for one in client.images() for tag in one.get("RepoTags") or () if f"/{lab}/" in tag},
        "bridges": {name for name in traces.bridges if (LINKS / name).exists()},
        "veths": {name for name in traces.veths if (LINKS / name).exists()},
        "namespaces": {path for path in traces.namespaces if Path(path).is_mount()},
        "contexts": contexts - before[1],
        "files": {path for path in files - before[0] if not path.startswith("docker/contexts")},
        "processes": _processes(traces, free, ground.environment["LABCTL_STATE"]),
        "firewall rules": rules_of(firewall(), traces.bridges, free),
    }
    return {kind: sorted(names[kind]) for kind in KINDS if names[kind]}


def settled(look: Callable[[], Left]) -> Left:
    """Look until nothing is left, or for ten seconds; return what was left at the last look."""
    end = time.monotonic() + SETTLES_WITHIN
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def firewall() -> list[str]:
    """All rules of iptables; none where there is no such program, or no right to ask it."""
    program = shutil.which("iptables-save")
    if program is None:
        return []
    return subprocess.run([program], capture_output=True, text=True, check=False).stdout.splitlines()


def rules_of(lines: Iterable[str], bridges: Iterable[str], subnets: Iterable[IPv4Network]) -> set[str]:
    """The rules that name one of the bridges, or an address in one of the subnets."""
    own, within = set(bridges), list(subnets)

    def is_meant(line: str) -> bool:
        words = set(line.split())
        return bool(words & own) or any(ip_address(found) in net for found in _addresses(line) for net in within)

    return {line for line in lines if line.startswith("-A") and is_meant(line)}


def _addresses(line: str) -> list[str]:
    return [found for found in ADDRESS.findall(line) if all(int(part) < 256 for part in found.split("."))]


def _free(subnets: Iterable[str], networks: Iterable[Mapping[str, Any]]) -> list[IPv4Network]:
    """Those of the lab's subnets that no other network has taken over since: what names one is the lab's."""
    pools = [pool.get("Subnet", "") for one in networks for pool in (one.get("IPAM") or {}).get("Config") or ()]
    taken = [ip_network(pool) for pool in pools if "." in pool]
    mine = [IPv4Network(subnet) for subnet in subnets if "." in subnet]
    return [subnet for subnet in mine if not any(subnet.overlaps(other) for other in taken)]


def _processes(traces: Traces, free: Iterable[IPv4Network], state: str) -> set[str]:
    """Processes that labctl has left in the background, and the engine's for a container or a port of the lab."""
    found = set()
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            # A process that is not ours to look into cannot be one that we started.
            is_labctls = process.pid not in own and process.environ().get("LABCTL_STATE") == state
        except psutil.Error:
            continue
        is_proxy = bool(words) and words[0].endswith("docker-proxy")
        serves = is_proxy and any(ip_address(at) in net for at in _addresses(" ".join(words)) for net in free)
        if is_labctls or serves or any(word in traces.containers for word in words):
            found.add(f"{process.pid} {' '.join(words)[:80]}")
    return found
