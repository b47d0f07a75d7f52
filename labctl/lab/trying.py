"""A lab that stands is tried: the mesh, the overlay, the registry; its encrypted networks and its services too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import UsageError
from labctl.events import Steps
from labctl.lab.addresses import refuse_moved
from labctl.lab.faulty import faults_told
from labctl.lab.members import members_of, taking_tasks
from labctl.lab.neighbours import refuse_lost_neighbours
from labctl.lab.services import try_services
from labctl.lab.standing import warn_of_absent
from labctl.lab.strays import refuse_strays
from labctl.lab.verify import verify
from labctl.registry import open_registry
from labctl.spec import labels
from labctl.swarm.caveats import encrypted_networks

if TYPE_CHECKING:
    from labctl.lab.lab import Lab

__all__ = ["try_lab"]


def try_lab(lab: Lab) -> str:
    """Try all nodes of a lab that is held, and return a line that says what was tried.

    Held: what is tried while somebody changes the lab tells nothing, and of two probes one would take the other away.
    Raises LabError with what does not serve, UsageError for a lab without a registry.
    """
    steps = Steps(lab.context.emit, total=1)
    with faults_told(lambda: lab.backend.find(lab.name)), steps.step("Verifying"):
        refuse_moved(lab.record, lab.nodes)
        manager = lab.manager()
        if not lab.spec.registry:
            raise UsageError(
                f"lab {lab.name} has no registry for the nodes to get the probe from",
                hint=f"`labctl status -l {lab.name}` tells what its engines and its swarm say.",
            )
        open_registry(lab.context.engine, lab.name).close()
        members = members_of(lab.spec, manager, lab.nodes)
        refuse_strays(members, manager)
        beside = lab.context.engine.containers(labels.of_lab(lab.name))
        refuse_lost_neighbours(lab.record, beside, [node.name for node in members])
        able = taking_tasks(manager, members, steps.emit)
        encrypted = encrypted_networks(manager.engine) if len(able) > 1 else []
        tried = verify(manager, able, steps.note, encrypted=encrypted)
        if services := try_services(manager, members, steps.note, steps.emit):
            tried = f"{tried}; {services}"
        steps.note(tried)
    warn_of_absent(lab.record, steps.emit)
    return tried
