"""The swarm in the words of a check: what is there is read at once, and what is missing answers "not yet" by itself.

    swarm.stack("voting").must_run()
    swarm.service("voting_vote").replicas
    swarm.service("voting_db").networks          {"voting_backend"}
    swarm.service("voting_db").run("psql ...")   in a container of one of its tasks
    swarm.service("app").file("/run/secrets/key").text
    swarm.secret("key"), .config("page"), .volume("data"), .network("backend")
    swarm.http("w1", 5000)                       through the port that w1 publishes
    swarm.must_answer_everywhere(5000)           the same through the port of every node

Nothing here waits, and nothing is remembered: each call asks a manager anew. The lab's machines are as they were when
the check was asked, or some seconds before.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from labctl.checks.answers import not_yet
from labctl.checks.deadline import seconds_left
from labctl.checks.http import REQUEST_LIMIT, Answer, request
from labctl.checks.nodes import node_named
from labctl.checks.objects import (
    ConfigInSwarm,
    FileInTask,
    SecretInSwarm,
    VolumeOnNodes,
    config_of,
    missing,
    secret_of,
    volume_of,
)
from labctl.concurrent import each
from labctl.errors import NodeDown
from labctl.swarm.placement import is_met
from labctl.swarm.service import progress_of
from labctl.swarm.stack import tasks_of
from labctl.swarm.state import Service, SwarmNode, SwarmView, Task, moment
from labctl.transport import Result
from labctl.waiting import stretched

if TYPE_CHECKING:
    from labctl.backend import LabRecord
    from labctl.lab import Lab
    from labctl.node import Node

__all__ = ["ConfigInSwarm", "FileInTask", "SecretInSwarm", "ServiceInSwarm", "StackInSwarm", "Swarm", "VolumeOnNodes"]

COMMAND_LIMIT = 10.0  # seconds that one command of a check may take in a container


class Swarm:
    """The swarm of a lab, as a manager sees it that can change it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._asked: tuple[LabRecord, Node] | None = None

    @property
    def manager(self) -> Node:
        """The manager that is asked; looked for anew when the lab was looked at anew. Raises QuorumLost, LabError."""
        if self._asked is None or self._asked[0] is not self._lab.record:
            self._asked = self._lab.record, self._lab.manager()
        return self._asked[1]

    @property
    def view(self) -> SwarmView:
        """The answers of that manager's API, typed."""
        return SwarmView(self.manager.engine)

    def nodes(self) -> list[SwarmNode]:
        """The nodes as the managers know them."""
        return self.view.nodes()

    def hostnames(self) -> dict[str, str]:
        """The name of each node by its id in the swarm."""
        return {node.id: node.hostname for node in self.nodes()}

    def services(self, *, stack: str | None = None) -> list[ServiceInSwarm]:
        """All services, or those of a stack."""
        return [ServiceInSwarm(self, service) for service in self.view.services(stack=stack)]

    def service(self, name: str) -> ServiceInSwarm:
        """The service of that name; answers "not yet" when there is none."""
        found = self.view.service(name)
        if found is None:
            missing("service", name, [one.name for one in self.view.services()])
        return ServiceInSwarm(self, found)

    def stack(self, name: str) -> StackInSwarm:
        """The stack of that name; answers "not yet" when it has no service."""
        found = self.view.services(stack=name)
        if not found:
            missing("stack", name, [one.stack for one in self.view.services() if one.stack])
        return StackInSwarm(self, name, {one.name.removeprefix(f"{name}_"): ServiceInSwarm(self, one) for one in found})

    def network(self, name: str) -> dict[str, Any]:
        """The network of that name, as the API has it; answers "not yet" when there is none."""
        found = self.view.engine.network(name)
        if found is None:
            missing("network", name, self.network_names().values())
        return found

    def secret(self, name: str) -> SecretInSwarm:
        """The secret of that name; answers "not yet" when there is none."""
        return secret_of(self, name)

    def config(self, name: str) -> ConfigInSwarm:
        """The config of that name; answers "not yet" when there is none."""
        return config_of(self, name)

    def volume(self, name: str) -> VolumeOnNodes:
        """The volume of that name, on every node that has one; answers "not yet" when none has."""
        return volume_of(self, name)

    def network_names(self) -> dict[str, str]:
        """The name of each network by its id."""
        return {network["Id"]: network["Name"] for network in self.view.engine.networks()}

    def tasks(self, *services: str) -> list[Task]:
        """The tasks of the named services (all where none is named), those that have ended too."""
        return self.view.tasks(services)

    def machine(self, name: str) -> Node:
        """A node of the lab by its name or short name."""
        return node_named(self._lab.nodes, name)

    @property
    def machines(self) -> Sequence[Node]:
        """All nodes of the lab."""
        return self._lab.nodes

    def up_since(self, *nodes: str) -> dict[str, float | None]:
        """When nodes' machines were started, in seconds since the epoch by their own clocks; None while one is down."""
        machines = [self.machine(name) for name in nodes]
        limit = seconds_left(COMMAND_LIMIT)
        return dict(zip(nodes, each(machines, lambda machine: _up_since(machine, limit)), strict=True))

    def http(
        self,
        node: str,
        port: int,
        path: str = "/",
        *,
        form: Mapping[str, str] | None = None,
        cookie: str = "",
        limit: float = REQUEST_LIMIT,
    ) -> Answer:
        """Ask for a page through the port that a node publishes, from a manager; a `form` is posted.

        What comes back is an Answer also when nobody answers within `limit` seconds: its status is then 0. Raises
        NodeDown for a node that is down.
        """
        machine = self.machine(node)
        if not machine.is_running:
            raise NodeDown(machine.name, machine.state)
        left, url = seconds_left(stretched(limit)), f"http://{machine.address}:{port}{path}"
        return request(self.manager, url, form=form, cookie=cookie, limit=left)

    def http_everywhere(self, port: int, path: str = "/", *, limit: float = REQUEST_LIMIT) -> dict[str, Answer]:
        """Ask every node that is ready for a page through the port that it publishes; the answers by node.

        Each has `limit` seconds, all at once: where silence is what a learner shall find, a few are enough.
        """
        ready = [node.hostname for node in self.nodes() if node.state == "ready"]
        via, left = self.manager, seconds_left(stretched(limit))
        urls = [f"http://{self.machine(name).address}:{port}{path}" for name in ready]
        return dict(zip(ready, each(urls, lambda url: request(via, url, limit=left)), strict=True))

    def must_answer_everywhere(
        self, port: int, path: str = "/", *, text: str = "", limit: float = REQUEST_LIMIT
    ) -> dict[str, Answer]:
        """The pages of all nodes that are ready; answers "not yet" while one gives none, or another text."""
        pages = self.http_everywhere(port, path, limit=limit)
        if silent := sorted(node for node, page in pages.items() if not page.ok):
            look = f"labctl ssh m1 curl -sS -m 2 {pages[silent[0]].url}"
            found = pages[silent[0]]
            not_yet(
                "port {port} does not answer on {nodes}", found=found, look=look, port=port, nodes=", ".join(silent)
            )
        for node, page in sorted(pages.items()):
            if text and page.body.strip() != text:
                found_text, look = page.body.strip()[:60], f"labctl ssh m1 curl -sS {page.url}"
                not_yet("{node} does not answer with {text}", found=found_text, look=look, node=node, text=text)
        return pages


@dataclass(frozen=True)
class StackInSwarm:
    """A stack; `services` has them by the names that the stack file gives them."""

    swarm: Swarm
    name: str
    services: Mapping[str, ServiceInSwarm]

    def service(self, name: str) -> ServiceInSwarm:
        """The service that the stack file calls `name`; answers "not yet" when it is missing."""
        if name not in self.services:
            look = f"labctl docker -- stack services {self.name}"
            not_yet("the stack {stack} has no service {name}", look=look, stack=self.name, name=name)
        return self.services[name]

    def must_run(self) -> None:
        """Answer "not yet", with the scheduler's reason, while a service has fewer tasks than it shall have."""
        _must_run(self.swarm, [service.name for service in self.services.values()])

    def tasks(self) -> list[Task]:
        """The tasks of all its services, those that have ended too."""
        return tasks_of(self.swarm.view, self.name)


@dataclass(frozen=True)
class ServiceInSwarm:
    """A service as it was when it was asked for."""

    swarm: Swarm
    facts: Service

    @property
    def name(self) -> str:
        """Its name."""
        return self.facts.name

    @property
    def image(self) -> str:
        """Its image, without the digest."""
        return self.facts.short_image

    @property
    def replicas(self) -> int:
        """How many tasks it shall have."""
        return self.facts.replicas

    @property
    def created(self) -> float:
        """When it was made, in seconds since the epoch."""
        return moment(self.facts.raw.get("CreatedAt", ""))

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec, as the API has it."""
        return dict(self.facts.raw["Spec"])

    @property
    def stack(self) -> str:
        """The stack that it belongs to; empty for none."""
        return self.facts.stack

    @property
    def secrets(self) -> dict[str, str]:
        """Where its tasks find their secrets -> each secret's name; `key` is short for `/run/secrets/key`."""
        given = self.spec["TaskTemplate"].get("ContainerSpec", {}).get("Secrets") or ()
        return {one["File"]["Name"]: one["SecretName"] for one in given if one.get("File")}

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that its tasks are given; one without a value is empty."""
        given = self.spec["TaskTemplate"].get("ContainerSpec", {}).get("Env") or ()
        return {name: value for name, _, value in (one.partition("=") for one in given)}

    @property
    def published(self) -> dict[int, int]:
        """Published port -> target port, of those that every node publishes."""
        return {port.published: port.target for port in self.facts.ports if port.mode == "ingress"}

    @property
    def constraints(self) -> list[str]:
        """Its placement constraints, without spaces: `node.role==worker`."""
        given = self.spec["TaskTemplate"].get("Placement", {}).get("Constraints") or ()
        return [constraint.replace(" ", "") for constraint in given]

    def allowed_nodes(self) -> set[str]:
        """The names of the nodes that meet its constraints, whether or not they are ready and have room."""
        nodes = self.swarm.view.engine.swarm_objects("nodes")
        meet = [node for node in nodes if all(is_met(one, node) for one in self.constraints)]
        return {node["Description"].get("Hostname", "") for node in meet}

    @cached_property
    def networks(self) -> set[str]:
        """The names of the networks that its tasks are attached to; `ingress` is not told."""
        names = self.swarm.network_names()
        return {names.get(id_, id_) for id_ in self.facts.networks}

    def tasks(self) -> list[Task]:
        """Its tasks, those that have ended too."""
        return self.swarm.view.tasks([self.facts.id])

    def running(self) -> list[Task]:
        """Its tasks that run and shall run."""
        return [task for task in self.tasks() if task.state == "running" and task.desired == "running"]

    def outdated(self) -> list[Task]:
        """Its running tasks that are of an earlier version: other images, variables, commands or mounts."""
        wanted = self.spec["TaskTemplate"].get("ContainerSpec")
        return [task for task in self.running() if task.raw["Spec"].get("ContainerSpec") != wanted]

    def nodes(self) -> set[str]:
        """The names of the nodes that run it."""
        hosts = self.swarm.hostnames()
        return {hosts.get(task.node_id, task.node_id) for task in self.running()}

    def must_run(self) -> None:
        """Answer "not yet", with the scheduler's reason, while it has fewer tasks than it shall have."""
        _must_run(self.swarm, [self.name])

    def run(self, command: str) -> Result:
        """Run a shell command in the container of one of its running tasks; answers "not yet" when none runs.

        Raises NodeDown when its node is down, TypeError for a command that is no string.
        """
        if not isinstance(command, str):
            raise TypeError(f"run takes a command as one string, not {type(command).__name__}: {command!r}")
        tasks = [task for task in self.running() if task.container_id]
        if not tasks:
            not_yet("no task of {name} runs", look=f"labctl docker -- service ps {self.name}", name=self.name)
        machine = self.swarm.machine(self.swarm.hostnames()[tasks[0].node_id])
        limit = seconds_left(stretched(COMMAND_LIMIT))
        outcome = machine.engine.execute(tasks[0].container_id, ["timeout", f"{limit:g}", "sh", "-c", command])
        return Result(
            command, outcome.code, outcome.stdout.decode(errors="replace"), outcome.stderr.decode(errors="replace")
        )

    def file(self, path: str) -> FileInTask:
        """Read a file in the container of one of its running tasks; answers "not yet" when none runs."""
        result = self.run(f"cat {shlex.quote(path)}")
        return FileInTask(path, result.ok, result.stdout if result.ok else "")


def _up_since(machine: Node, limit: float) -> float | None:
    try:
        result = machine.run("ps -o etimes= -p 1 && date +%s", limit=limit)
    except NodeDown:
        return None
    # A command that a machine's end cut short comes back with nothing.
    said = result.stdout.split() if result.ok else []
    return float(said[1]) - float(said[0]) if len(said) == 2 else None


def _must_run(swarm: Swarm, names: Sequence[str]) -> None:
    for progress in progress_of(swarm.view, names, swarm.machines):
        if not progress.done:
            not_yet(progress.told, look=f"labctl docker -- service ps --no-trunc {progress.service}")
