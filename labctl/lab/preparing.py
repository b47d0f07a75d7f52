"""Tasks that begin again on nodes that were started: a lab with services serves when their containers are made.

Two engines that enter a network at the same moment may lose the answer that one of them waits for, as after a start of
all nodes (seen on 26.1.5). That one then waits for half a minute, and its tasks with it: nothing but time ends that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from labctl.engine import Engine
from labctl.errors import LabctlError, WaitTimeout
from labctl.events import Emit, Warned
from labctl.swarm.state import SwarmView, Task
from labctl.waiting import Pending, wait_until
from labctl.words import counted, some

__all__ = ["await_prepared"]

LIMIT = 40.0  # seconds; the engine gives up after 30
UNMADE = ("assigned", "accepted", "preparing")  # states of a task that has no container yet


def await_prepared(engine: Engine, note: Callable[[str], None], emit: Emit) -> None:
    """Wait until the tasks that are being prepared now on nodes that are ready are so no more.

    A task that comes after it is not waited for: one that fails again and again would hold up for ever. `emit` hears
    a warning of those that take longer, and no error ends it: the lab itself serves.
    """
    view = SwarmView(engine)

    def unmade() -> dict[str, Task]:
        shall = [task for task in view.tasks() if task.desired in ("running", "ready") and task.state in UNMADE]
        return {task.id: task for task in shall}

    with contextlib.suppress(LabctlError):
        ready = {node.id: node.hostname for node in view.nodes() if node.state == "ready"}
        meant = [id_ for id_, task in unmade().items() if task.node_id in ready]
        left: list[Task] = []

        def look() -> None:
            nonlocal left
            left = [task for id_, task in unmade().items() if id_ in meant]
            if left:
                told = counted(len(left), "task is", "tasks are")
                raise Pending(f"{told} being prepared on {_places(left, ready)}")

        try:
            wait_until("the services' tasks", look, limit=LIMIT, pause=0.2, longest_pause=1, noted=note)
        except WaitTimeout as timeout:
            said = f"{timeout.last_seen}, after {timeout.limit:g} s; `labctl map` shows when they run"
            emit(Warned(said))


def _places(tasks: Iterable[Task], ready: dict[str, str]) -> str:
    return some(sorted({ready.get(task.node_id, "?") for task in tasks}), 5)
