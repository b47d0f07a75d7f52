"""Who can run virtual machines here: VirtualBox, Hyper-V, libvirt (with KVM, or emulated)."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import HostError, UsageError
from labctl.host.kvm import kvm_problem
from labctl.host.machine_facts import which
from labctl.spec.choices import PROVIDERS

__all__ = ["Provider", "choose_provider", "find_providers", "vagrant_version"]

LIBVIRT_SOCKETS = tuple(Path(f"/var/run/libvirt/{name}") for name in ("libvirt-sock", "virtqemud-sock"))
LIMIT = 20.0  # seconds that a tool may take to say its version; PowerShell is slow to wake
DOCTOR = "`labctl doctor --backend vagrant` tells how to get one; `--backend dind` needs none."

Ask = Callable[[Sequence[str]], str | None]


@dataclass(frozen=True)
class Provider:
    """A provider as it is here. `problem` is empty when it can run machines; `notice` is worth knowing all the same."""

    name: str
    version: str = ""
    problem: str = ""
    fix: str = ""
    driver: str = ""  # libvirt: kvm or qemu
    notice: str = ""

    @property
    def usable(self) -> bool:
        """Whether it can run machines."""
        return not self.problem


def find_providers(ask: Ask | None = None) -> list[Provider]:
    """Look at each provider, best first."""
    said = ask or asked
    return [_libvirt(said), _virtualbox(said), _hyperv(said)]


def choose_provider(wanted: str | None = None, ask: Ask | None = None) -> Provider:
    """Return the provider that was asked for, or the first that can run machines.

    Raises UsageError for one that labctl does not know, HostError when it (or none) can be used.
    """
    if wanted is not None and wanted not in PROVIDERS:
        raise UsageError(f"no provider {wanted!r}: {', '.join(PROVIDERS)}")
    if vagrant_version(ask) is None:
        raise HostError("Vagrant is not installed", hint=DOCTOR)
    found = find_providers(ask)
    if wanted is not None:
        provider = next(one for one in found if one.name == wanted)
        if provider.problem:
            raise HostError(f"{wanted} cannot run machines here: {provider.problem}", hint=provider.fix or DOCTOR)
        return provider
    usable = next((one for one in found if one.usable), None)
    if usable is None:
        reasons = "; ".join(f"{one.name}: {one.problem}" for one in found)
        raise HostError(f"no provider can run machines here: {reasons}", hint=DOCTOR)
    return usable


def vagrant_version(ask: Ask | None = None) -> str | None:
    """The version of the Vagrant that is installed; None for none."""
    said = (ask or asked)(["vagrant", "--version"])
    return None if said is None else said.strip().removeprefix("Vagrant ") or "?"


def asked(command: Sequence[str]) -> str | None:
    """What a program prints; None when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _libvirt(ask: Ask) -> Provider:
    if platform.system() != "Linux":
        return Provider("libvirt", problem="it is Linux's own")
    version = (ask(["libvirtd", "--version"]) or ask(["virtqemud", "--version"]) or "").strip().rpartition(" ")[2]
    if not version:
        return Provider("libvirt", problem="it is not installed", fix="`labctl doctor --backend vagrant --fix`")
    problem = _libvirt_silence()
    if problem:
        return Provider("libvirt", version, problem, fix="`labctl doctor --backend vagrant --fix` starts it")
    if ask(["qemu-system-x86_64", "--version"]) is None:
        return Provider("libvirt", version, "QEMU is not installed", fix="`labctl doctor --backend vagrant --fix`")
    if which("dnsmasq") is None:
        fix = "`labctl doctor --backend vagrant --fix`"
        return Provider("libvirt", version, "dnsmasq, which its networks need, is not installed", fix=fix)
    kvm = kvm_problem()
    if kvm:
        return Provider("libvirt", version, driver="qemu", notice=f"{kvm}; machines are emulated, and slow")
    return Provider("libvirt", version, driver="kvm")


def _libvirt_silence() -> str:
    """Why libvirt does not take connections; empty when it does."""
    if sys.platform == "win32":
        return "it is Linux's own"
    reason = "it does not run"
    for path in LIBVIRT_SOCKETS:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(2)
                client.connect(str(path))
                return ""
        except PermissionError:
            reason = "this user may not use it (`sudo usermod -aG libvirt $USER`, then log in again)"
        except OSError:
            continue
    return reason


def _virtualbox(ask: Ask) -> Provider:
    said = ask(["VBoxManage", "--version"])
    if said is None:
        return Provider("virtualbox", problem="it is not installed", fix="https://www.virtualbox.org/wiki/Downloads")
    lines = said.strip().splitlines()
    version = lines[-1] if lines else "?"
    if "WARNING" in said:
        return Provider("virtualbox", version, "its kernel module is not loaded", fix="`sudo /sbin/vboxconfig`")
    return Provider("virtualbox", version)


def _hyperv(ask: Ask) -> Provider:
    if platform.system() != "Windows":
        return Provider("hyperv", problem="it is Windows' own")
    said = ask(["powershell", "-NoProfile", "-Command", "(Get-Service vmms).Status"])
    if said is None or "Running" not in said:
        how = "`Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All` in an elevated PowerShell"
        return Provider("hyperv", problem="it is not switched on", fix=how)
    return Provider("hyperv", said.strip())
