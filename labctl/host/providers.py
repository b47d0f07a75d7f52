"""Who can run virtual machines here: VirtualBox, Hyper-V, libvirt (with KVM, or emulated)."""

from __future__ import annotations

import platform
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import HostError, UsageError
from labctl.host.kvm import kvm_problem
from labctl.host.machine_facts import which
from labctl.host.programs import find_program
from labctl.spec.choices import PROVIDERS

__all__ = ["Provider", "choose_provider", "find_providers", "vagrant_version"]

LIBVIRT_SOCKETS = tuple(Path(f"/var/run/libvirt/{name}") for name in ("libvirt-sock", "virtqemud-sock"))
VIRTUALBOX = "https://www.virtualbox.org/wiki/Downloads"
VAGRANT = "https://developer.hashicorp.com/vagrant/install"
OLDEST_VIRTUALBOX = (7, 0)  # whose options the Vagrantfile uses
# From which Vagrant on a VirtualBox is known: its CHANGELOG, GH-13709, GH-13513 and GH-12947.
KNOWN_SINCE = (((7, 2), (2, 4, 9)), ((7, 1), (2, 4, 2)), ((7, 0), (2, 3, 2)))
IS_ELEVATED = (
    "([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent())"
    ".IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)"
)
LIMIT = 20.0  # seconds that a tool may take to say its version; PowerShell is slow to wake
CONTAINERS = "Containers need none: leave out --driver (-d), or --backend vagrant."
DOCTOR = f"`labctl doctor --backend vagrant` tells how to get one. {CONTAINERS}"

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


def find_providers(ask: Ask | None = None, *, vagrant: str | None = None) -> list[Provider]:
    """Look at each provider, best first. `vagrant` is Vagrant's version where it is known: to ask takes a second."""
    said = ask or asked
    return [_libvirt(said), _virtualbox(said, vagrant), _hyperv(said)]


def choose_provider(wanted: str | None = None, ask: Ask | None = None) -> Provider:
    """Return the provider that was asked for, or the first that can run machines.

    Raises UsageError for one that labctl does not know, HostError when it (or none) can be used.
    """
    if wanted is not None and wanted not in PROVIDERS:
        raise UsageError(f"no provider {wanted!r}: {', '.join(PROVIDERS)}")
    vagrant = vagrant_version(ask)
    if vagrant is None:
        raise HostError("Vagrant is not installed", hint=DOCTOR)
    found = find_providers(ask, vagrant=vagrant)
    if wanted is not None:
        provider = next(one for one in found if one.name == wanted)
        if provider.problem:
            hint = f"{CONTAINERS} To have it: {provider.fix}" if provider.fix else DOCTOR
            raise HostError(f"{wanted} cannot run machines here: {provider.problem}", hint=hint)
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
    program = find_program(command[0])
    if program is None:
        return None
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=LIMIT, check=False)
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


def _virtualbox(ask: Ask, vagrant: str | None) -> Provider:
    said = ask(["VBoxManage", "--version"])
    if said is None:
        return Provider("virtualbox", problem="it is not installed", fix=VIRTUALBOX)
    lines = said.strip().splitlines()
    version = lines[-1] if lines else "?"
    if "WARNING" in said:
        return Provider("virtualbox", version, "its kernel module is not loaded", fix="`sudo /sbin/vboxconfig`")
    number = _numbers(version)[:2]
    if number and number < OLDEST_VIRTUALBOX:
        return Provider("virtualbox", version, f"{version} is too old, its machines need 7.0", fix=VIRTUALBOX)
    knowing = next((since for known, since in KNOWN_SINCE if number >= known), ())
    if knowing and _numbers(vagrant or vagrant_version(ask) or "") < knowing:
        needed = ".".join(str(part) for part in knowing)
        return Provider("virtualbox", version, f"{version} is known to Vagrant from {needed} on", fix=VAGRANT)
    return Provider("virtualbox", version)


def _hyperv(ask: Ask) -> Provider:
    if platform.system() != "Windows":
        return Provider("hyperv", problem="it is Windows' own")
    said = ask(["powershell", "-NoProfile", "-Command", f"(Get-Service vmms).Status; {IS_ELEVATED}"])
    if said is None or "Running" not in said:
        how = "`Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All` in an elevated PowerShell"
        return Provider("hyperv", problem="it is not switched on", fix=how)
    if "False" in said:
        problem = "this shell is not elevated, and this host's end of the machines' network takes that"
        return Provider("hyperv", "on", problem, fix="open a terminal by `Run as administrator`")
    return Provider("hyperv", "on")


def _numbers(version: str) -> tuple[int, ...]:
    """7.0.20r163906 as (7, 0, 20)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
