"""The files that make a prepared machine one node of one lab: the same for containers and virtual machines."""

from __future__ import annotations

import json

from labctl import pki
from labctl.backend.base import NodePlan
from labctl.backend.daemon import TLS_FOLDER
from labctl.node import ENVIRONMENT_FILE
from labctl.pki import ssh_keys
from labctl.state import lab_dir

__all__ = ["Authorities", "NodeFiles", "node_files"]

NodeFiles = dict[str, tuple[bytes, int]]  # path without its first slash -> content and mode


class Authorities:
    """The labs' CAs, each read or made once."""

    def __init__(self) -> None:
        self._known: dict[str, pki.Authority] = {}

    def of(self, lab: str) -> pki.Authority:
        """The lab's CA."""
        if lab not in self._known:
            self._known[lab] = pki.Authority.load_or_create(lab_dir(lab), lab)
        return self._known[lab]

    def prepare(self, lab: str) -> None:
        """Make or read the lab's CA and SSH keys, ahead of its nodes."""
        self.of(lab)
        ssh_keys(lab)


def node_files(authority: pki.Authority, lab: str, plan: NodePlan) -> NodeFiles:
    """Return the engine's configuration, its keys, and the keys of those who may log in."""
    names = [plan.spec.name, plan.address, "localhost", "127.0.0.1", f"{lab}-{plan.spec.name}", *plan.aliases]
    server = authority.server(f"{plan.spec.name} of {lab}", dict.fromkeys(names))
    keys = ssh_keys(lab)
    environment = "".join(f"{key}={value}\n" for key, value in plan.environment.items())
    config = json.dumps(plan.engine_config, indent=2).encode()
    tls = TLS_FOLDER.strip("/")
    return {
        "etc/docker/daemon.json": (config, 0o644),
        ENVIRONMENT_FILE.strip("/"): (environment.encode(), 0o644),
        "etc/labctl/authorized_keys": (keys.client.certificate, 0o644),
        f"{tls}/ca.pem": (authority.certificate, 0o644),
        f"{tls}/cert.pem": (server.certificate, 0o644),
        f"{tls}/key.pem": (server.key, 0o600),
    }
