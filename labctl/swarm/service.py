"""Waiting for services: what the scheduler says is told as it says it, and what cannot end well ends early."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from labctl.errors import EngineRefused, EngineUnreachable, NotYetError, WaitTimeout
from labctl.events import Emit, TaskConverged, quiet
from labctl.node import Node
from labctl.swarm.elsewhere import absent_images, is_elsewhere, missing_image
from labctl.swarm.health import Health
from labctl.swarm.progress import GIVEN_UP, MISSING_IMAGE, NO_NODE, UNMET_FOR, Progress, has_check, judge
from labctl.swarm.state import Service, SwarmNode, SwarmView, Task
from labctl.swarm.ways import Nearby, way_out
from labctl.waiting import Clock, Pending, SystemClock, stretched, wait_until

__all__ = ["CONVERGE_LIMIT", "Progress", "converge", "progress_of", "update_times"]

CONVERGE_LIMIT = 120.0  # seconds; a first pull on a slow line takes that long
PAUSE = 0.15
LONGEST_PAUSE = 1.0
# Seconds that a task must have run before a change is believed, as Docker's own CLI has it ("Waiting 5 seconds to
# verify that tasks are stable"): a container that ends after two seconds is no success. A health check proves as much.
PROVING = 5.0


def converge(
    view: SwarmView,
    services: Iterable[str],
    *,
    limit: float = CONVERGE_LIMIT,
    emit: Emit = quiet,
    noted: Callable[[str], None] | None = None,
    old_updates: Mapping[str, str] | None = None,
    old_tasks: Collection[str] = (),
    nodes: Sequence[Node] = (),
    near: Nearby | None = None,
    clock: Clock | None = None,
) -> list[Progress]:
    """Wait until the named services are what they shall be, and stay so for PROVING; return how each stands.

    Each change is emitted as TaskConverged; `noted` hears what is still missing, in words. `old_updates` (see
    `update_times`) are the updates that had begun before: how they ended is not this wait's affair, nor how the
    tasks failed whose ids are `old_tasks`. The engines of `nodes` are asked about health checks that fail and images
    that are missing; `near` knows what is outside of the swarm.
    Raises NotYetError with the scheduler's own reasons, at the limit, or as soon as waiting cannot help.
    """
    names = list(dict.fromkeys(services))
    watch = _Watch(
        view, names, emit, noted, dict(old_updates or {}), nodes, clock or SystemClock(), old_tasks, PROVING, near
    )
    try:
        return wait_until(
            "the services",
            watch.look,
            limit=limit,
            pause=PAUSE,
            longest_pause=LONGEST_PAUSE,
            clock=watch.clock,
        )
    except WaitTimeout as timeout:
        raise NotYetError(
            f"not converged after {limit:g} s: {timeout.last_seen}", hint=watch.way_out(watch.unfinished)
        ) from None


def progress_of(view: SwarmView, names: Iterable[str], nodes: Sequence[Node] = ()) -> list[Progress]:
    """Look once: how far each of the named services is, whatever it came by. A service that is gone is left out.

    The engines of `nodes` are asked about health checks that fail.
    """
    return _Watch(view, list(names), quiet, None, None, nodes, SystemClock()).progress()


def update_times(view: SwarmView, names: Iterable[str]) -> dict[str, str]:
    """When the last update of each of the services began, by name; for `converge` after a change."""
    wanted = set(names)
    return {service.name: service.update_began for service in view.services() if service.name in wanted}


@dataclass
class _Watch:
    """What is remembered from one look to the next."""

    view: SwarmView
    names: list[str]
    emit: Emit
    noted: Callable[[str], None] | None
    old_updates: dict[str, str] | None  # None: every update is
    nodes: Sequence[Node]
    clock: Clock
    old_tasks: Collection[str] = ()
    proving: float = 0.0
    near: Nearby | None = None
    unfinished: list[Progress] = field(default_factory=list)
    _services: dict[str, Service] = field(default_factory=dict)
    _members: list[SwarmNode] = field(default_factory=list)
    _told: dict[str, TaskConverged] = field(default_factory=dict)
    _elsewhere: dict[str, bool] = field(default_factory=dict)
    _first_seen: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.health = Health(self.nodes)

    def way_out(self, unfinished: Sequence[Progress]) -> str | None:
        """The hint for services that are not what they shall be."""
        return way_out(unfinished, self._services, self._members, self.nodes, self.near)

    def look(self) -> list[Progress]:
        try:
            found = self.progress()
        except (EngineUnreachable, EngineRefused) as problem:
            # Managers that elect a leader refuse for a moment.
            raise Pending(problem.message) from None
        for one in found:
            # Ordinary delays change several times a second: they are for `noted`.
            count = one.count if one.is_job or one.completed else ""
            if one.old and one.trouble:
                count = f"{one.running}/{one.wanted} ({one.old} of the old version)"
            news = TaskConverged(one.service, one.running, one.wanted, one.reason if one.trouble else "", count)
            if self._told.get(one.service) != news:
                self._told[one.service] = news
                self.emit(news)
        self.unfinished = [one for one in found if not one.done]
        hopeless = [one for one in self.unfinished if one.hopeless and not self._may_run_elsewhere(one)]
        if hopeless:
            hopeless = self._with_other_images(hopeless)
            raise NotYetError("\n".join(str(one) for one in hopeless), hint=self.way_out(hopeless))
        missing = sorted(set(self.names) - {one.service for one in found})
        if missing:
            raise NotYetError(
                f"service {missing[0]} was removed meanwhile", hint="`labctl docker -- service ls` lists the others."
            )
        if self.noted is not None:
            self.noted(_note(found))
        if self.unfinished:
            raise Pending("\n".join(str(one) for one in self.unfinished))
        return found

    def _with_other_images(self, hopeless: Sequence[Progress]) -> list[Progress]:
        """Where the wait ends for an image, the others' images that nobody has either: told at once, not in turn.

        An engine pulls few images at a time, so the first may be given up before the last was asked for.
        """
        if not any(missing_image(one.reason) for one in hopeless):
            return list(hopeless)
        rest = [one for one in self.unfinished if one not in hopeless and not one.running]
        known = [one for one in rest if missing_image(one.reason) and not self._may_run_elsewhere(one)]
        images = {one.service: self._services[one.service].image for one in rest if not one.trouble}
        absent = absent_images(images.values(), self.nodes)
        found = [
            replace(o, reason=f"{MISSING_IMAGE}: {images[o.service]}") for o in rest if images.get(o.service) in absent
        ]
        return sorted([*hopeless, *known, *found], key=lambda one: one.service)

    def progress(self) -> list[Progress]:
        self._services = {service.name: service for service in self.view.services()}
        services = [service for name, service in self._services.items() if name in self.names]
        ids = [service.id for service in services]
        tasks: dict[str, list[Task]] = defaultdict(list)
        self._members = self.view.nodes()
        hosts = {node.id: node.hostname for node in self._members}
        sizes = [member.size for member in self._members]
        for task in self.health.told(self.view.tasks(ids) if ids else (), hosts):
            tasks[task.service_id].append(task)
        proven = self._proven(services, chain.from_iterable(tasks.values()), hosts)
        judged = [
            judge(
                service,
                tasks[service.id],
                hosts=hosts,
                age=self._age,
                old_update=self._old_update(service),
                old_tasks=self.old_tasks,
                sizes=sizes,
                proving=lambda task: 0.0 if task.id in proven else self.proving,
            )
            for service in services
        ]
        return [replace(one, hopeless=True) if self._is_without_node(one) else one for one in judged]

    def _proven(self, services: Iterable[Service], tasks: Iterable[Task], hosts: Mapping[str, str]) -> set[str]:
        """The ids of the tasks that run for a short time only, and whose health check has passed."""
        young = [task for task in tasks if task.state == "running" and self._age(task) < self.proving]
        checked = {service.id for service in services if has_check(service)}
        passed = {task.id for task in young if task.service_id in checked}
        return passed | self.health.proven([task for task in young if task.id not in passed], hosts)

    def _may_run_elsewhere(self, one: Progress) -> bool:
        """Whether a node has what others lack; each reason is looked into once."""
        if GIVEN_UP in one.reason:  # what was missing may be there now, and nobody tries
            return False
        if one.reason not in self._elsewhere:
            self._elsewhere[one.reason] = is_elsewhere(one.reason, self.nodes)
        return self._elsewhere[one.reason]

    def _old_update(self, service: Service) -> str:
        return service.update_began if self.old_updates is None else self.old_updates.get(service.name, "")

    def _is_without_node(self, one: Progress) -> bool:
        """Whether no node has been allowed to run a global service for as long as a node may be on its way up."""
        return one.reason == NO_NODE and self._seen_for(f"{one.service} {NO_NODE}") >= stretched(UNMET_FOR)

    def _seen_for(self, what: str) -> float:
        return self.clock.now() - self._first_seen.setdefault(what, self.clock.now())

    def _age(self, task: Task) -> float:
        """How long the task has been in its state: by its node's clock, or by ours since it was first seen so.

        One that no node has is counted from when this wait saw it: what came before may just have been mended.
        """
        seen = self._seen_for(f"{task.id} {task.state}")
        return max(seen, time.time() - task.since) if task.node_id else seen


def _note(found: Sequence[Progress]) -> str:
    """One line for a progress display: what is missing, the worst first, and why that is; all errors were events."""
    missing = sorted((one for one in found if not one.done), key=lambda one: (not one.hopeless, not one.trouble))
    told = next((one for one in missing if one.reason), None)
    return ", ".join(f"{one.service} {one.count}" + (f" ({one.reason})" if one is told else "") for one in missing)
