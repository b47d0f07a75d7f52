"""Which version of its service a task was made from, by slots: an update replaces them one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from labctl.swarm.state import Service, Task

__all__ = ["last_of_slots", "of_present_spec", "on_old", "runs_present_spec", "slot_key"]

# Parts of a task's spec that may differ from the service's while the task stays: the scheduler keeps tasks whose node
# meets a new placement, and the runtime is only written out in one of the two.
NOT_COMPARED = ("Placement", "Runtime")


def runs_present_spec(task: Task, service: Service) -> bool:
    """Whether the task was made from the service's present spec, not from one before an update."""
    if service.is_job:
        return task.iteration == service.iteration
    wanted = service.raw["Spec"]["TaskTemplate"]
    given = task.raw["Spec"]
    return all(given.get(key) == wanted.get(key) for key in {*given, *wanted} - set(NOT_COMPARED))


def of_present_spec(service: Service, tasks: Iterable[Task]) -> dict[object, list[Task]]:
    """The tasks of the present spec by slot, newest first."""
    present: dict[object, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda task: task.created, reverse=True):
        if task.desired != "remove" and runs_present_spec(task, service):
            present[slot_key(service, task)].append(task)
    return present


def on_old(service: Service, tasks: Iterable[Task]) -> set[object]:
    """The slots in which a task of a spec before still runs, and is not asked to stop."""
    if service.is_job:
        return set()
    running = [task for task in tasks if task.state == task.desired == "running"]
    return {slot_key(service, task) for task in running if not runs_present_spec(task, service)}


def slot_key(service: Service, task: Task) -> object:
    """What tells a service's slots apart."""
    return task.node_id if service.is_global else task.slot


def last_of_slots(service: Service, tasks: Iterable[Task]) -> set[str]:
    """The ids of each slot's newest task, whatever spec it is of."""
    return set({slot_key(service, task): task.id for task in sorted(tasks, key=lambda task: task.created)}.values())
