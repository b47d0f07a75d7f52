"""What a lab that stands has lost, and whether `up` can change it: asked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl.backend import LabRecord
from labctl.engine import Engine
from labctl.engine.errors import keys_hint
from labctl.errors import LabError, UsageError
from labctl.events import Emit, Warned
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.spec import NodeSpec, Role

__all__ = [
    "gone_members",
    "gone_nodes",
    "half_restored",
    "has_lost_network",
    "newer",
    "refuse_half_restored",
    "refuse_newer",
    "refuse_too_many_cpus",
    "refuse_unsound",
    "refuse_unstartable",
    "refuse_without_keys",
    "refused_as_empty",
    "warn_of_absent",
]

# What `up` would make anew where it is missing, and what the nodes that stand would then not know.
KEYS = ("ca.pem", "ca-key.pem", "id_ed25519", "ssh_host_ed25519_key")
LEAST_CPUS = 0.01  # the engine's own limit


def refuse_unsound(record: LabRecord, nodes: Sequence[Node]) -> None:
    """Raise LabError for a lab of these nodes that cannot be changed from here: its keys or its network are gone."""
    refuse_half_restored(record)
    refuse_without_keys(record.name, nodes)
    if has_lost_network(record, nodes):
        raise LabError(
            f"the network of lab {record.name} is gone, and with it the way from node to node",
            hint=f"`labctl down -l {record.name}` and `labctl up -l {record.name}` recreate the lab.",
        )


def refuse_newer(record: LabRecord) -> None:
    """Raise LabError for a lab of a newer labctl: what this one cannot read would be lost when it notes the rest."""
    if told := newer(record):
        raise LabError(told[0], hint=told[1])


def newer(record: LabRecord) -> tuple[str, str] | None:
    """What is told of such a lab, and what to do; None where this labctl reads all that is noted of it."""
    if not record.newer:
        return None
    return (
        f"lab {record.name} was made by a newer labctl, and this one cannot read all that it shall be: {record.newer}",
        "Update labctl (`pip install --upgrade swarm-labctl`) to change the lab; "
        f"`labctl down -l {record.name}` removes it.",
    )


def refuse_unstartable(record: LabRecord) -> None:
    """Raise LabError for a lab whose nodes nobody may start from here: put back in part, or without its keys."""
    refuse_half_restored(record)
    refuse_without_keys(record.name, record.nodes)


def refuse_half_restored(record: LabRecord) -> None:
    """Raise LabError for a lab some of whose nodes are put back to a snapshot, and others may not be."""
    if told := half_restored(record):
        raise LabError(told[0], hint=told[1])


def half_restored(record: LabRecord) -> tuple[str, str] | None:
    """What is wrong with such a lab, and what to do; None where all is of one moment."""
    if not record.restoring:
        return None
    return (
        f"lab {record.name} is put back to snapshot {record.restoring} in part, and would be no swarm",
        f"`labctl snapshot restore {record.restoring}` finishes it; another one that is whole would do, too.",
    )


def refuse_without_keys(lab: str, nodes: Sequence[Node]) -> None:
    """Raise LabError for a lab whose keys are not here: nobody could ask its engines whether a change was well."""
    folder = next((node.endpoint.tls for node in nodes if node.endpoint.tls is not None), None)
    missing = [name for name in KEYS if folder is not None and not (folder / name).exists()]
    if missing:
        raise LabError(
            f"lab {lab} stands, and {', '.join(missing)} of its keys {_are(missing)} not in {folder}",
            hint=keys_hint(lab),
        )


def gone_nodes(record: LabRecord) -> list[NodeSpec]:
    """The nodes that the lab shall have, and whose machines somebody has removed."""
    there = {node.name for node in record.nodes}
    return [] if record.spec is None else [node for node in record.spec.all_nodes() if node.name not in there]


def warn_of_absent(record: LabRecord, emit: Emit) -> None:
    """Warn of the lab's nodes that do not run, or are gone: what is told of the others is not the whole lab."""
    for node in record.nodes:
        if not node.is_running:
            verb = "resume" if node.state == "paused" else "start"
            emit(Warned(f"{node.name} is {node.state}, so it was not tried: `labctl {verb} {node.name}`"))
    for gone in gone_nodes(record):
        emit(Warned(f"{gone.name} is gone, so it was not tried: `labctl up` recreates it"))


def gone_members(record: LabRecord) -> dict[str, Role]:
    """Those of them that belong in the lab's swarm, with what they were made as: the swarm may have promoted one."""
    return {node.name: node.role for node in gone_nodes(record) if record.spec is None or record.spec.joins(node.name)}


def refused_as_empty(record: LabRecord) -> LabError | None:
    """The error for a lab without a node: its `up` was killed before it made one, or somebody removed them."""
    if record.nodes:
        return None
    lab = record.name
    return LabError(
        f"lab {lab} has no node: the `up` that began it was killed, or its machines were removed",
        hint=f"`labctl up -l {lab}` makes them, `labctl down -l {lab}` removes what is left.",
    )


def has_lost_network(record: LabRecord, nodes: Sequence[Node]) -> bool:
    """Whether these nodes stand without the network that they were made on."""
    return record.network is None and bool(nodes)


def refuse_too_many_cpus(nodes: Sequence[NodeSpec], engine: Engine) -> None:
    """Raise UsageError for nodes that shall be containers with more CPUs than the engine's machine has, or with none.

    The engine itself would refuse them only after others were made.
    """
    sized = [node for node in nodes if node.cpus is not None]
    most = int(engine.info()["NCPU"]) if sized else 0
    for node in sized:
        if node.cpus is not None and not LEAST_CPUS <= node.cpus <= most:
            raise UsageError(
                f"{node.name}: {node.cpus:g} CPUs were asked for, and this machine has {most}",
                hint=f"A node may have {LEAST_CPUS} to {most}; all where nothing is said.",
            )


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
