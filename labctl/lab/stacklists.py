"""What the swarm has of a stack: its services and its tasks, as a person asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.errors import NotFoundError
from labctl.swarm import SwarmView, stack
from labctl.swarm.service import progress_of

if TYPE_CHECKING:
    from labctl.node import Node
    from labctl.swarm import Service, Task

__all__ = ["StackService", "StackTask", "services_of", "tasks_of"]


@dataclass(frozen=True)
class StackService:
    """A service of a stack: how many of its tasks run, and why not all.

    `tasks` is that in Docker's words: "2/2", "1/1 (1/2 completed)". `ports` are written as Docker does.
    """

    id: str
    name: str
    mode: str
    running: int
    wanted: int
    completed: int
    tasks: str
    converged: bool
    reason: str
    image: str
    ports: tuple[str, ...]


@dataclass(frozen=True)
class StackTask:
    """A task of a stack, over or not. `name` is that of its `service`, and the slot, or the node where it is global.

    `since` is when it came to its state, in seconds since 1970.
    `error` is the scheduler's or the engine's word, `digest` what its image's name was resolved to.
    """

    id: str
    name: str
    service: str
    image: str
    digest: str
    node: str
    desired: str
    state: str
    since: float
    error: str


def services_of(view: SwarmView, name: str, nodes: Sequence[Node]) -> list[StackService]:
    """The services of the stack. Raises NotFoundError with the nearest for a stack that is not there."""
    found = view.services(stack=name)
    if not found:
        raise _no_stack(view, name)
    hosted = any(port.mode == "host" for service in found for port in service.ports)
    tasks = stack.tasks_of(view, name) if hosted else []
    hosts = {node.id: node.hostname for node in view.nodes()} if tasks else {}
    progress = {one.service: one for one in progress_of(view, [service.name for service in found], nodes)}
    return [
        StackService(
            id=service.id,
            name=service.name,
            mode=service.mode,
            running=progress[service.name].serving,
            wanted=progress[service.name].wanted,
            completed=progress[service.name].completed,
            tasks=progress[service.name].count,
            converged=progress[service.name].done,
            reason=progress[service.name].reason,
            image=service.short_image,
            ports=tuple(stack.shown_ports(service, tasks, hosts)),
        )
        for service in found
        if service.name in progress
    ]


def tasks_of(view: SwarmView, name: str) -> list[StackTask]:
    """The tasks of the stack, the newest of each slot first. Raises NotFoundError as `services_of` does."""
    tasks = stack.tasks_of(view, name)
    services = {service.id: service for service in view.services(stack=name)}
    if not tasks and not services:
        raise _no_stack(view, name)
    hosts = {node.id: node.hostname for node in view.nodes()}
    found = [_task(task, services.get(task.service_id), hosts) for task in tasks]
    return sorted(found, key=lambda one: (one.name, -one.since))


def _task(task: Task, service: Service | None, hosts: Mapping[str, str]) -> StackTask:
    node = hosts.get(task.node_id, task.node_id)
    owner = service.name if service else task.service_id
    slot = node if service is not None and service.is_global else task.slot
    image, _, digest = task.image.partition("@")
    return StackTask(
        id=task.id,
        name=f"{owner}.{slot}",
        service=owner,
        image=image,
        digest=digest,
        node=node,
        desired=task.desired,
        state=task.state,
        since=task.since,
        error=task.reason,
    )


def _no_stack(view: SwarmView, name: str) -> NotFoundError:
    return NotFoundError("stack", name, [one.name for one in stack.stacks(view)])
