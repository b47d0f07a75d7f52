"""Inject, heal and look: what the command line and `lab.fault` do with faults.

None of them holds the lab: a fault may strike while an `up` runs, and no fault waits for one. Only trying the lab with
nodes that are back (after `stop`, `kill`, `pause`) holds it, as `labctl start` does.
"""

from __future__ import annotations

import contextlib
import random
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from labctl.concurrent import each
from labctl.errors import LabctlError, NotFoundError, UsageError, raise_all
from labctl.faults.innode import found_on_nodes
from labctl.faults.model import Fault, Kind, Scene, percent
from labctl.faults.network import BlackHole, Block, Cut, Delay, Loss, Partition, Rate
from labctl.faults.power import Kill, Pause, Stop, found_on_host
from labctl.faults.services import BadImage, KillTasks, Unhealthy, found_on_services
from labctl.faults.strain import Cpu, Disk, EngineStop, Memory
from labctl.node import Node

__all__ = ["KINDS", "Injected", "active", "heal", "inject", "kind_named", "pick", "planned"]

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Stop(), Kill(), Pause(), EngineStop(),
        Cut(), Partition(), Block(), Loss(), Rate(), Delay(), BlackHole(),
        Disk(), Memory(), Cpu(),
        KillTasks(), BadImage(), Unhealthy(),
    )
}  # fmt: skip


# Nodes come back first: what they run can be mended then, and services by managers.
HEALED_IN = ("host", "node", "manager", "nobody")


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises NotFoundError with the nearest."""
    if name not in KINDS:
        raise NotFoundError("fault", name, KINDS, hint="`labctl fault list` tells what each does.")
    return KINDS[name]


def pick(nodes: Sequence[Node], share: str = "", seed: str = "") -> list[Node]:
    """Some of the nodes: a number of them or a share such as 50%, at least one; the same seed picks the same.

    Raises UsageError for what is neither.
    """
    if not share:
        return list(nodes)
    try:
        count = round(percent(share) / 100 * len(nodes)) if share.strip().endswith("%") else int(share)
    except ValueError:
        raise UsageError(f"--share {share}: expected a number of nodes, or a share such as 50%") from None
    if not share.strip().endswith("%") and not 1 <= count <= len(nodes):
        raise UsageError(f"--share {share}: there are {len(nodes)} to pick from")
    names = random.Random(seed or None).sample(  # noqa: S311  # a pick that can be repeated, no secret
        sorted(node.name for node in nodes), max(1, count)
    )
    return [node for node in nodes if node.name in names]


def planned(
    kind: Kind, targets: Iterable[str], options: Mapping[str, str] | None = None, seconds: float | None = None
) -> list[Fault]:
    """The faults that an injection means, one for each target. Raises UsageError for options that the kind has not."""
    given = dict(options or {})
    known = {option.name: option for option in kind.options}
    for name in given:
        if name not in known:
            has = ", ".join(f"--{one}" for one in known) or "none"
            raise UsageError(f"the fault {kind.name} takes no --{name}; it takes {has}")
    said = {name: given.get(name, option.default) for name, option in known.items()}
    for name, value in said.items():
        try:
            known[name].read(value)
        except ValueError as wrong:
            raise UsageError(f"--{name} {value}: {wrong}") from None
    if seconds is not None and kind.healer == "nobody":
        raise UsageError(f"the fault {kind.name} is a single blow: it takes no time", hint="Leave out --for.")
    until = None if seconds is None else time.time() + seconds
    return [Fault(secrets.token_hex(3), kind.name, target, said, until) for target in dict.fromkeys(targets)]


def inject(scene: Scene, faults: Sequence[Fault], *, sure: bool = False) -> list[Fault]:
    """Inject faults of one kind, all at once. When one fails, the others are healed again.

    Raises UsageError when managers would lose their majority, unless `sure`; what the kind refuses; and CommandFailed.
    """
    kind = kind_named(faults[0].kind)
    for fault in faults:
        kind.refuse(scene, fault)
    if kind.breaks_node and not sure:
        _refuse_without_majority(scene, faults)
    try:
        each(faults, lambda fault: kind.inject(scene, fault))
    except BaseException:
        each(faults, lambda fault: _healed(kind, scene, fault))
        raise
    return list(faults)


def active(scene: Scene) -> list[Fault]:
    """The faults that act in the lab now. What has healed otherwise (a node that was started) is forgotten."""
    found = _found(scene)
    acts = each(found, lambda fault: KINDS[fault.kind].is_active(scene, fault))
    for fault, is_active in zip(found, acts, strict=True):
        if not is_active:
            _healed(KINDS[fault.kind], scene, fault)
    return [fault for fault, is_active in zip(found, acts, strict=True) if is_active]


def heal(scene: Scene, ids: Sequence[str] | None = None) -> list[Fault]:
    """Heal the faults of these ids, or all: nodes first, so that managers are back before services; and try the lab.

    Raises NotFoundError for an id that is none; what fails does not keep the others from being healed.
    """
    found = _found(scene)
    known = {fault.id: fault for fault in found}
    for wanted in ids or ():
        if wanted not in known:
            raise NotFoundError("fault", wanted, known, hint=f"`labctl fault status -l {scene.lab}` lists them.")
    chosen = found if ids is None else [known[wanted] for wanted in dict.fromkeys(ids)]
    problems: list[LabctlError] = []

    def heal_one(fault: Fault) -> None:
        try:
            KINDS[fault.kind].heal(scene, fault)
        except LabctlError as problem:
            problems.append(problem)

    for healer in HEALED_IN:
        each([fault for fault in chosen if KINDS[fault.kind].healer == healer], heal_one)
    raise_all(problems)
    _try_with_those_back(scene, chosen)
    return chosen


@dataclass
class Injected:
    """Faults for as long as a block runs: injected when it begins, healed when it ends, whatever ends it."""

    scene: Scene
    faults: Sequence[Fault]
    sure: bool = False

    def __enter__(self) -> Self:
        inject(self.scene, self.faults, sure=self.sure)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()

    def heal(self) -> None:
        """Heal them now; what has healed by itself is fine."""
        each(self.faults, lambda fault: KINDS[fault.kind].heal(self.scene, fault))
        _try_with_those_back(self.scene, self.faults)

    def is_active(self) -> bool:
        """Whether any of them acts now."""
        return any(KINDS[fault.kind].is_active(self.scene, fault) for fault in self.faults)


def _found(scene: Scene) -> list[Fault]:
    """All faults that left a trace, whoever injected them; of a newer labctl's kinds nothing is known."""
    found = [*found_on_nodes(scene), *found_on_host(scene), *found_on_services(scene)]
    return [fault for fault in found if fault.kind in KINDS]


def _try_with_those_back(scene: Scene, healed: Sequence[Fault]) -> None:
    back = [fault.target for fault in healed if KINDS[fault.kind].healer == "host"]
    if back:
        scene.start(back)


def _healed(kind: Kind, scene: Scene, fault: Fault) -> None:
    # The error that led here is the one to tell; `fault heal --all` tries again.
    with contextlib.suppress(LabctlError):
        kind.heal(scene, fault)


def _refuse_without_majority(scene: Scene, faults: Sequence[Fault]) -> None:
    struck = {fault.target for fault in faults}
    managers = [node for node in scene.nodes if node.is_manager]
    staying = [node.name for node in managers if node.is_running and node.name not in struck]
    if any(node.name in struck for node in managers) and len(staying) * 2 <= len(managers):
        names = ", ".join(sorted(node.name for node in managers if node.name in struck))
        raise UsageError(
            f"without {names} the managers have no majority: services go on, and nobody can change them",
            hint="`--yes` does it all the same; `labctl fault heal --all` ends it.",
        )
