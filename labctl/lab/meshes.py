"""Which mesh serves the lab's published ports, and on which nodes its agent is silent or in trouble."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from labctl.concurrent import each
from labctl.errors import LabctlError, NotFoundError
from labctl.mesh.status import FRESH, STATUS_FILE, MeshStatus, Mode
from labctl.node import ENVIRONMENT_FILE, Node
from labctl.waiting import stretched

__all__ = ["KERNELS", "mesh_of", "mesh_problems"]

KERNELS = "the kernel's own (ip_vs)"
CLOCK_LIMIT = 5.0


def mesh_of(running: Sequence[Node]) -> str:
    """Which mesh serves, as the first node tells: the kernel's own, or ours in its place."""
    if not running:
        return "nothing runs"
    try:
        said = _said_of(running[0])
    except NotFoundError:
        return "not there yet" if _awaits_agent(running[0]) else KERNELS
    except (LabctlError, ValueError) as problem:
        return f"unknown: {problem}"
    if said.mode == Mode.IPVS:
        return KERNELS
    trouble = f"; {said.error}" if said.error else ""
    return f"labctl's own, in the place of ip_vs, which this kernel lacks{trouble}"


def mesh_problems(mesh: str, running: Sequence[Node], *, silent: Collection[str] = ()) -> list[str]:
    """What is wrong with each node's mesh agent, and what mends it; nothing where `mesh_of` said that none is needed.

    The agents of `silent` engines have nothing to ask, and cannot help it.
    """
    asked = [] if mesh == KERNELS else [node for node in running if node.name not in silent]
    return [told for told in each(asked, _problem_of) if told]


def _problem_of(node: Node) -> str:
    try:
        said = _said_of(node)
    except (LabctlError, ValueError):
        return ""  # it has just started, or the node has just stopped
    if said.mode == Mode.IPVS or not said.updated:  # the agent's first word comes before its first look
        return ""
    if (age := _age(node, said)) >= stretched(FRESH):
        return (
            f"the mesh agent of {node.name} has been silent for {age:.0f} s, and published ports may not answer there: "
            f"`labctl restart {node.name}` starts the node over, with its containers"
        )
    return f"the mesh of {node.name}: {said.error}; if that stays: `labctl restart {node.name}`" if said.error else ""


def _age(node: Node, said: MeshStatus) -> float:
    """For how many seconds the agent has said nothing; a machine's own clock is asked before it is blamed."""
    age = time.time() - said.updated
    if age < stretched(FRESH):
        return age
    try:
        return float(node.transport.run("date +%s", limit=CLOCK_LIMIT).stdout) - said.updated
    except (LabctlError, ValueError):
        return age


def _said_of(node: Node) -> MeshStatus:
    return MeshStatus.from_json(node.get(STATUS_FILE).decode())


def _awaits_agent(node: Node) -> bool:
    """Whether the node was told to run the mesh agent, which has said nothing so far."""
    try:
        return "MESH=on" in node.get(ENVIRONMENT_FILE).decode().split()
    except LabctlError:
        return False
