"""The lab as faults see it, and a fault for as long as a block runs."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.errors import LabctlError, NotFoundError, UsageError
from labctl.events import Noted
from labctl.faults import Injected, Scene, as_keyword, kind_named, pick, planned, seconds_of, tend
from labctl.lab.choosing import Nodes, chosen
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.faults.model import Word
    from labctl.lab.core import LabCore

__all__ = ["OptionValue", "injected", "other_side", "scene_of", "targets", "tend_services"]

OptionValue = str | int | float | Node | Iterable[str | Node]


def scene_of(lab: LabCore) -> Scene:
    """The lab as faults see it, as it is now."""
    now = lab.refresh()
    sizes = {spec.name: spec.memory_bytes for spec in now.spec.all_nodes()}

    return Scene(
        now.name,
        now.record.subnet or now.spec.subnet or "",
        now.nodes,
        now.backend,
        now.swarm,
        lambda names: _try_with(now.refresh(), names),
        lambda node: sizes.get(node.name),
        now.context.emit,
        lambda names: _meet(now.refresh(), names),
        lambda node: _await_missed(now, node),
        swarmed=now.spec.swarm == "formed",
    )


def _try_with(lab: LabCore, names: Sequence[str]) -> None:
    """Try the lab with nodes that have come back, and mend what they missed.

    One that somebody stops while this waits for its turn is left alone.
    """
    from labctl.events import Steps
    from labctl.lab.waking import WAKE_STEPS, wake

    with lab._changing(None) as held:
        back = [node for node in held.nodes if node.name in names and node.is_running]
        if back:
            wake(held, back, Steps(held.context.emit, total=WAKE_STEPS), held.backend.start)
            tend_services(held)


def tend_services(lab: LabCore) -> None:
    """Heal services whose time is over, and give managers that were started again the lease of the others."""
    if lab.spec.swarm != "formed":
        return
    with contextlib.suppress(LabctlError):  # who starts nodes need not hear of services
        tend(scene_of(replace(lab)))


def _meet(lab: LabCore, names: Sequence[str]) -> None:
    """Let the engines of nodes that were apart hear of the others at once: by themselves they take up to a minute."""
    from labctl.lab.gossip import exchange, meet
    from labctl.swarm.cluster import DECISION_LIMIT

    def note(text: str) -> None:
        lab.context.emit(Noted(text))

    serving = [node for node in lab.nodes if node.is_running and lab.spec.joins(node.name)]
    with contextlib.suppress(LabctlError):  # where no manager answers there is more to mend, and `status` tells it
        meet(lab.manager(limit=DECISION_LIMIT), serving, note)
        exchange([node for node in serving if node.name in names])


def _await_missed(lab: LabCore, node: Node) -> None:
    """Wait until the engines of the others have missed a node that was killed: back before, it loses its place."""
    from labctl.lab.gossip import wait_missed

    if lab.spec.joins(node.name):
        others = [other for other in lab.refresh().nodes if other.name != node.name]
        wait_missed(node, others, lambda text: lab.context.emit(Noted(text)))


def other_side(lab: LabCore, names: Sequence[str], said: Nodes | None) -> str:
    """The nodes that a partition keeps these from: all others where none is said. Raises UsageError for none."""
    far = [node.name for node in (lab.nodes if said is None else chosen(lab, said))]
    if said is not None and (both := sorted(set(far) & set(names))):
        raise UsageError(f"{', '.join(both)} cannot be on both sides")
    other = [name for name in far if name not in names]
    if not other:
        raise UsageError("nobody is left on the other side", hint="Name fewer nodes.")
    return ",".join(other)


def targets(
    lab: LabCore,
    nodes: Nodes | None,
    *,
    label: str | None = None,
    service: str | None = None,
    share: str = "",
    seed: str = "",
    word: Word = as_keyword,
) -> list[Node]:
    """The nodes that names, a label of the swarm and a service mean, all three at once; or those that are picked.

    Raises NotFoundError for a node or service that there is not, UsageError for a pick that cannot be.
    """
    found = chosen(lab, nodes)
    if label is not None:
        labelled = _labelled(lab, label)
        found = [node for node in found if node.name in labelled]
    if service is not None:
        hosts = _hosts_of(lab, service)
        found = [node for node in found if node.name in hosts]
    return pick(found, share, seed, word) if found else []


def _labelled(lab: LabCore, label: str) -> set[str]:
    key, _, value = label.partition("=")
    return {node.hostname for node in lab.swarm().nodes() if node.labels.get(key) == value}


def _hosts_of(lab: LabCore, service: str) -> set[str]:
    """The nodes that run a task of a service."""
    view = lab.swarm()
    hosts = {node.id: node.hostname for node in view.nodes()}
    if view.service(service) is None:
        raise NotFoundError("service", service, [one.name for one in view.services()])
    return {hosts.get(task.node_id, "") for task in view.tasks([service]) if task.state == "running"}


def injected(
    lab: LabCore,
    kind: str,
    on: Nodes,
    seconds: float | str | None,
    options: Mapping[str, OptionValue],
    *,
    sure: bool,
) -> Injected:
    """The fault, which begins with the block that it is given to."""
    found, given = kind_named(kind), dict(options)
    if isinstance(on, bool | int | float):
        raise UsageError(f"on={on!r}: expected {found.acts_on}s, or their names")
    lasts = _seconds(seconds)
    far = given.pop("from_", given.pop("from", None)) if kind == "partition" else None
    said = {name: _text(name, value) for name, value in given.items()}
    if found.acts_on == "node":
        names = [node.name for node in chosen(lab, on)]
    else:
        names = [_service(one) for one in ([on] if isinstance(on, str | Node) else on)]
    if not names:
        raise UsageError(f"on=: the fault {kind} acts on a {found.acts_on}, and there is none")
    if kind == "partition":
        said["from"] = other_side(lab, names, None if far in (None, "") else _nodes(far))
    scene = scene_of(lab)
    scene.word = as_keyword
    return Injected(scene, planned(found, names, said, lasts, as_keyword), sure)


def _seconds(said: float | str | None) -> float | None:
    """How long a fault lasts: a number of seconds, or a text such as 30s."""
    if said is None:
        return None
    if isinstance(said, str):
        return seconds_of(said)
    if isinstance(said, bool) or not _is_time(said):
        raise UsageError(
            f"seconds={said!r} is no time", hint="For example: 30, 0.5 or '5m'; None for until it is healed."
        )
    return float(said)


def _is_time(said: object) -> bool:
    return isinstance(said, int | float) and 0 < said < math.inf


def _text(name: str, value: OptionValue) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{name}={value!r}: expected a text or a number, as `labctl fault list` has it")
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def _nodes(value: OptionValue) -> Nodes:
    if isinstance(value, bool | int | float):
        raise UsageError(f"from={value!r}: expected nodes, or their names")
    return value


def _service(one: object) -> str:
    if not isinstance(one, str):
        raise UsageError(f"on={one!r}: this fault acts on a service: say its name")
    return one
