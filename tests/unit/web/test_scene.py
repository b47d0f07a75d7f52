"""The lab as the page draws it, and what is said of what happens there."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import LabError, NotFoundError
from labctl.lab import Lab
from labctl.lab.happening import ContainerEvent, LabEvent, LinkEvent, NodeEvent, ServiceEvent
from labctl.web.hub import Hub
from labctl.web.scene import Scene, networks_of, picture_of
from labctl.web.timeline import entry_of
from tests.unit.exercise.conftest import lab_with
from tests.unit.nodes import fake_node, raw_service

from .test_lesson import Listener


@pytest.fixture(autouse=True)
def _no_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(lab: Lab) -> None:
        raise LabError("no manager answers")

    monkeypatch.setattr("labctl.web.scene.look", look)
    monkeypatch.setattr("labctl.web.scene.look_at_faults", lambda scene: ([], []))
    monkeypatch.setattr("labctl.web.scene._reached", lambda lab: {"ports": [], "networks": []})


def test_a_lab_without_a_manager_is_drawn_with_its_machines_and_says_what_is_wrong(state: Path) -> None:
    picture = picture_of(lab_with("manager1", "worker1", manager1="exited", worker1="paused"), [])

    assert [(node["name"], node["short"], node["machine"]) for node in picture["nodes"]] == [
        ("manager1", "m1", "exited"),
        ("worker1", "w1", "paused"),
    ]
    assert picture["trouble"] == "no manager answers" and not picture["nodes"][0]["tasks"]


def test_what_is_new_is_told_once(state: Path) -> None:
    hub, page = Hub(), Listener()
    hub.join(page)
    scene = Scene(lab_with("manager1", manager1="exited"), hub)
    scene._draw_once()
    scene._draw_once()

    assert [message["type"] for message in page.heard] == ["lab"]


def test_a_lab_that_is_gone_is_told_to_be(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, page = Hub(), Listener()
    hub.join(page)
    scene = Scene(lab_with("manager1"), hub)

    def gone() -> None:
        raise NotFoundError("lab", "demo", ())

    monkeypatch.setattr(scene, "now", gone)
    assert scene._draw_once() is None
    assert page.until(type="gone")


def test_a_network_is_told_with_the_services_that_are_on_it() -> None:
    networks = [{"Id": "n1", "Name": "back", "Driver": "overlay"}, {"Id": "n2", "Name": "bridge", "Driver": "bridge"}]
    services = [raw_service("web"), raw_service("db")]
    for service in services:
        service["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "n1"}]
    manager = fake_node(api={"GET /networks": networks, "GET /services": services}).engine

    assert networks_of(manager) == [{"name": "back", "services": ["db", "web"]}]


def container(action: str, name: str, code: int | None = None, health: str = "") -> ContainerEvent:
    task = "t" if name.startswith("web") else ""
    return ContainerEvent(1, 0.0, "demo", "w", action, name, "i", "nginx", "web", task, code, health)


def changed(what: str, old: str, new: str) -> dict[str, str]:
    return {f"{what}.new": new, f"{what}.old": old}


@pytest.mark.parametrize(
    ("event", "text", "tone"),
    [
        (ServiceEvent(1, 0.0, "demo", "m", "create", "web", "i", {}), "service web created", ""),
        (
            ServiceEvent(1, 0.0, "demo", "m", "update", "web", "i", changed("replicas", "3", "5")),
            "service web changed: replicas 3 → 5",
            "",
        ),
        (container("start", "web.1.xyz"), "web.1 started", "good"),
        (container("die", "web.1.xyz", 137), "web.1 ended with 137", "bad"),
        (container("die", "own.2.3", 0), "own.2.3 ended with 0", ""),
        (container("health", "web.1.x", health="unhealthy"), "web.1 is unhealthy", "bad"),
        (
            NodeEvent(1, 0.0, "demo", "w", "update", "i", changed("state", "ready", "down")),
            "node changed: state ready → down",
            "bad",
        ),
        (LinkEvent(1, 0.0, "demo", "w", "down", "w is exited"), "w is exited", "bad"),
        (LinkEvent(1, 0.0, "demo", "w", "up"), "engine is heard", ""),
    ],
)
def test_what_happened_is_one_line(event: LabEvent, text: str, tone: str) -> None:
    entry = entry_of(event)

    assert (entry["text"], entry["tone"], entry["node"]) == (text, tone, event.node)
