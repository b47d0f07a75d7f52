"""This host's end of the network of a lab whose addresses are pinned: one more address on the machines' switch.

A provider that ignores addresses gives this host none either. On Hyper-V the machines' one card is in a switch that
Windows has an end of, `vEthernet (SWITCH)`; that end gets the lab's first address. libvirt is treated so only to try
all this for real. **The commands for Windows have never run.**
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Callable, Sequence

from labctl.backend.vagrant.labfile import VmLab
from labctl.errors import HostError
from labctl.spec.addresses import gateway

__all__ = ["DEFAULT_SWITCH", "lay", "lift", "windows_lay", "windows_lift"]

DEFAULT_SWITCH = "Default Switch"
LIMIT = 60.0  # seconds; PowerShell is slow to wake
Run = Callable[[Sequence[str]], str]


def lay(lab: VmLab, run: Run | None = None) -> None:
    """Give this host its address in the lab's network; one that is there stays. Raises HostError."""
    ask = run if run is not None else _run
    address, prefix = gateway(lab.subnet), ipaddress.IPv4Network(lab.subnet).prefixlen
    if lab.provider == "hyperv":
        ask(windows_lay(lab.switch or DEFAULT_SWITCH, address, prefix))
    elif bridge := _bridge(ask(["virsh", "-q", "-c", "qemu:///system", "net-info", lab.way_in_network])):
        ask(["ip", "address", "replace", f"{address}/{prefix}", "dev", bridge])
    else:
        raise HostError(f"libvirt's network {lab.way_in_network} has no bridge")


def lift(lab: VmLab, run: Run | None = None) -> None:
    """Take that address away again; one that is gone is fine, and libvirt's goes with its network."""
    if lab.provider == "hyperv":
        (run if run is not None else _run)(windows_lift(lab.switch or DEFAULT_SWITCH, gateway(lab.subnet)))


def windows_lay(switch: str, address: str, prefix: int) -> list[str]:
    """The command that gives Windows' end of a switch one address more, until Windows starts anew."""
    end = f"-InterfaceAlias {_quoted(f'vEthernet ({switch})')} -IPAddress {_quoted(address)}"
    return _powershell(
        f"if (-not (Get-NetIPAddress {end} -ErrorAction SilentlyContinue)) "
        f"{{ New-NetIPAddress {end} -PrefixLength {prefix} -PolicyStore ActiveStore | Out-Null }}"
    )


def windows_lift(switch: str, address: str) -> list[str]:
    """The command that takes it away, where it is there."""
    end = f"-InterfaceAlias {_quoted(f'vEthernet ({switch})')} -IPAddress {_quoted(address)}"
    return _powershell(f"Get-NetIPAddress {end} -ErrorAction SilentlyContinue | Remove-NetIPAddress -Confirm:$false")


def _powershell(line: str) -> list[str]:
    return ["powershell", "-NoProfile", "-NonInteractive", "-Command", f"$ErrorActionPreference = 'Stop'; {line}"]


def _quoted(text: str) -> str:
    """PowerShell's plain string: only its own quote means something in it."""
    return "'" + text.replace("'", "''") + "'"


def _bridge(told: str) -> str:
    found = re.search(r"^Bridge:\s+(\S+)", told, re.MULTILINE)
    return found[1] if found else ""


def _run(command: Sequence[str]) -> str:
    what = "giving this host an address in the machines' network"
    hint = "It takes an elevated shell on Windows, and root on Linux."
    try:
        done = subprocess.run(list(command), capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise HostError(f"{what} failed: {problem}", hint=hint) from problem
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[:1] or [f"exit code {done.returncode}"]
        raise HostError(f"{what} failed: {command[0]}: {said[0]}", hint=hint)
    return done.stdout
