"""What a machine that has just booted is given: the files that make it a node, over SSH."""

from __future__ import annotations

from labctl.backend.daemon import ENGINE_PORT
from labctl.backend.node_files import NodeFiles
from labctl.backend.vagrant.labfile import Machine, VmLab
from labctl.engine.client import tar_of
from labctl.spec.addresses import gateway
from labctl.transport import Transport

__all__ = ["engine_url", "give", "hosts_file", "tell_hosts"]

LIMIT = 120.0  # seconds; an emulated machine takes its time to restart an engine
MARK = "# labctl: the machines of this lab, and what is beside them"
HOSTS = f"sed -i '/{MARK}/,$d' /etc/hosts && cat /etc/labctl/hosts >> /etc/hosts"
# Debian's unit says by a flag where to listen. An engine that finds `hosts` in daemon.json too does not start.
UNIT = """[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd --containerd=/run/containerd/containerd.sock
"""
# The engine is started again only when its configuration, its keys or its unit changed.
SCRIPT = """
set -e
before=$(cat {watched} 2>/dev/null | sha256sum)
tar -x -C / -f -
hostnamectl set-hostname {host} 2>/dev/null || hostname {host}
install -d -m 700 -o {user} -g {user} /home/{user}/.ssh
install -m 600 -o {user} -g {user} /etc/labctl/authorized_keys /home/{user}/.ssh/authorized_keys
sed -i '/127.0.1.1/d' /etc/hosts
{hosts}
if [ "$before" != "$(cat {watched} | sha256sum)" ] || ! systemctl is-active -q docker; then
  systemctl daemon-reload
  systemctl enable -q containerd docker 2>/dev/null || true
  systemctl restart docker
fi
"""
WATCHED = "/etc/docker/daemon.json /etc/labctl/tls/cert.pem /etc/systemd/system/docker.service.d/labctl.conf"


def give(transport: Transport, machine: Machine, lab: VmLab, files: NodeFiles, *, user: str) -> None:
    """Make the machine that `transport` reaches a node of the lab. Run again with the same files it changes nothing.

    Raises CommandFailed with what the machine said.
    """
    whole = {
        **files,
        "etc/labctl/hosts": (hosts_file(lab).encode(), 0o644),
        "etc/systemd/system/docker.service.d/labctl.conf": (UNIT.encode(), 0o644),
    }
    script = SCRIPT.format(watched=WATCHED, host=machine.hostname, user=user, hosts=HOSTS)
    _run(transport, script, tar_of(whole))


def tell_hosts(transport: Transport, lab: VmLab) -> None:
    """Let a machine know the lab's machines by name, those that came later too."""
    files = {"etc/labctl/hosts": (hosts_file(lab).encode(), 0o644)}
    _run(transport, f"tar -x -C / -f - && {HOSTS}", tar_of(files))


def hosts_file(lab: VmLab) -> str:
    """The lines of /etc/hosts: the nodes, and the registry and mirrors at this host's end of the network."""
    lines = [MARK, f"{gateway(lab.subnet)} registry mirror hub"]
    first = next((node.name for node in lab.nodes if node.role == "manager"), None)
    for node in lab.nodes:
        alias = " manager" if node.name == first and node.name != "manager" else ""
        lines.append(f"{node.address} {node.name}{alias}")
    return "\n".join(lines) + "\n"


def _run(transport: Transport, script: str, archive: bytes) -> None:
    from labctl.errors import CommandFailed

    result = transport.run(["/bin/sh", "-c", script], limit=LIMIT, stdin=archive)
    if not result.ok:
        raise CommandFailed("the machine", result)


def engine_url(address: str) -> str:
    """Where a machine's engine is reached."""
    return f"tcp://{address}:{ENGINE_PORT}"
