"""What a bug report needs to know: of this machine, of its engine, of the lab and of each of its nodes."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

from labctl import __version__
from labctl.backend import Backend, LabRecord
from labctl.backend.daemon import DIAGNOSTIC_PORT
from labctl.engine import Engine
from labctl.errors import LabctlError, NodeDown
from labctl.export.archive import Collector
from labctl.kept import read_bytes
from labctl.node import Node
from labctl.spec import labels
from labctl.state import lab_path, state_dir
from labctl.swarm import cluster

__all__ = ["host_collectors", "lab_collectors", "lab_secrets"]

LIMIT = 10.0  # seconds that one engine or one command may take
LOG_LINES = 5000
PACKAGES = ("click", "docker", "cryptography", "pydantic", "rich", "requests", "urllib3", "pytest", "pytest-testinfra")
SWARM_KINDS = ("nodes", "services", "tasks")
GOSSIP = f"http://127.0.0.1:{DIAGNOSTIC_PORT}"
# File in the node's folder of the archive -> command on the node.
COMMANDS = {
    "ip-addr.txt": "ip -details addr",
    "ip-route.txt": "ip route show table all",
    "nft.txt": "nft list ruleset",
    "iptables.txt": "iptables-save",
    "namespaces.txt": 'for n in /run/docker/netns/*; do echo "== $n"; nsenter --net=$n ip -br addr;'
    " nsenter --net=$n nft list ruleset; done",
    "processes.txt": "ps -e -o pid,ppid,user,stat,lstart,time,rss,comm",  # arguments may be secrets
    "mounts.txt": "cat /proc/self/mountinfo",
    "disk.txt": "df -h",
    "cgroups.txt": "cat /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/cgroup.subtree_control",
    "sysctl.txt": "sysctl net.ipv4 net.bridge net.netfilter 2>/dev/null",
    "daemon.json": "cat /etc/docker/daemon.json",
    "mesh.json": "cat /run/labctl/mesh.json",
    # Who gossips, in the cluster and in each overlay.
    "networkdb.txt": f"curl -sS -m 5 {GOSSIP}/clusterpeers;"
    " for n in $(docker network ls -q --no-trunc -f driver=overlay); do"
    f' echo; echo "== $n"; curl -sS -m 5 {GOSSIP}/networkpeers?nid=$n; done',
}


def host_collectors(engine: Engine) -> list[Collector]:
    """Looks at this machine and its engine, which need no lab."""
    quick = Engine(engine.endpoint, where=engine.where, limit=LIMIT)
    return [
        Collector("versions.json", _versions),
        Collector("host/engine-info.json", quick.info),
        Collector("host/engine-version.json", quick.version),
        Collector("host/ip-addr.txt", lambda: _here("ip", "-details", "addr")),
        Collector("host/ip-route.txt", lambda: _here("ip", "route")),
        Collector("last-bug.txt", _last_bug),
    ]


def lab_collectors(engine: Engine, backend: Backend, record: LabRecord) -> list[Collector]:
    """Looks at a lab, whatever of it still answers."""
    quick = Engine(engine.endpoint, where=engine.where, limit=LIMIT)
    lab = record.name
    looks = [
        Collector("lab/spec.json", lambda: asdict(record.spec) if record.spec else {}),
        Collector("lab/containers.json", lambda: quick.containers(labels.of_lab(lab))),
        Collector("lab/networks.json", lambda: quick.networks(labels.of_lab(lab))),
        Collector("lab/volumes.json", lambda: quick.volumes(labels.of_lab(lab))),
        Collector("lab/beside.txt", lambda: _beside(quick, lab)),
        *(Collector(f"swarm/{kind}.json", _swarm_look(record.nodes, kind)) for kind in SWARM_KINDS),
        Collector("swarm/networks.json", lambda: _manager_engine(record.nodes).networks()),
    ]
    for node in record.nodes:
        looks += _node_collectors(quick, backend, node)
    return looks


def lab_secrets(record: LabRecord) -> list[str]:
    """The lab's own secrets, as far as they can be had: the join tokens, every private key and the page's on disk."""
    found: list[str] = []
    try:
        tokens = cluster.tokens(_manager_engine_node(record.nodes))
        found += [tokens.worker, tokens.manager]
    except LabctlError:
        # Without a manager nobody knows the tokens; their form alone gives them away then.
        pass
    folder = lab_path(record.name)
    for file in (file for kind in ("*key.pem", "*ed25519*", "web-session") for file in folder.glob(kind)):
        if file.suffix != ".pub":
            found.append(file.read_text(encoding="utf-8", errors="replace"))
    return found


def _node_collectors(host: Engine, backend: Backend, node: Node) -> list[Collector]:
    place = f"nodes/{node.name}"
    looks = [
        Collector(f"{place}/node.json", lambda: _described(node)),
        Collector(f"{place}/container.json", lambda: host.container(node.machine) or {}),
        Collector(f"{place}/machine.log", lambda: backend.console(node, tail=LOG_LINES)),
        Collector(f"{place}/docker-info.json", lambda: _engine_of(node).info()),
        Collector(f"{place}/docker-ps.json", lambda: _engine_of(node).containers([])),
        Collector(f"{place}/docker-networks.json", lambda: _engine_of(node).networks()),
    ]
    return looks + [Collector(f"{place}/{file}", _command_look(node, command)) for file, command in COMMANDS.items()]


def _described(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "role": node.role,
        "state": node.state,
        "address": node.address,
        "url": node.endpoint.url,
        "machine": node.machine,
    }


def _engine_of(node: Node) -> Engine:
    if not node.is_running:
        raise NodeDown(node.name, node.state)
    return Engine(node.endpoint, where=f"the engine of {node.name}", limit=LIMIT)


def _manager_engine_node(nodes: Sequence[Node]) -> Node:
    return cluster.working_manager(nodes, limit=LIMIT)


def _manager_engine(nodes: Sequence[Node]) -> Engine:
    return _engine_of(_manager_engine_node(nodes))


def _swarm_look(nodes: Sequence[Node], kind: str) -> Callable[[], Any]:
    return lambda: _manager_engine(nodes).swarm_objects(kind)


def _command_look(node: Node, command: str) -> Callable[[], str]:
    def look() -> str:
        result = node.run(command, limit=LIMIT)
        ended = "" if result.ok else f"\n[exit code {result.code}]\n{result.stderr}"
        cut = f"[{read_bytes(result.dropped)} before this were left out]\n" if result.dropped else ""
        return f"{cut}{result.stdout}{ended}"

    return look


def _beside(engine: Engine, lab: str) -> str:
    """What the lab's other containers said: registry, mirror, edges."""
    parts = []
    for found in engine.containers(labels.of_lab(lab)):
        if found["Labels"].get(labels.KIND) != "node":
            parts.append(f"== {found['Names'][0]} ({found['State']})\n{engine.logs(found['Id'], tail=500)}")
    return "\n".join(parts)


def _versions() -> dict[str, Any]:
    packages: dict[str, str] = {}
    for name in PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            packages[name] = "missing"
    return {
        "labctl": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "docker-cli": _here("docker", "--version").strip() if shutil.which("docker") else "none",
        "packages": packages,
    }


def _here(*command: str) -> str:
    """Run a command on this machine; what it says, or why it did not run."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return f"{command[0]}: {problem}"
    return (done.stdout or done.stderr).decode(errors="replace")


def _last_bug() -> str:
    file = state_dir() / "last-bug.txt"
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else "labctl has met no bug of its own\n"
