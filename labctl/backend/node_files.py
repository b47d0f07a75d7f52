"""The files that make a prepared machine one node of one lab: the same for containers and virtual machines."""

from __future__ import annotations

import base64
import json

from labctl import pki
from labctl.backend.base import NodePlan
from labctl.backend.daemon import REGISTRY, TLS_FOLDER
from labctl.node import ENVIRONMENT_FILE
from labctl.pki import registry_secret, ssh_host_certificate, ssh_keys
from labctl.state import lab_dir

__all__ = ["HOMES", "HOST_CERTIFICATE", "Authorities", "NodeFiles", "node_files"]

NodeFiles = dict[str, tuple[bytes, int]]  # path without its first slash -> content and mode

HOST_CERTIFICATE = "etc/ssh/ssh_host_ed25519_key-cert.pub"
HOME = "etc/labctl/home"
HOMES = "/etc/labctl/homes"  # what a node runs, as root, once it has its files
# What stands there already is its user's own: a node that starts again is not given it anew.
HOMES_SCRIPT = b"""#!/bin/sh
# Gives root and the user docker what labctl put in /etc/labctl/home: the SSH key of the lab's nodes, and
# the way to write to its registry.
cd /etc/labctl/home || exit 0
umask 077
for user in root docker; do
  eval "home=~$user"
  [ -d "$home" ] || continue
  for file in .ssh/id_ed25519 .ssh/id_ed25519.pub .docker/config.json; do
    if [ ! -e "$file" ] || [ -e "$home/$file" ]; then continue; fi
    [ -d "$home/${file%/*}" ] || mkdir "$home/${file%/*}"
    cp "$file" "$home/$file"
    chown "$user:" "$home/${file%/*}" "$home/$file"
  done
done
"""


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
        """Make or read the lab's CA, SSH keys and registry's secret, ahead of its nodes."""
        self.of(lab)
        ssh_keys(lab)
        registry_secret(lab)


def node_files(authority: pki.Authority, lab: str, plan: NodePlan, host_key: bytes = b"") -> NodeFiles:
    """Return the engine's configuration, its keys, and the keys of those who may log in.

    With `host_key`, the public one that the node's sshd shows, the other nodes know the node by it.
    """
    names = [plan.spec.name, plan.address, "localhost", "127.0.0.1", f"{lab}-{plan.spec.name}", *plan.aliases]
    server = authority.server(f"{plan.spec.name} of {lab}", dict.fromkeys(names))
    keys = ssh_keys(lab)
    environment = "".join(f"{key}={value}\n" for key, value in plan.environment.items())
    config = json.dumps(plan.engine_config, indent=2).encode()
    tls = TLS_FOLDER.strip("/")
    return {
        "etc/docker/daemon.json": (config, 0o644),
        ENVIRONMENT_FILE.strip("/"): (environment.encode(), 0o644),
        "etc/labctl/authorized_keys": (keys.client.certificate + keys.node.certificate, 0o644),
        "etc/ssh/ssh_known_hosts": (b"@cert-authority * " + keys.ca.certificate, 0o644),
        **({HOST_CERTIFICATE: (ssh_host_certificate(keys, host_key), 0o644)} if host_key else {}),
        **_home(lab, plan, keys.node),
        f"{tls}/ca.pem": (authority.certificate, 0o644),
        f"{tls}/cert.pem": (server.certificate, 0o644),
        f"{tls}/key.pem": (server.key, 0o600),
    }


def _home(lab: str, plan: NodePlan, key: pki.KeyPair) -> NodeFiles:
    """What users of the node have in their homes: the nodes' key, and the login at the registry, where there is one."""
    files = {
        HOMES.strip("/"): (HOMES_SCRIPT, 0o755),
        f"{HOME}/.ssh/id_ed25519": (key.key, 0o600),
        f"{HOME}/.ssh/id_ed25519.pub": (key.certificate, 0o644),
    }
    trusted = plan.engine_config.get("insecure-registries")
    if isinstance(trusted, list) and REGISTRY in trusted:
        login = base64.b64encode(f"labctl:{registry_secret(lab)}".encode()).decode()
        config = json.dumps({"auths": {REGISTRY: {"auth": login}}}, indent=2).encode()
        files[f"{HOME}/.docker/config.json"] = (config, 0o600)
    return files
