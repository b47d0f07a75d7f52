"""This host's end of the network of a lab whose addresses are pinned: one more address on the machines' switch.

A provider that ignores addresses gives this host none either. On Hyper-V the machines' one card is in a switch that
Windows has an end of, `vEthernet (SWITCH)`; that end gets the lab's first address. libvirt is treated so only to try
all this for real. **The commands for Windows have never run.**
"""

from __future__ import annotations

import ipaddress
import re

from labctl.backend.vagrant.commands import Run, powershell, quoted, run_for
from labctl.backend.vagrant.labfile import VmLab
from labctl.errors import HostError
from labctl.spec.addresses import gateway

__all__ = ["DEFAULT_SWITCH", "lay", "lift", "windows_lay", "windows_lift"]

DEFAULT_SWITCH = "Default Switch"
ADDRESSING = run_for("giving this host an address in the machines' network")


def lay(lab: VmLab, ask: Run = ADDRESSING) -> None:
    """Give this host its address in the lab's network; one that is there stays. Raises HostError."""
    address, prefix = gateway(lab.subnet), ipaddress.IPv4Network(lab.subnet).prefixlen
    if lab.provider == "hyperv":
        ask(windows_lay(lab.switch or DEFAULT_SWITCH, address, prefix))
    elif bridge := _bridge(ask(["virsh", "-q", "-c", "qemu:///system", "net-info", lab.way_in_network])):
        ask(["ip", "address", "replace", f"{address}/{prefix}", "dev", bridge])
    else:
        raise HostError(f"libvirt's network {lab.way_in_network} has no bridge")


def lift(lab: VmLab, ask: Run = ADDRESSING) -> None:
    """Take that address away again; one that is gone is fine, and libvirt's goes with its network."""
    if lab.pinned and lab.provider == "hyperv":
        ask(windows_lift(lab.switch or DEFAULT_SWITCH, gateway(lab.subnet)))


def windows_lay(switch: str, address: str, prefix: int) -> list[str]:
    """The command that gives Windows' end of a switch one address more, until Windows starts anew."""
    end = f"-InterfaceAlias {quoted(f'vEthernet ({switch})')} -IPAddress {quoted(address)}"
    return powershell(
        f"if (-not (Get-NetIPAddress {end} -ErrorAction SilentlyContinue)) "
        f"{{ New-NetIPAddress {end} -PrefixLength {prefix} -PolicyStore ActiveStore | Out-Null }}"
    )


def windows_lift(switch: str, address: str) -> list[str]:
    """The command that takes it away, where it is there."""
    end = f"-InterfaceAlias {quoted(f'vEthernet ({switch})')} -IPAddress {quoted(address)}"
    return powershell(f"Get-NetIPAddress {end} -ErrorAction SilentlyContinue | Remove-NetIPAddress -Confirm:$false")


def _bridge(told: str) -> str:
    found = re.search(r"^Bridge:\s+(\S+)", told, re.MULTILINE)
    return found[1] if found else ""
