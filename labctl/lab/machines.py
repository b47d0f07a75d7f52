"""What a lab of virtual machines is made of: a provider that can run them, and a box."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.backend.vagrant import Box, VagrantBackend, refuse_other_provider
from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.pool import in_pool
from labctl.engine import Engine
from labctl.errors import HostError, UsageError
from labctl.events import Emit, Warned
from labctl.host import free_subnet
from labctl.host.kvm import kvm_boots
from labctl.host.providers import Provider, choose_provider
from labctl.images.base import base_problem
from labctl.images.box import Box as BuiltBox
from labctl.images.box import ensure_box, find_box
from labctl.lab.provisioning import provisioner
from labctl.spec.choices import HYPERV_SWITCH
from labctl.state import labs_of_machines

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["claimed", "machine_maker", "refuse_unmakable"]

# VirtualBox 6.1.28 and later give host-only addresses in here alone, unless /etc/vbox/networks.conf says more.
VIRTUALBOX_RANGES = ("192.168.56.0/21",)
# Do on libvirt what Hyper-V makes necessary: one card, and the node's address pinned inside. For trying that.
PIN = "LABCTL_PIN_ADDRESSES"
AMD64 = ("x86_64", "amd64")
# Boxes of a plain Debian, for those who cannot make labctl's.
STOCK = {"libvirt": "debian/bookworm64", "virtualbox": "debian/bookworm64", "hyperv": "generic/debian12"}
# Emulation knows no host processor to pass through; this one is what every emulator has.
EMULATED = {"driver": "qemu", "cpu_mode": "custom", "cpu_model": "qemu64"}


def machine_maker(engine: Engine, spec: LabSpec, emit: Emit, note: Callable[[str], None]) -> VagrantBackend:
    """Find the provider, and choose the box: the lab's own, the one that was asked for, labctl's (built where it is
    missing), or a stock one where this host cannot build.

    Raises HostError when the provider or the box cannot be had, UsageError when the lab's machines are of another box.
    """
    known, provider, standing = _asked_for(spec)
    if provider.notice:
        emit(Warned(provider.notice))
    box = standing or _chosen_box(engine, spec, provider.name, emit, note)
    management = known.management if known is not None else ""
    if provider.name == "libvirt" and not management:
        management = free_subnet(engine, taken=claimed())
    kernel = _a_kernel(provider.name) if provider.driver == "kvm" else None
    if kernel is not None and not kvm_boots(kernel):
        emit(Warned("KVM is there and hangs with a kernel; machines are emulated, and slow"))
        provider = replace(provider, driver="qemu")
    driver = EMULATED if provider.driver == "qemu" else {"driver": "kvm"} if provider.driver else {}
    return VagrantBackend(
        provider=provider.name,
        box=box,
        driver=driver,
        within=VIRTUALBOX_RANGES if provider.name == "virtualbox" else (),
        management=management,
        pinned=provider.name == "hyperv" or os.environ.get(PIN) == "1",
        switch=os.environ.get(HYPERV_SWITCH) or None,
        provision=provisioner(note),
        emit=emit,
        note=note,
    )


def refuse_unmakable(spec: LabSpec) -> None:
    """Raise what `machine_maker` would before it builds anything, and what is refused of a lab that stands."""
    known, provider, standing = _asked_for(spec)
    refuse_other_provider(known, provider.name)
    if standing is None and spec.box is None:
        _refuse_other_processor()


def _asked_for(spec: LabSpec) -> tuple[VmLab | None, Provider, Box | None]:
    """The lab as it is written down, the provider for it, and the box that its machines are copies of."""
    known = VmLab.load(spec.name)
    provider = choose_provider(spec.provider or (known.provider if known else None))
    return known, provider, _standing_box(spec, known)


def claimed() -> list[str]:
    """The subnets of the labs of virtual machines, those that are down too: no route of this machine shows them."""
    labs = [known for name in labs_of_machines() if (known := VmLab.load(name)) is not None]
    return [subnet for known in labs for subnet in (known.subnet, known.management) if subnet]


def _standing_box(spec: LabSpec, known: VmLab | None) -> Box | None:
    """The box that the lab's machines are copies of; None where there are none."""
    if known is None or known.box is None or not known.nodes:
        return None
    if spec.box is not None and spec.box != known.box.name:
        raise UsageError(
            f"the machines of lab {spec.name} are copies of the box {known.box.name}, not of {spec.box}",
            hint=f"Leave --box out, or remove them first: `labctl down -l {spec.name}`.",
        )
    return known.box


def _chosen_box(engine: Engine, spec: LabSpec, provider: str, emit: Emit, note: Callable[[str], None]) -> Box:
    if spec.box is not None:
        return Box(spec.box, is_prepared=False)
    _refuse_other_processor()
    if find_box(provider) is None and (problem := base_problem(engine)):
        stock = STOCK[provider]
        emit(
            Warned(
                f"labctl's box cannot be made here ({problem}); {stock} is taken and provisioned, which takes longer"
            )
        )
        return Box(stock, is_prepared=False)
    return _box(ensure_box(engine, provider, emit, note))


def _refuse_other_processor() -> None:
    if platform.machine().lower() not in AMD64:
        raise HostError(
            f"labctl's box is for amd64, and this machine is {platform.machine()}",
            hint="`labctl up --backend vagrant --box NAME` takes one that is made for it; containers need none.",
        )


def _a_kernel(provider: str) -> Path | None:
    """A kernel to try KVM with: the one of labctl's box, else one of this host's."""
    built = find_box(provider)
    if built is not None and built.kernel is not None:
        return built.kernel
    own = sorted(path for path in Path("/boot").glob("vmlinuz-*") if os.access(path, os.R_OK))
    return own[-1] if own else None


def _box(built: BuiltBox) -> Box:
    return Box(
        name=built.name,
        url=built.file.as_uri(),
        kernel=in_pool(built.kernel) if built.kernel else None,
        initrd=in_pool(built.initrd) if built.initrd else None,
        cmd_line=built.cmd_line or None,
    )
