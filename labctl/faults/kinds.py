"""The kinds of faults that there are."""

from __future__ import annotations

from labctl.errors import NotFoundError
from labctl.faults.model import Kind
from labctl.faults.network import BlackHole, Block, Cut, Delay, Loss, Partition, Rate
from labctl.faults.power import Kill, Pause, Stop
from labctl.faults.services import BadImage, KillTasks, Unhealthy
from labctl.faults.strain import Cpu, Disk, EngineStop, Memory

__all__ = ["KINDS", "healed_by", "kind_named"]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Stop(), Kill(), Pause(), EngineStop(),
        Cut(), Partition(), Block(), Loss(), Rate(), Delay(), BlackHole(),
        Disk(), Memory(), Cpu(),
        KillTasks(), BadImage(), Unhealthy(),
    )
}  # fmt: skip


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises NotFoundError with the nearest."""
    if name not in KINDS:
        raise NotFoundError("fault", name, KINDS, hint="`labctl fault list` tells what each does.")
    return KINDS[name]


def healed_by(healer: str) -> dict[str, Kind]:
    """The kinds that one place heals: what another place says of them is not true."""
    return {name: kind for name, kind in KINDS.items() if kind.healer == healer}
