"""What a lesson leaves in its lab that the next one trips over: nodes that get no work, and faults."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from labctl.errors import LabctlError
from labctl.events import quiet
from labctl.faults import heal
from labctl.faults.finding import acting, on_host, on_nodes, on_services
from labctl.lab import Lab
from labctl.lab.faulting import scene_of

__all__ = ["left_in", "open_again"]

LIMIT = 5.0  # seconds for a manager to answer; a lesson's end is not held up by a swarm without one


def left_in(lab: Lab) -> tuple[str, ...]:
    """What is not in the lab as a fresh one has it, in words; as far as somebody tells."""
    lab, told = lab.refresh(), list[str]()
    scene = scene_of(lab)
    found = on_host(scene) + on_nodes(scene)
    with contextlib.suppress(LabctlError):
        nodes = lab.swarm(limit=LIMIT).nodes()
        told += [f"{one.hostname} gets no work ({one.availability})" for one in nodes if one.availability != "active"]
        found += on_services(scene)
    return (*told, *(f"{fault.target} has the fault {fault.kind}" for fault in acting(scene, found.faults)))


def open_again(lab: Lab) -> None:
    """Let every node have work, and heal every fault. Raises LabctlError where that cannot be done."""
    lab = lab.refresh()
    heal(replace(scene_of(lab), emit=quiet))
    manager = lab.manager(limit=LIMIT)
    for node in lab.swarm(limit=LIMIT).nodes():
        if node.availability != "active":
            manager.expect(["docker", "node", "update", "--availability", "active", node.id])
