"""What the nodes' engines know of tasks' health checks, and Swarm does not say.

Swarm holds a task at `starting` until its container is healthy, stops one that turns unhealthy, and then goes by the
exit code alone: a server that stops cleanly is `complete`, as if it had done its work. The engine still has the verdict
of the health check, its command and what it printed, as long as the container is there.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from labctl.concurrent import each
from labctl.errors import LabctlError
from labctl.node import Node
from labctl.swarm.state import Task
from labctl.words import Phrase

__all__ = ["Health", "failing_check"]

T = TypeVar("T")
UNHEALTHY = "unhealthy container"  # SwarmKit's word for it, where the exit code was another than 0
LONGEST_OUTPUT = 120


class Health:
    """Asks the engines of the nodes that are known, and remembers what they said of containers that have ended."""

    def __init__(self, nodes: Sequence[Node] = ()) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._known: dict[str, str] = {}
        self._healthy: dict[str, bool] = {}

    def told(self, tasks: Iterable[Task], hosts: Mapping[str, str]) -> list[Task]:
        """The tasks, with `ended` as their nodes' engines tell it; `hosts` maps node ids to names."""
        tasks = list(tasks)
        asked = [task for task in tasks if task.id not in self._known and _is_asked(task)]
        found = self._asked(asked, hosts, _said_of)
        self._known |= {task.id: found[task.id] for task in tasks if task.is_over and task.id in found}
        known = self._known | found
        return [replace(task, ended=known[task.id]) if task.id in known else task for task in tasks]

    def proven(self, tasks: Iterable[Task], hosts: Mapping[str, str]) -> set[str]:
        """The ids of those of these running tasks that have a health check, which calls them healthy.

        Each is asked about once: Swarm calls a task that has a health check `running` only when it has passed.
        """
        tasks = list(tasks)
        asked = [task for task in tasks if task.container_id and task.id not in self._healthy]
        self._healthy |= self._asked(asked, hosts, _is_healthy)
        return {task.id for task in tasks if self._healthy.get(task.id)}

    def _asked(
        self, tasks: Iterable[Task], hosts: Mapping[str, str], look: Callable[[Task, Mapping[str, Any]], T]
    ) -> dict[str, T]:
        """What the look finds in each task's container, of those whose nodes are known, all nodes at once."""
        asked: dict[str, list[Task]] = defaultdict(list)
        for task in tasks:
            if (host := hosts.get(task.node_id, "")) in self._nodes:
                asked[host].append(task)
        found: dict[str, T] = {}
        for answers in each(list(asked), lambda host: self._ask(self._nodes[host], asked[host], look)):
            found |= answers
        return found

    def _ask(self, node: Node, tasks: Sequence[Task], look: Callable[[Task, Mapping[str, Any]], T]) -> dict[str, T]:
        """What the node's engine says of its tasks' containers; nothing of those that it does not have any more."""
        found: dict[str, T] = {}
        try:
            for task in tasks:
                container = node.engine.container(task.container_id)
                if container is not None:
                    found[task.id] = look(task, container)
        except LabctlError:
            pass  # the node is down, or was just stopped: nobody can tell
        return found


def _is_asked(task: Task) -> bool:
    """Whether a health check may be why the task is where it is."""
    unhealthy = task.state == "failed" and UNHEALTHY in task.reason
    return bool(task.container_id) and (task.state in ("starting", "complete") or unhealthy)


def _is_healthy(_task: Task, container: Mapping[str, Any]) -> bool:
    return bool((container["State"].get("Health") or {}).get("Status") == "healthy")


def _said_of(task: Task, container: Mapping[str, Any]) -> str:
    failing = failing_check(container)
    if not failing or task.state == "starting":
        return Phrase("not healthy yet: {failing}", failing=failing) if failing else ""
    health = container["State"]["Health"]
    if task.state == "complete" and health.get("Status") != "unhealthy":
        return ""  # it ended by itself, before its health check had given it up
    stopped = Phrase("Docker stopped it as unhealthy, and it ended with exit code {code}", code=task.exit_code)
    return Phrase("{how}: {failing}", how=task.reason or stopped, failing=failing)


def failing_check(container: Mapping[str, Any]) -> str:
    """The container's health check and how it failed last; empty when it passed last, or there is none."""
    health = container.get("State", {}).get("Health") or {}
    log = [entry for entry in health.get("Log") or () if entry.get("ExitCode")]
    if not log or not health.get("FailingStreak"):
        return ""
    last = log[-1]
    output = " ".join(str(last.get("Output", "")).split())
    output = output if len(output) <= LONGEST_OUTPUT else f"{output[:LONGEST_OUTPUT]}…"
    code = last["ExitCode"]
    # -1 where it took longer than its timeout
    how = Phrase(
        "health check `{command}` exited {code}" if code > 0 else "health check `{command}` failed",
        command=_command(container),
        code=code,
    )
    return Phrase("{how}: {output}", how=how, output=output) if output else how


def _command(container: Mapping[str, Any]) -> str:
    kind, *words = (container.get("Config", {}).get("Healthcheck") or {}).get("Test") or ["CMD"]
    return " ".join(words) if kind == "CMD-SHELL" else shlex.join(words)
