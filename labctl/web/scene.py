"""The lab as the page draws it: nodes with their tasks, ports, faults; looked at anew when something happened.

`Lab.events` tells when to look. Tasks that are on their way say nothing of it, so while there are some, or a port that
is not open yet, the lab is looked at each second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from labctl.engine import Engine
from labctl.errors import LabctlError, NotFoundError
from labctl.faults import look as look_at_faults
from labctl.lab import Lab
from labctl.lab.happening import LabEvent, LinkEvent, NodeEvent
from labctl.lab.mapping import MapNode, SwarmMap, look
from labctl.lab.watching import LabEvents
from labctl.node import Node
from labctl.spec.names import short
from labctl.swarm.state import SwarmView
from labctl.web.hub import Hub
from labctl.web.timeline import entry_of

__all__ = ["Scene", "picture_of"]

TOGETHER = 0.15  # seconds; events that come within them are one look
UNSETTLED = 1.0  # seconds between two looks while something is on its way
RESTLESS = 8.0  # seconds after an event for which ports are looked for that are not open yet
SETTLED = ("running", "complete", "failed", "rejected", "shutdown")


class Scene:
    """Follows the lab until `close`, and tells the hub: {"type": "lab"}, {"type": "happened"}, {"type": "gone"}."""

    def __init__(self, lab: Lab, hub: Hub) -> None:
        self._lab = lab
        self._hub = hub
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._events: LabEvents | None = None
        self._faults: list[dict[str, Any]] = []
        self._wants_faults = True
        self._told: dict[str, Any] = {}
        self._happened = time.monotonic()
        self.on_back: Callable[[str], object] = lambda _: None  # hears the name of a node that is heard again

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._hear, name="labctl-web-events", daemon=True).start()
        threading.Thread(target=self._draw, name="labctl-web-scene", daemon=True).start()

    def look(self, *, faults: bool = False) -> None:
        """Look anew now; for faults, too, where one may have come or gone."""
        self._wants_faults |= faults
        self._happened = time.monotonic()
        self._changed.set()

    def close(self) -> None:
        """Follow no more."""
        self._closed.set()
        self._changed.set()
        if self._events is not None:
            self._events.close()

    def now(self) -> Lab:
        """The lab as it is. Raises NotFoundError when it is gone."""
        return replace(self._lab).refresh()

    # -- what happens

    def _hear(self) -> None:
        try:
            self._events = events = self._lab.events()  # waits for a leader, where there is none yet
        except LabctlError:  # a lab that cannot be followed is drawn all the same
            return
        if self._closed.is_set():
            events.close()
        with suppress(LabctlError):
            for event in events:
                self._take(event)
        if not self._closed.is_set():
            self._hub.tell({"type": "gone"}, keep=True)

    def _take(self, event: LabEvent) -> None:
        self._hub.log("timeline", entry_of(event))
        if isinstance(event, LinkEvent) and event.action == "up":
            self.on_back(event.node)
        self.look(faults=isinstance(event, NodeEvent | LinkEvent))

    # -- how it looks

    def _draw(self) -> None:
        wait: float | None = 0.0
        while not self._closed.is_set():
            if self._changed.wait(wait):
                self._closed.wait(TOGETHER)
            self._changed.clear()
            wait = self._draw_once()

    def _draw_once(self) -> float | None:
        """Look, and tell what is new; returns after how many seconds to look again, None for when something happens."""
        try:
            lab = self.now()
        except NotFoundError:
            self._hub.tell({"type": "gone"}, keep=True)
            return None
        except LabctlError as problem:
            self._tell({**self._told, "trouble": problem.message})
            return UNSETTLED
        if self._wants_faults:
            self._wants_faults = False
            with suppress(LabctlError):
                self._faults = [_fault(one) for one in look_at_faults(lab.scene())[0]]
        picture = picture_of(lab, self._faults)
        self._tell(picture)
        return self._pause(picture)

    def _tell(self, picture: dict[str, Any]) -> None:
        if picture != self._told:
            self._told = picture
            self._hub.tell({"type": "lab", **picture}, keep=True)

    def _pause(self, picture: dict[str, Any]) -> float | None:
        tasks = [task for node in picture["nodes"] for task in node["tasks"]] + picture["waiting"]
        moving = any(task["state"] not in SETTLED for task in tasks) or bool(picture["trouble"])
        closed = any(not port["url"] for port in picture["ports"] if port["mode"] == "ingress")
        restless = time.monotonic() - self._happened < RESTLESS
        leased = [fault["left"] for fault in self._faults if fault["left"] is not None]
        if moving or (closed and restless):
            return UNSETTLED
        if leased:
            self._wants_faults = True
            return max(UNSETTLED, float(min(leased)))
        return None


def picture_of(lab: Lab, faults: list[dict[str, Any]]) -> dict[str, Any]:
    """The lab as a message's content. What cannot be asked is said in `trouble`; machines are known all the same."""
    trouble = ""
    try:
        seen = look(lab)
    except LabctlError as problem:
        trouble = problem.message if lab.spec.swarm == "formed" else ""
        columns = (MapNode(n.name, n.role, False, _alone(n), "", ()) for n in lab.nodes)
        seen = SwarmMap(lab.name, tuple(columns), ())
    machines = {node.name: node for node in lab.nodes}
    return {
        "name": lab.name,
        "nodes": [_node(column, machines.get(column.name), machines) for column in seen.nodes],
        "waiting": [asdict(task) for task in seen.waiting],
        **_reached(lab),
        "faults": faults,
        "trouble": trouble,
    }


def _alone(node: Node) -> str:
    return "no swarm" if node.is_running else node.state


def _node(column: MapNode, machine: Node | None, machines: dict[str, Node]) -> dict[str, Any]:
    names = short(column.name, machines) if machine is not None else []
    return {
        **asdict(column),
        "short": names[0] if names else "",
        "machine": machine.state if machine is not None else "gone",
        "address": machine.address if machine is not None else "",
    }


def _reached(lab: Lab) -> dict[str, list[dict[str, Any]]]:
    """How services are reached: by ports from here, by networks from each other. Nothing without a manager."""
    try:
        manager = lab.manager(limit=2.0).engine
        return {"ports": _ports(lab, manager), "networks": networks_of(manager)}
    except LabctlError:
        return {"ports": [], "networks": []}


def networks_of(manager: Engine) -> list[dict[str, Any]]:
    """The overlay networks that services are on, with these."""
    names = {one["Id"]: str(one["Name"]) for one in manager.networks() if one.get("Driver") == "overlay"}
    found: dict[str, list[str]] = {}
    for service in SwarmView(manager).services():
        for network in service.networks:
            found.setdefault(names.get(network, network), []).append(service.name)
    return [{"name": name, "services": services} for name, services in sorted(found.items())]


def _ports(lab: Lab, manager: Engine) -> list[dict[str, Any]]:
    from labctl.edge import edges, published

    ways = [way for way in edges(lab.context.engine, lab.name) if way.state == "running"]
    found = published(manager)
    urls = {(way.target, way.protocol): way for way in ways}
    told = []
    for one in found:
        way = urls.get((one.port, one.protocol))
        url = way.url_of(one.target) if way is not None else ""
        told.append({"service": one.service, "port": one.port, "mode": one.mode, "url": url})
    return told


def _fault(fault: Any) -> dict[str, Any]:
    left = None if fault.left is None else round(fault.left, 1)
    return {"id": fault.id, "kind": fault.kind, "on": fault.target, "left": left}
