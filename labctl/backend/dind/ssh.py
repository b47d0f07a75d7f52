"""SSH to nodes that are containers, for a lab that is asked to be reached as machines are."""

from __future__ import annotations

from labctl.state import lab_path
from labctl.transport.known_hosts import HostKey, KnownHosts
from labctl.transport.ssh import Ssh

__all__ = ["ssh_to"]

PATIENCE = 5.0  # seconds: a node's sshd starts beside its engine, and may be the later of the two


def ssh_to(lab: str, node: str, address: str) -> Ssh:
    """Root's way to a node. All nodes of a lab show one host key, which is known before the first of them boots."""
    folder = lab_path(lab)
    # The same name and file as those of `labctl export ssh-config`.
    alias, known = f"labctl-{lab}", KnownHosts(folder / "known_hosts")
    shown = folder / "ssh_host_ed25519_key.pub"
    if shown.exists() and not known.keys(alias):
        known.pin(alias, HostKey.parse(shown.read_text()), node)
    return Ssh(
        address,
        node=node,
        user="root",
        key=folder / "id_ed25519",
        known_hosts=known.file,
        alias=alias,
        patience=PATIENCE,
    )
