"""Whether the managers keep their majority under faults: those that act already, and those that are asked for.

A leader needs more than half of the managers, itself among them, that it reaches. So what counts is the largest
number of managers that one of them still reaches, of all that the swarm has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labctl.errors import LabctlError, UsageError
from labctl.faults.finding import acting, on_host, on_nodes
from labctl.faults.kinds import KINDS
from labctl.faults.model import Fault, Scene, as_flag, percent

__all__ = ["refuse_without_majority"]

RAFT_PORT = "2377"
TOO_LOSSY = 90.0  # percent


def refuse_without_majority(scene: Scene, faults: Sequence[Fault]) -> None:
    """Raise UsageError for faults by which the managers would lose their majority; not where they have none now."""
    if not any(_parts(fault) for fault in faults):
        return
    managers = _managers(scene)
    struck = sorted({fault.target for fault in faults} & set(managers))
    if not struck and not any(_far(fault) & set(managers) for fault in faults):
        return
    up = {node.name for node in scene.now() if node.is_running}
    standing = acting(scene, (on_host(scene) + on_nodes(scene)).faults)
    before = _largest(managers, up, standing)
    after = _largest(managers, up, [*standing, *faults])
    if after * 2 > len(managers) or before * 2 <= len(managers):
        return
    yes = "`--yes`" if scene.word is as_flag else "`sure=True`"
    left = f"{after} of {len(managers)} would reach each other" if after else "none would be left"
    lost = f"without {', '.join(struck)} the managers have" if struck else "the managers would have"
    raise UsageError(
        f"{lost} no majority ({left}): services go on, and nobody can change them",
        hint=f"{yes} does it all the same; `labctl fault heal --all` ends it.",
    )


def _managers(scene: Scene) -> list[str]:
    """Who votes, by the swarm's word; where no manager answers, by what the nodes were made to be."""
    try:
        known = scene.swarm().nodes() if scene.swarmed else []
    except LabctlError:
        known = []
    voting = [node.hostname for node in known if node.role == "manager"]
    return voting or [node.name for node in scene.nodes if node.is_manager]


def _largest(managers: Sequence[str], up: Iterable[str], faults: Iterable[Fault]) -> int:
    faults, lost = list(faults), set[str]()
    apart: set[frozenset[str]] = set()
    for fault in faults:
        if _is_lost(fault):
            lost.add(fault.target)
        apart |= {frozenset((fault.target, other)) for other in _far(fault)}
        if _is_alone(fault):
            apart |= {frozenset((fault.target, other)) for other in managers if other != fault.target}
    there = [name for name in managers if name in set(up) - lost]
    return max(
        (sum(one == other or frozenset((one, other)) not in apart for other in there) for one in there), default=0
    )


def _parts(fault: Fault) -> bool:
    return _is_lost(fault) or _is_alone(fault) or bool(_far(fault))


def _is_lost(fault: Fault) -> bool:
    """Whether nobody in the lab reaches the node any more."""
    return KINDS[fault.kind].breaks_node


def _is_alone(fault: Fault) -> bool:
    """Whether a manager there reaches no other, though other nodes may reach it."""
    options = fault.options
    return (
        (fault.kind == "block" and options.get("port") == RAFT_PORT)
        or (fault.kind == "loss" and percent(options["share"]) >= TOO_LOSSY)
        or fault.kind == "mtu"
    )


def _far(fault: Fault) -> set[str]:
    """The nodes on the other side of a partition."""
    return set(filter(None, fault.options.get("from", "").split(","))) if fault.kind == "partition" else set()
