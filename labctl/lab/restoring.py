"""What a lab has lost while its nodes ran on: their names, and an engine's place in the swarm's circle.

The mildest step first, and each is tried: the host's engine takes the names up again, which no container notices; then
the registry starts over, which ends no task. What only a node's new start helps is left to its user.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.backend import Backend, LabRecord
from labctl.concurrent import each
from labctl.engine import Engine
from labctl.errors import LabctlError, LabError
from labctl.events import Emit, Noted
from labctl.lab.addresses import way_back
from labctl.lab.form import start_over
from labctl.lab.gossip import alone_among
from labctl.lab.neighbours import Lost, lost_names
from labctl.node import Node
from labctl.registry import open_registry
from labctl.spec import labels
from labctl.swarm.states import memberships
from labctl.waiting import Pending, wait_until
from labctl.words import some

__all__ = ["restore_circle", "restore_names"]

BESIDE = ("registry", "hub")  # kinds of containers, and the names that nodes find them by
SERVES_WITHIN = 20.0  # seconds that the registry may take to start over


def restore_names(engine: Engine, record: LabRecord, emit: Emit) -> None:
    """Let the nodes of a lab that is held find by name what they find no more.

    Raises LabError for what stays lost, with what helps.
    """
    if record.spec is not None and record.spec.backend != "dind":
        return
    from labctl.backend.dind.renaming import tell_names

    if not (lost := _lost(engine, record)):
        return
    what = f"{some(lost.names, 5)}: found by no node" if lost.names else f"{some(lost.deaf)}: finds nothing by name"
    emit(Noted(f"{what}; this host's engine takes up the lab's names again"))
    tell_names(engine, record.name)
    lost = _lost(engine, record)
    if set(BESIDE) & set(lost.names):
        emit(Noted("the registry is still found by no node: it starts over"))
        _start_registry_over(engine, record.name)
        lost = _lost(engine, record)
    if lost:
        raise LabError("\n".join(_stays_lost(lost, record)))


def restore_circle(nodes: Sequence[Node], backend: Backend, emit: Emit) -> list[Node]:
    """Let engines start over that are of no use to the swarm that they are in, and return their nodes.

    One that joined by hand, or was killed, may not know itself there: no service of its could be reached. One whose
    part in the swarm broke off and began anew, as when a worker is promoted that only knows managers of yesterday,
    goes on saying "error" with no reason (seen on 26.1.5): its tasks run, and each network that is new there is
    refused. Their containers end.
    """
    # An engine that does not answer is left out: somebody may have broken it on purpose.
    said = memberships([node for node in nodes if node.is_running])
    answering = [node for node in nodes if node.name in said]
    alone = alone_among([node for node in answering if said[node.name].state == "active"])
    broken = [node for node in answering if said[node.name].state == "error" and not said[node.name].error]
    for ill, why in ((alone, "has lost its own place among the swarm's engines"), (broken, "says no more than error")):
        for node in ill:
            emit(Noted(f"the engine of {node.name} {why}: it starts over"))
    each([*alone, *broken], lambda node: start_over(node, backend))
    return [*alone, *broken]


def _lost(engine: Engine, record: LabRecord) -> Lost:
    return lost_names(record, engine.containers(labels.of_lab(record.name)))


def _start_registry_over(engine: Engine, lab: str) -> None:
    for found in engine.containers(labels.of_lab(lab)):
        if found["Labels"].get(labels.KIND) in BESIDE and found["State"] == "running":
            engine.stop(found["Id"], grace=2)
            engine.start(found["Id"])

    def answers() -> None:
        try:
            open_registry(engine, lab).close()
        except LabctlError as problem:
            raise Pending(problem.message) from None

    wait_until("the lab's registry", answers, limit=SERVES_WITHIN)


def _stays_lost(lost: Lost, record: LabRecord) -> list[str]:
    """What is told of names that this host's engine does not take up, and of nodes that hear nothing."""
    nodes = [node for node in record.nodes if node.name in lost.names]
    others = [name for name in lost.names if name not in {node.name for node in nodes}]
    told = [f"no node finds {node.name} by name: {way_back(node, record, is_on=True)}" for node in nodes]
    if others:
        anew = f"`docker rm -f {record.name}-registry` and `labctl up -l {record.name}` recreate it"
        told.append(f"no node finds {some(others)} by name: {anew}, with all that was pushed to it")
    return [*told, *Lost(deaf=lost.deaf).told]
