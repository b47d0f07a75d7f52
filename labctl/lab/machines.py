"""What a lab of virtual machines is made of: a provider that can run them, and a box."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from labctl.backend.vagrant import Box, VagrantBackend
from labctl.backend.vagrant.labfile import VmLab
from labctl.engine import Engine
from labctl.events import Emit, Warned
from labctl.host.providers import Provider, choose_provider

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["machine_maker"]

# Emulation knows no host processor to pass through; this one is what every emulator has.
EMULATED = {"driver": "qemu", "cpu_mode": "custom", "cpu_model": "qemu64"}


def machine_maker(engine: Engine, spec: LabSpec, emit: Emit, note: Callable[[str], None]) -> VagrantBackend:
    """Find the provider and build the box where it is missing. Raises HostError when one of them cannot be had."""
    known = VmLab.load(spec.name)
    provider = choose_provider(spec.provider or (known.provider if known else None))
    if provider.notice:
        emit(Warned(provider.notice))
    has_box = known is not None and known.box is not None and bool(known.nodes)
    box = known.box if known is not None and has_box else _box(engine, provider, emit, note)
    driver = EMULATED if provider.driver == "qemu" else {"driver": "kvm"} if provider.driver else {}
    return VagrantBackend(provider=provider.name, box=box, driver=driver, emit=emit, note=note)


def _box(engine: Engine, provider: Provider, emit: Emit, note: Callable[[str], None]) -> Box:
    from labctl.images.box import ensure_box

    built = ensure_box(engine, provider.name, emit, note)
    return Box(
        name=built.name,
        url=built.file.as_uri(),
        kernel=str(built.kernel) if built.kernel else None,
        initrd=str(built.initrd) if built.initrd else None,
        cmd_line=built.cmd_line or None,
    )
