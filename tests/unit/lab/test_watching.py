"""What happens in a lab comes once, in order, from whoever tells it, and ends when it shall."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from labctl.backend import LabRecord
from labctl.errors import EngineRefused, EngineUnreachable
from labctl.lab import watching
from labctl.lab.happening import (
    ContainerEvent,
    LabEvent,
    LinkEvent,
    NetworkEvent,
    NodeEvent,
    Objects,
    ServiceEvent,
    read_event,
)
from labctl.lab.watching import LabEvents
from labctl.node import Node
from tests.guard import HANGING, no_hang

from ..nodes import fake_node


def raw(kind: str, action: str, id_: str = "id", *, at: float | None = None, **told: str) -> dict[str, Any]:
    """An event as an engine tells it."""
    when = time.time() if at is None else at
    scope = "local" if kind == "container" else "swarm"
    nanos = int(when * 1e9)
    return {"Type": kind, "Action": action, "Actor": {"ID": id_, "Attributes": told}, "scope": scope, "timeNano": nanos}


class Teller:
    """An engine that tells what a test gives it."""

    def __init__(self, *ids: str, manager: bool = False, ahead: float = 0.0) -> None:
        self.ids, self.manager, self.ahead = ids, manager, ahead
        self.told: queue.SimpleQueue[dict[str, Any] | EngineUnreachable] = queue.SimpleQueue()
        self.is_asked = threading.Event()

    def ping(self) -> str:
        return "26.1.5"

    def info(self) -> dict[str, str]:
        return {"SystemTime": datetime.fromtimestamp(time.time() + self.ahead, UTC).isoformat()}

    def swarm_objects(self, kind: str) -> list[dict[str, Any]]:
        if not self.manager:
            raise EngineRefused("This node is not a swarm manager", status=503)
        return [{"ID": id_} for id_ in self.ids if kind == "services"]

    def networks(self) -> list[dict[str, Any]]:
        return [{"Id": "ingress", "Scope": "swarm"}, {"Id": "bridge", "Scope": "local"}]

    def events(self, filters: object, *, since: int, until: int) -> Iterator[dict[str, Any]]:
        self.is_asked.set()
        while (left := until - time.time() - self.ahead) > 0:
            try:
                said = self.told.get(timeout=min(left, 0.05))
            except queue.Empty:
                continue
            if isinstance(said, EngineUnreachable):
                raise said
            yield said

    def close(self) -> None:
        pass


class Lab:
    """A lab whose nodes have such engines."""

    def __init__(self, **engines: Teller) -> None:
        self.engines = engines
        self.nodes: list[Node] = [self.made(name) for name in engines]
        self.is_there = True

    def made(self, name: str) -> Node:
        open_engine: Any = lambda _endpoint, _where: self.engines[name]  # noqa: E731  # a field
        return replace(fake_node(name), open_engine=open_engine)

    def look(self) -> LabRecord | None:
        return LabRecord("demo", lambda: None, None, None, tuple(self.nodes)) if self.is_there else None


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE", 0.02)
    monkeypatch.setattr(watching, "WINDOW", 2)


def first(events: LabEvents, number: int) -> list[LabEvent]:
    """So many events, links apart."""
    found: list[LabEvent] = []
    with no_hang():
        while len(found) < number:
            event = next(events)
            found += [] if isinstance(event, LinkEvent) else [event]
    return found


def test_each_kind_is_read_and_what_nobody_asked_for_is_not() -> None:
    def read(said: dict[str, Any]) -> LabEvent | None:
        make = read_event(said, "demo", "worker1")
        return make(1) if make else None

    died = raw("container", "die", name="web.1", image="nginx", exitCode="137")
    died["Actor"]["Attributes"] |= {"com.docker.swarm.service.name": "web", "com.docker.swarm.task.id": "t1"}
    changed = {"state.new": "down", "state.old": "ready"}

    event = read(died)
    assert isinstance(event, ContainerEvent)
    assert (event.action, event.container, event.image, event.service) == ("die", "web.1", "nginx", "web")
    assert (event.task, event.exit_code, event.node, event.lab) == ("t1", 137, "worker1", "demo")
    ill = read(raw("container", "health_status: unhealthy", name="web.1"))
    assert isinstance(ill, ContainerEvent) and (ill.action, ill.health, ill.exit_code) == ("health", "unhealthy", None)
    update = raw("node", "update", name="worker2")
    update["Actor"]["Attributes"] |= changed
    node = read(update)
    assert isinstance(node, NodeEvent) and (node.node, node.changes) == ("worker2", changed)
    service = read(raw("service", "create", name="web"))
    assert isinstance(service, ServiceEvent) and (service.service, service.node) == ("web", "worker1")
    network = read(raw("network", "remove", name="web_default"))
    assert isinstance(network, NetworkEvent) and network.network == "web_default"
    for unasked in (
        raw("container", "create"),
        raw("network", "create") | {"scope": "local"},
        raw("image", "pull"),
        {},
    ):
        assert read(unasked) is None


def test_a_removal_is_told_once_and_only_of_what_was_there() -> None:
    objects = Objects()
    objects.learn(["a"])

    assert objects.is_news("create", "b")
    assert [objects.is_news("remove", id_) for id_ in ("a", "a", "b", "long-gone")] == [True, False, True, False]
    assert not objects.is_news("create", "b"), "a manager that starts reads the swarm's log again"


def test_what_two_managers_tell_comes_once_and_all_of_it_is_numbered() -> None:
    lab = Lab(manager1=Teller("s1", manager=True), manager2=Teller("s1", manager=True), worker1=Teller())
    with LabEvents("demo", lab.look) as events:
        now = time.time()
        for teller in (lab.engines["manager1"], lab.engines["manager2"]):
            teller.told.put(raw("service", "create", "s2", at=now + 1, name="web"))
            teller.told.put(raw("service", "remove", "s1", name="old"))
            teller.told.put(raw("service", "remove", "long-gone", name="older"))
            teller.told.put(raw("service", "update", "s2", at=now - 3600, name="web"))
        lab.engines["worker1"].told.put(raw("container", "start", name="web.1"))
        found = first(events, 3)
        lab.engines["worker1"].told.put(raw("container", "start", "c2", name="web.2"))
        found += first(events, 1)

    assert {type(event).__name__ for event in found} == {"ServiceEvent", "ContainerEvent"}
    assert sum(isinstance(event, ServiceEvent) for event in found) == 2
    assert [event.number for event in found] == sorted({event.number for event in found})


def test_where_a_manager_dies_another_one_tells_and_a_node_that_comes_is_followed() -> None:
    lab = Lab(manager1=Teller("s1", manager=True), manager2=Teller("s1", manager=True))
    with LabEvents("demo", lab.look) as events:
        lab.engines["manager1"].told.put(raw("service", "update", "s1", name="one"))
        assert isinstance(first(events, 1)[0], ServiceEvent)
        lab.nodes[0] = replace(lab.nodes[0], state="exited")
        lab.engines["manager1"].told.put(EngineUnreachable("the engine of manager1 does not answer: closed"))
        lab.engines["worker9"] = Teller()
        lab.nodes.append(lab.made("worker9"))
        assert lab.engines["worker9"].is_asked.wait(HANGING)
        lab.engines["manager2"].told.put(raw("service", "remove", "s1", name="two"))
        lab.engines["worker9"].told.put(raw("container", "start", name="three"))
        seen = first(events, 2)

    assert {event.node for event in seen} == {"manager2", "worker9"}


def test_a_node_that_is_lost_and_heard_again_is_told() -> None:
    lab = Lab(worker1=Teller())
    with LabEvents("demo", lab.look) as events, no_hang():
        up = next(events)
        lab.engines["worker1"].told.put(EngineUnreachable("the engine of worker1 does not answer: closed"))
        down, again = next(events), next(events)

    links = [(event.action, event.reason) for event in (up, down, again) if isinstance(event, LinkEvent)]
    assert links == [("up", ""), ("down", "the engine of worker1 does not answer: closed"), ("up", "")]


def test_it_ends_with_the_lab_after_what_was_told() -> None:
    lab = Lab(worker1=Teller())
    events = LabEvents("demo", lab.look)
    assert isinstance(next(events), LinkEvent)
    lab.engines["worker1"].told.put(raw("container", "die", name="last"))
    assert first(events, 1)
    lab.is_there = False

    with no_hang():
        assert [type(event) for event in events] in ([], [LinkEvent])
    assert list(events) == []


@pytest.mark.parametrize("nodes", [0, 1])
def test_close_ends_it_from_another_thread(nodes: int) -> None:
    lab = Lab(**({"worker1": Teller()} if nodes else {}))
    events = LabEvents("demo", lab.look)
    with ThreadPoolExecutor(1) as pool, no_hang():
        reading = pool.submit(lambda: [type(event) for event in events])
        time.sleep(0.1)
        events.close()
        events.close()
        assert set(reading.result(HANGING)) <= {LinkEvent}

    with pytest.raises(StopIteration):
        next(events)


def test_a_host_whose_engine_is_silent_does_not_end_it() -> None:
    lab = Lab(worker1=Teller())
    looks: list[int] = []

    def look() -> LabRecord | None:
        looks.append(1)
        if len(looks) in (1, 3):
            raise EngineUnreachable("the engine does not answer")
        return lab.look()

    with LabEvents("demo", look) as events:
        assert lab.engines["worker1"].is_asked.wait(HANGING)
        lab.engines["worker1"].told.put(raw("container", "start", name="here"))
        assert first(events, 1)


def test_a_machine_whose_clock_is_wrong_is_heard_all_the_same() -> None:
    for ahead in (-3600.0, 3600.0):
        lab = Lab(worker1=Teller(ahead=ahead))
        with LabEvents("demo", lab.look, own_clocks=True) as events:
            assert lab.engines["worker1"].is_asked.wait(HANGING)
            lab.engines["worker1"].told.put(raw("container", "start", "old", at=time.time() + ahead - 60, name="old"))
            lab.engines["worker1"].told.put(raw("container", "start", "new", at=time.time() + ahead + 1, name="new"))
            event = first(events, 1)[0]
        assert isinstance(event, ContainerEvent) and event.container == "new"


def test_where_the_hosts_engine_tells_of_nodes_they_are_looked_at_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SELDOM", 3600)
    monkeypatch.setattr(watching, "RESTLESS", 0)
    host, lab = Teller(), Lab(manager1=Teller(manager=True))
    engine: Any = host
    with LabEvents("demo", lab.look, host=engine) as events, no_hang():
        assert next(events).node == "manager1"
        assert host.is_asked.wait(HANGING)
        lab.engines["worker1"] = Teller()
        lab.nodes.append(lab.made("worker1"))
        host.told.put({"Type": "container", "Action": "start"})

        assert next(events).node == "worker1"


def test_a_hosts_engine_that_tells_nothing_is_no_reason_to_miss_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SELDOM", 3600)
    host, lab = Teller(), Lab(manager1=Teller(manager=True))
    engine: Any = host
    host.told.put(EngineUnreachable("the engine does not answer"))
    with LabEvents("demo", lab.look, host=engine) as events, no_hang():
        assert next(events).node == "manager1"
        lab.engines["worker1"] = Teller()
        lab.nodes.append(lab.made("worker1"))

        assert next(events).node == "worker1"
