"""Faults of a service: an image that there is not, a health check that fails, tasks that are killed."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

from labctl.errors import EngineRefused, LabError, NotFoundError
from labctl.faults import service_lease as lease
from labctl.faults.model import SHARE, Fault, Healer, Option, Scene, State, Target, percent
from labctl.faults.reading import Trace, fault_of
from labctl.swarm.state import Service, Task

__all__ = ["BadImage", "KillTasks", "Unhealthy", "arm", "clear", "rolls_back", "traces_of", "traces_on_services"]

MISSING = "registry:5000/labctl/no-such-image:fault"


class _Changed:
    """A kind of fault that is a change of the service itself. Managers heal it when its time is over."""

    name = ""
    summary = ""
    acts_on: Target = "service"
    healer: Healer = "manager"
    options: tuple[Option, ...] = ()
    breaks_node = False
    parts_nodes = False

    def broken(self, service: Service) -> Any:
        """What stands in place of the part that breaks."""
        raise NotImplementedError

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise NotFoundError for no such service, LabError for one that has a fault."""
        service = service_named(scene, fault.target)
        for trace in traces_of(service):
            with contextlib.suppress(ValueError):  # what is none, or was mended by hand, is written over
                has = fault_of(trace, {kind.name: kind for kind in (BadImage(), Unhealthy())})
                if _acts(service, has):
                    raise LabError(
                        f"service {service.name} has the fault {has.kind} already: {has.id}",
                        hint=f"`labctl fault heal {has.id} -l {scene.lab}` ends it.",
                    )

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Arm the lease on each manager, and change the service: what it had stands in its labels."""
        service = service_named(scene, fault.target)
        spec = service.raw["Spec"]
        marks = {
            lease.ID: fault.id,
            lease.KIND: self.name,
            lease.BEFORE: json.dumps(lease.part_of(spec, self.name)),
            lease.BROKEN: json.dumps(self.broken(service)),
            **({lease.UNTIL: f"{fault.until:.0f}"} if fault.until is not None else {}),
        }
        if fault.left is not None:
            arm(scene, service.id, fault)
        changed = lease.with_part(spec, self.name, self.broken(service))
        changed = {**changed, "Labels": {**(spec.get("Labels") or {}), **marks}}
        scene.swarm().engine.post(f"/services/{service.id}/update", changed, version=service.raw["Version"]["Index"])

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """Put back what the service had; what was changed since then stays. Raises what the engine refuses it with."""
        clear(scene, fault.target, fault.id)
        return False

    def state(self, scene: Scene, fault: Fault) -> State:
        """Whether the service still has the broken part."""
        try:
            service = service_named(scene, fault.target)
        except NotFoundError:
            return "over"
        return "acts" if service.labels.get(lease.ID) == fault.id and _acts(service, fault) else "over"


def clear(scene: Scene, service: str, id_: str) -> None:
    """Take a fault of that id, or what looks like one, from a service. Raises EngineRefused."""
    engine = scene.swarm().engine
    refused: list[EngineRefused] = []

    def ask(method: str, path: str, body: Any) -> Any:
        if method == "GET":
            return engine.swarm_object("services", path.rpartition("/")[2])
        where, _, version = path.partition("?version=")
        try:
            return engine.post(where, body, version=version)
        except EngineRefused as problem:  # it was changed meanwhile, or removed: it is looked at again
            refused.append(problem)
            return None

    if not lease.heal(ask, service, id_) and len(refused) >= lease.ATTEMPTS:
        raise refused[-1]


def rolls_back(scene: Scene, name: str) -> bool:
    """Whether the swarm itself undoes an update of the service that fails."""
    config = service_named(scene, name).raw["Spec"].get("UpdateConfig") or {}
    return bool(config.get("FailureAction") == "rollback")


def _acts(service: Service, fault: Fault) -> bool:
    try:
        broken = json.loads(service.labels.get(lease.BROKEN, ""))
    except (ValueError, RecursionError):
        return False
    return bool(lease.part_of(service.raw["Spec"], fault.kind) == broken)


class BadImage(_Changed):
    """An update to an image that no registry has."""

    name = "bad-image"
    summary = "Update a service to an image that does not exist."

    def broken(self, service: Service) -> Any:
        """No registry has it."""
        return MISSING


class Unhealthy(_Changed):
    """A health check that fails."""

    name = "unhealthy"
    summary = "Give a service a health check that fails: its tasks are ended and begun again, without end."

    def broken(self, service: Service) -> Any:
        """It fails after two seconds (times are nanoseconds, as in the Engine API)."""
        return {"Test": ["CMD-SHELL", "false"], "Interval": 10**9, "Timeout": 10**9, "Retries": 2}


class KillTasks:
    """A blow: containers of a service are killed, and the swarm starts others."""

    name = "kill-tasks"
    summary = "Kill containers of a service, once; the swarm starts others in their place."
    acts_on: Target = "service"
    healer: Healer = "nobody"
    options: tuple[Option, ...] = (
        Option("share", "1", "How many: a number, or a share such as 50% (default: 1).", lambda text: _amount(text, 1)),
        Option("seed", "", "The same seed picks the same tasks again (default: any)."),
    )
    breaks_node = False
    parts_nodes = False

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise LabError where nothing runs."""
        service = service_named(scene, fault.target)
        if not _running(scene, service):
            raise LabError(f"service {service.name} has no running task", hint="`labctl map` shows what runs where.")

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Kill them on their nodes, by SIGKILL."""
        view = scene.swarm()
        service = service_named(scene, fault.target)
        running = _running(scene, service)
        picked = random.Random(fault.options["seed"] or None).sample(  # noqa: S311  # to be repeated, no secret
            running, _amount(fault.options["share"], len(running))
        )
        hosts = {node.id: node.hostname for node in view.nodes()}
        for task in picked:
            node = scene.node(hosts.get(task.node_id, ""))
            if node is None or not node.is_running:
                raise LabError(f"the node of task {task.id[:12]} does not run", hint="`labctl status` tells which.")
            node.expect(f"docker kill {shlex.quote(task.container_id)}")

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """The swarm does."""
        return False

    def state(self, scene: Scene, fault: Fault) -> State:
        """It was over when it was done."""
        return "over"


def traces_on_services(scene: Scene) -> list[Trace]:
    """What services have in their labels that looks like a fault. Raises LabctlError where no manager can tell."""
    return [trace for service in scene.swarm().services() for trace in traces_of(service)]


def traces_of(service: Service) -> list[Trace]:
    """What one service has: it has one fault at a time."""
    marks = service.labels
    if not marks.get(lease.ID):
        return []
    until: object = None
    if lease.UNTIL in marks:
        try:
            until = float(marks[lease.UNTIL])
        except ValueError:
            until = "?"
    said = {"id": marks[lease.ID], "kind": marks.get(lease.KIND), "target": service.name, "until": until}
    return [Trace(service.name, marks[lease.ID], json.dumps(said))]


def service_named(scene: Scene, name: str) -> Service:
    """The service of that name. Raises NotFoundError with the nearest."""
    services = scene.swarm().services()
    for service in services:
        if service.name == name:
            return service
    raise NotFoundError("service", name, [service.name for service in services])


def _running(scene: Scene, service: Service) -> list[Task]:
    tasks = [task for task in scene.swarm().tasks([service.name]) if task.state == "running"]
    return sorted((task for task in tasks if task.container_id), key=lambda task: (task.slot, task.id))


def _amount(text: str, of: int) -> int:
    """How many of `of`: a number, or a share, and at least one."""
    if SHARE.fullmatch(text.strip()) and text.strip().endswith("%"):
        return max(1, round(percent(text) / 100 * of))
    if not re.fullmatch(r"\d{1,6}", text.strip(), re.ASCII) or int(text) < 1:
        raise ValueError("expected a number above 0, or a share such as 50%")
    return min(int(text), of)


def arm(scene: Scene, service: str, fault: Fault) -> None:
    """Start the lease on each manager that runs: one of them will be there when the time is over.

    `service` is its id or name. A second lease beside the first finds nothing more to heal.
    """
    program = Path(lease.__file__).read_text(encoding="utf-8")
    words = shlex.join([service, fault.id, f"{fault.left or 0:.1f}"])
    file = f"/run/labctl/faults/{fault.id}.py"
    text = (
        f"mkdir -p /run/labctl/faults; printf %s {shlex.quote(program)} > {file}; "
        f"setsid sh -c 'python3 {file} {words}; rm -f {file}' </dev/null >/dev/null 2>&1 &"
    )
    for node in scene.now():
        if node.is_manager and node.is_running:
            node.expect(text)
