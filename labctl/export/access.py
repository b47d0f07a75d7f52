"""How other programs log in to the nodes: an SSH configuration, an Ansible inventory."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labctl.errors import LabError, UsageError
from labctl.node import Node
from labctl.state import lab_path, write_private
from labctl.transport.ssh import Ssh

__all__ = ["Connection", "inventory", "ssh_config"]

Connection = Literal["ssh", "docker"]
PORT = 22
KNOWN_HOSTS = "known_hosts"


@dataclass(frozen=True)
class _Access:
    """How to log in to a node. `alias` is the name of its host key, where that is not its address."""

    address: str
    port: int
    user: str
    key: Path
    known_hosts: Path
    alias: str
    needs_sudo: bool


def ssh_config(lab: str, nodes: Sequence[Node], *, through_docker: bool = False) -> str:
    """Return a configuration for `ssh -F`: each node under its name, and under its name with the lab's before it.

    `through_docker` goes by `docker exec` instead of the address of a node that is a container, which not every host
    can reach (Docker Desktop). Writes such a lab's known_hosts beside its key. Raises LabError for a lab without SSH
    keys.
    """
    parts = [f"# The nodes of lab {lab}: ssh -F THIS-FILE {nodes[0].name if nodes else 'NODE'}\n"]
    for node in nodes:
        access = _access(lab, node)
        lines = [
            f"HostName {access.address}",
            f"Port {access.port}",
            f"User {access.user}",
            f'IdentityFile "{access.key}"',
            "IdentitiesOnly yes",
            f'UserKnownHostsFile "{access.known_hosts}"',
            *([f"HostKeyAlias {access.alias}"] if access.alias else []),
            "StrictHostKeyChecking yes",
        ]
        if through_docker and _is_container(node):
            lines.append(f"ProxyCommand docker exec -i {node.machine} nc 127.0.0.1 {PORT}")
        parts.append("\n".join([f"Host {node.name} {lab}-{node.name}", *(f"  {line}" for line in lines)]) + "\n")
    return "\n".join(parts)


def inventory(lab: str, nodes: Sequence[Node], *, connection: Connection = "ssh") -> str:
    """Return an Ansible inventory in YAML, with the groups managers and workers.

    With the connection docker, the collection community.docker and a Docker CLI are needed; ssh needs a host that
    reaches the nodes' addresses. Raises LabError for a lab without SSH keys, UsageError for docker and machines.
    """
    from ruamel.yaml import YAML

    groups = {
        group: {"hosts": {node.name: _host(lab, node, connection) for node in nodes if node.is_manager is managers}}
        for group, managers in (("managers", True), ("workers", False))
    }
    every = {"labctl_lab": lab, "ansible_python_interpreter": "/usr/bin/python3"}
    if connection == "docker":
        every |= {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
    else:
        every |= {"ansible_connection": "ssh"}
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump({"all": {"vars": every, "children": groups}}, text)
    return text.getvalue()


def _host(lab: str, node: Node, connection: Connection) -> dict[str, str | int | bool]:
    facts: dict[str, str | int | bool] = {"labctl_address": node.address, "labctl_role": node.role}
    if connection == "docker":
        if not _is_container(node):
            raise UsageError(
                f"{node.name} is a virtual machine, which docker has no way into",
                hint=f"labctl export inventory -l {lab} --connection ssh",
            )
        return {"ansible_host": node.machine, **facts}
    access = _access(lab, node)
    arguments = ["-o", f"UserKnownHostsFile={access.known_hosts}", "-o", "IdentitiesOnly=yes"]
    if access.alias:
        arguments += ["-o", f"HostKeyAlias={access.alias}"]
    become: dict[str, str | int | bool] = {"ansible_become": True} if access.needs_sudo else {}
    return {
        "ansible_host": access.address,
        "ansible_port": access.port,
        "ansible_user": access.user,
        "ansible_ssh_private_key_file": str(access.key),
        "ansible_ssh_common_args": shlex.join(arguments),
        **become,
        **facts,
    }


def _is_container(node: Node) -> bool:
    """A machine is reached by a user of its own, and by sudo; a container by the engine, or as root."""
    return not (isinstance(node.transport, Ssh) and node.transport.uses_sudo)


def _access(lab: str, node: Node) -> _Access:
    """As labctl itself logs in, where it does so by SSH; else by the lab's keys, which each of its containers has."""
    if isinstance(node.transport, Ssh):
        login = node.transport.login
        if not login.key.exists():
            raise _without_keys(lab, login.key.parent)
        if login.alias != _alias(lab):
            sudo = node.transport.uses_sudo
            return _Access(login.address, login.port, login.user, login.key, login.known_hosts, login.alias, sudo)
    folder = _keys(lab)
    return _Access(node.address, PORT, "root", folder / "id_ed25519", folder / KNOWN_HOSTS, _alias(lab), False)


def _alias(lab: str) -> str:
    """All nodes of a lab of containers show one host key, under this name."""
    return f"labctl-{lab}"


def _keys(lab: str) -> Path:
    """The folder with the lab's key, its known_hosts up to date."""
    folder = lab_path(lab)
    host = folder / "ssh_host_ed25519_key.pub"
    if not host.exists() or not (folder / "id_ed25519").exists():
        raise _without_keys(lab, folder)
    kind, key, *_ = host.read_text().split()
    write_private(folder / KNOWN_HOSTS, f"{_alias(lab)} {kind} {key}\n".encode())
    return folder


def _without_keys(lab: str, folder: Path) -> LabError:
    return LabError(
        f"the SSH keys of lab {lab} are not in {folder}",
        hint="Another user made the lab, or LABCTL_STATE was another then.",
    )
