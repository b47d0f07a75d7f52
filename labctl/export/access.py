"""How other programs log in to the nodes: an SSH configuration, an Ansible inventory."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from labctl.errors import LabError
from labctl.node import Node
from labctl.state import lab_path, write_private

__all__ = ["Connection", "inventory", "ssh_config"]

Connection = Literal["ssh", "docker"]
PORT = 22
KNOWN_HOSTS = "known_hosts"


def ssh_config(lab: str, nodes: Sequence[Node], *, through_docker: bool = False) -> str:
    """Return a configuration for `ssh -F`: each node under its name, and under its name with the lab's before it.

    `through_docker` goes by `docker exec` instead of the node's address, which not every host can reach (Docker
    Desktop). Writes the lab's known_hosts beside its key. Raises LabError for a lab without SSH keys.
    """
    folder = _keys(lab)
    parts = [f"# The nodes of lab {lab}: ssh -F THIS-FILE {nodes[0].name if nodes else 'NODE'}\n"]
    for node in nodes:
        lines = [
            f"HostName {node.address}",
            f"Port {PORT}",
            "User root",
            f'IdentityFile "{folder / "id_ed25519"}"',
            "IdentitiesOnly yes",
            f'UserKnownHostsFile "{folder / KNOWN_HOSTS}"',
            f"HostKeyAlias {_alias(lab)}",
            "StrictHostKeyChecking yes",
        ]
        if through_docker:
            lines.append(f"ProxyCommand docker exec -i {node.machine} nc 127.0.0.1 {PORT}")
        parts.append("\n".join([f"Host {node.name} {lab}-{node.name}", *(f"  {line}" for line in lines)]) + "\n")
    return "\n".join(parts)


def inventory(lab: str, nodes: Sequence[Node], *, connection: Connection = "ssh") -> str:
    """Return an Ansible inventory in YAML, with the groups managers and workers.

    With the connection docker, the collection community.docker and a Docker CLI are needed; ssh needs a host that
    reaches the nodes' addresses. Raises LabError for a lab without SSH keys.
    """
    from ruamel.yaml import YAML

    groups = {
        group: {"hosts": {node.name: _host(node, connection) for node in nodes if node.is_manager is managers}}
        for group, managers in (("managers", True), ("workers", False))
    }
    every = {"labctl_lab": lab, "ansible_python_interpreter": "/usr/bin/python3", **_connection(lab, connection)}
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump({"all": {"vars": every, "children": groups}}, text)
    return text.getvalue()


def _host(node: Node, connection: Connection) -> dict[str, str]:
    return {
        "ansible_host": node.machine if connection == "docker" else node.address,
        "labctl_address": node.address,
        "labctl_role": node.role,
    }


def _connection(lab: str, connection: Connection) -> dict[str, str]:
    if connection == "docker":
        return {"ansible_connection": "community.docker.docker", "ansible_user": "root"}
    folder = _keys(lab)
    known = shlex.quote(f"UserKnownHostsFile={folder / KNOWN_HOSTS}")
    return {
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "id_ed25519"),
        "ansible_ssh_common_args": f"-o {known} -o HostKeyAlias={_alias(lab)} -o IdentitiesOnly=yes",
    }


def _alias(lab: str) -> str:
    """All nodes of a lab show one host key, under this name."""
    return f"labctl-{lab}"


def _keys(lab: str) -> Path:
    """The folder with the lab's key, its known_hosts up to date."""
    folder = lab_path(lab)
    host = folder / "ssh_host_ed25519_key.pub"
    if not host.exists() or not (folder / "id_ed25519").exists():
        raise LabError(
            f"the SSH keys of lab {lab} are not in {folder}",
            hint="Another user made the lab, or LABCTL_STATE was another then.",
        )
    kind, key, *_ = host.read_text().split()
    write_private(folder / KNOWN_HOSTS, f"{_alias(lab)} {kind} {key}\n".encode())
    return folder
