"""What a lab of virtual machines is made of: a provider that can run them, and a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.backend.vagrant import Box, VagrantBackend
from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.pool import in_pool
from labctl.engine import Engine
from labctl.events import Emit, Warned
from labctl.host import free_subnet
from labctl.host.kvm import kvm_boots
from labctl.host.providers import choose_provider
from labctl.images.box import Box as BuiltBox
from labctl.images.box import ensure_box
from labctl.state import labs_of_machines

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["claimed", "machine_maker"]

# VirtualBox 6.1.28 and later give host-only addresses in here alone, unless /etc/vbox/networks.conf says more.
VIRTUALBOX_RANGES = ("192.168.56.0/21",)
# Emulation knows no host processor to pass through; this one is what every emulator has.
EMULATED = {"driver": "qemu", "cpu_mode": "custom", "cpu_model": "qemu64"}


def machine_maker(engine: Engine, spec: LabSpec, emit: Emit, note: Callable[[str], None]) -> VagrantBackend:
    """Find the provider and build the box where it is missing. Raises HostError when one of them cannot be had."""
    known = VmLab.load(spec.name)
    provider = choose_provider(spec.provider or (known.provider if known else None))
    if provider.notice:
        emit(Warned(provider.notice))
    has_box = known is not None and known.box is not None and bool(known.nodes)
    built = None if has_box else ensure_box(engine, provider.name, emit, note)
    box = _box(built) if built is not None else known.box if known is not None else None
    management = known.management if known is not None else ""
    if provider.name == "libvirt" and not management:
        management = free_subnet(engine, taken=claimed())
    if provider.driver == "kvm" and built is not None and built.kernel and not kvm_boots(built.kernel):
        emit(Warned("KVM is there and hangs with a kernel; machines are emulated, and slow"))
        provider = replace(provider, driver="qemu")
    driver = EMULATED if provider.driver == "qemu" else {"driver": "kvm"} if provider.driver else {}
    return VagrantBackend(
        provider=provider.name,
        box=box,
        driver=driver,
        within=VIRTUALBOX_RANGES if provider.name == "virtualbox" else (),
        management=management,
        emit=emit,
        note=note,
    )


def claimed() -> list[str]:
    """The subnets of the labs of virtual machines, those that are down too: no route of this machine shows them."""
    labs = [known for name in labs_of_machines() if (known := VmLab.load(name)) is not None]
    return [subnet for known in labs for subnet in (known.subnet, known.management) if subnet]


def _box(built: BuiltBox) -> Box:
    return Box(
        name=built.name,
        url=built.file.as_uri(),
        kernel=in_pool(built.kernel) if built.kernel else None,
        initrd=in_pool(built.initrd) if built.initrd else None,
        cmd_line=built.cmd_line or None,
    )
