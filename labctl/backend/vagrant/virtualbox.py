"""VirtualBox's host-only networks, of which Vagrant makes one for each lab and removes none.

Left behind, they hold the few subnets that VirtualBox allows. What VBoxManage prints of them is known from Vagrant's
drivers (version_7_0.rb); **that of macOS, and the removal, have never run**.
"""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv4Network

from labctl.backend.vagrant.commands import Run, run_for
from labctl.backend.vagrant.labfile import VmLab
from labctl.errors import HostError

__all__ = ["forget_network"]

REMOVING = run_for("removing the lab's host-only network")


def forget_network(lab: VmLab, ask: Run = REMOVING) -> None:
    """Remove the host-only network of a lab whose machines are gone. One that cannot be removed is left.

    On Linux and Windows it is an interface of this host with the lab's first address; on macOS, from VirtualBox 7 on, a
    network that begins in the lab's subnet.
    """
    if lab.provider != "virtualbox":
        return
    subnet = IPv4Network(lab.subnet)
    for kind, address, remove in (
        ("hostonlyifs", "IPAddress", ["hostonlyif", "remove"]),
        ("hostonlynets", "LowerIP", ["hostonlynet", "remove", "--name"]),
    ):
        with contextlib.suppress(
            HostError
        ):  # a VirtualBox that is gone, or does not know this kind; one that is in use
            for found in _blocks(ask(["VBoxManage", "list", kind])):
                if _is_in(found.get(address, ""), subnet):
                    ask(["VBoxManage", *remove, found["Name"]])


def _blocks(told: str) -> list[dict[str, str]]:
    """What VBoxManage lists: lines of `Key:   value`, of which each `Name` begins another one."""
    found: list[dict[str, str]] = []
    for line in told.splitlines():
        key, _, value = line.partition(":")
        if key == "Name":
            found.append({})
        if found:
            found[-1][key.strip()] = value.strip()
    return found


def _is_in(address: str, subnet: IPv4Network) -> bool:
    try:
        return IPv4Address(address) in subnet
    except ValueError:
        return False
