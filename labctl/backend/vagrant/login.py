"""How labctl logs in to a lab's machines: with the box's well-known key at first, with the lab's own ever after."""

from __future__ import annotations

from pathlib import Path

from labctl.backend.vagrant.labfile import USER, Machine, VmLab, folder_of
from labctl.backend.vagrant.reach import SSH_PORT
from labctl.backend.vagrant.tool import insecure_key
from labctl.state import lab_path
from labctl.transport.known_hosts import entry_name
from labctl.transport.ssh import Ssh

__all__ = ["FIRST_LOGIN", "first_login", "login"]

# Seconds that a machine which takes connections may refuse a login: while it makes its keys, or goes on all at once.
FIRST_LOGIN = 60.0


def login(lab: VmLab, machine: Machine, *, patience: float = 0.0) -> Ssh:
    """The way in to a machine that is a node; for `patience` seconds it may take connections and no login."""
    return _ssh(lab, machine, lab_path(lab.lab) / "id_ed25519", patience=patience)


def first_login(lab: VmLab, machine: Machine, *, at: str = "", port: int = SSH_PORT) -> Ssh:
    """The way in at the first boot; the machine's host key is written down. Raises NodeDown, LabError.

    `at` is for a machine that has not got its address yet; its key is written down under that all the same.
    """
    transport = _ssh(lab, machine, insecure_key(), patience=FIRST_LOGIN, at=at, port=port)
    transport.pin()
    return transport


def _ssh(lab: VmLab, machine: Machine, key: Path, *, patience: float = 0.0, at: str = "", port: int = SSH_PORT) -> Ssh:
    return Ssh(
        at or machine.address,
        node=machine.name,
        user=USER,
        key=key,
        known_hosts=folder_of(lab.lab) / "known_hosts",
        port=port,
        sudo=True,
        alias=entry_name(machine.address, SSH_PORT) if at else "",
        patience=patience,
    )
