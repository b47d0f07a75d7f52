"""What a machine that has just booted is given: the files that make it a node, over SSH."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from labctl.backend.base import NodePlan
from labctl.backend.daemon import ENGINE_PORT, fitted
from labctl.backend.node_files import HOMES, HOST_CERTIFICATE, NodeFiles
from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.engine.client import tar_of
from labctl.errors import LabError, NotFoundError
from labctl.node import Node
from labctl.spec.addresses import gateway
from labctl.spec.names import short
from labctl.transport import Transport
from labctl.waiting import patience

__all__ = ["Provision", "engine_url", "fit", "give", "hosts_file", "shown_key", "tell_hosts"]

# Makes what a copy of labctl's own box is of a node's machine; the key is the one that opens it. Once the event is set,
# nobody wants it any more.
Provision = Callable[[Node, Path, threading.Event], None]

LIMIT = 300.0  # seconds; an emulated machine takes half a minute for its engine's first start, a crowded one minutes
MARK = "# labctl: the machines of this lab, and what is beside them"
HOSTS = f"sed -i '/{MARK}/,$d' /etc/hosts && cat /etc/labctl/hosts >> /etc/hosts"
# The engine is started again only when its configuration, its keys or its unit changed.
SCRIPT = r"""
set -e
before=$(cat {watched} 2>/dev/null | sha256sum)
shown=$(cat {certificate} 2>/dev/null || :)
tar -x -C / -f -
hostname {host}; echo {host} > /etc/hostname
install -d -m 700 -o {user} -g {user} /home/{user}/.ssh
install -m 600 -o {user} -g {user} /etc/labctl/authorized_keys /home/{user}/.ssh/authorized_keys
sed -i '/^127\.0\.[1-9]\.1[[:space:]]/d' /etc/hosts
{hosts}
{homes}
[ "$shown" = "$(cat {certificate} 2>/dev/null)" ] || systemctl reload ssh
if [ "$before" != "$(cat {watched} | sha256sum)" ] || ! systemctl is-active -q docker; then
  systemctl restart docker
fi
"""
WATCHED = "/etc/docker/daemon.json /etc/labctl/tls/cert.pem"


def give(transport: Transport, machine: Machine, lab: VmLab, files: NodeFiles, *, user: str) -> None:
    """Make the machine that `transport` reaches a node of the lab. Run again with the same files it changes nothing.

    Raises LabError with what the machine said.
    """
    whole = {**files, "etc/labctl/hosts": (hosts_file(lab).encode(), 0o644)}
    script = SCRIPT.format(
        watched=WATCHED,
        host=machine.hostname,
        user=user,
        hosts=HOSTS,
        homes=HOMES,
        certificate=f"/{HOST_CERTIFICATE}",
    )
    _run(transport, machine, script, tar_of(whole))


def shown_key(transport: Transport) -> bytes:
    """The public host key that the machine made for itself, for the lab's CA to sign; empty where it made none."""
    try:
        return transport.get("/etc/ssh/ssh_host_ed25519_key.pub")
    except NotFoundError:
        return b""


def fit(transport: Transport, plan: NodePlan, note: Callable[[str], None]) -> NodePlan:
    """Make the plan one for the engine that the machine has, which is its release's own."""
    said = transport.run(["dockerd", "--version"], limit=LIMIT).stdout
    config, left_out = fitted(plan.engine_config, said)
    for key in left_out:
        note(f"{plan.spec.name}: its engine ({said.strip()}) does not know {key}, which is left out")
    return replace(plan, engine_config=config)


def tell_hosts(transport: Transport, machine: Machine, lab: VmLab) -> None:
    """Let a machine know the lab's machines by name, those that came later too."""
    files = {"etc/labctl/hosts": (hosts_file(lab).encode(), 0o644)}
    _run(transport, machine, f"tar -x -C / -f - && {HOSTS}", tar_of(files))


def hosts_file(lab: VmLab) -> str:
    """The lines of /etc/hosts: the nodes, and the registry and mirrors at this host's end of the network."""
    lines = [MARK, f"{gateway(lab.subnet)} registry mirror hub"]
    first = next((node.name for node in lab.nodes if node.role == "manager"), None)
    names = [node.name for node in lab.nodes]
    for node in lab.nodes:
        alias = ["manager"] if node.name == first and node.name != "manager" else []
        lines.append(" ".join([node.address, node.name, *alias, *short(node.name, names)]))
    return "\n".join(lines) + "\n"


def _run(transport: Transport, machine: Machine, script: str, archive: bytes) -> None:
    limit = LIMIT * patience()
    result = transport.run(["/bin/sh", "-c", script], limit=limit, stdin=archive)
    if result.timed_out:
        raise LabError(
            f"{machine.name}: it boots, and had not started its engine after {limit:.0f} s",
            hint="Is this host busy? `LABCTL_PATIENCE=3` in the environment makes every limit three times as long.",
        )
    if not result.ok:
        said = result.stderr.strip().splitlines()
        raise LabError(
            f"{machine.name} did not become a node: {'; '.join(said[-3:]) or f'exit code {result.code}'}",
            hint="`labctl up --retain` keeps the machine, to look into it.",
        )


def engine_url(address: str) -> str:
    """Where a machine's engine is reached."""
    return f"tcp://{address}:{ENGINE_PORT}"
