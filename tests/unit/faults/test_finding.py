"""What nodes, services and this host say of faults: it is looked at, not believed, and a look changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import NotYetError
from labctl.events import Event, Warned
from labctl.faults import Scene, active, heal, inject, kind_named, look, planned
from labctl.faults import service_lease as lease
from labctl.faults.innode import LIST, PLACE
from labctl.faults.kinds import KINDS
from labctl.faults.reading import Trace, fault_of
from labctl.node import Node
from labctl.state import lab_path
from labctl.swarm import SwarmView
from labctl.transport import Result

from ..nodes import raw_service
from .scenes import Answering, node, scene_of

GOOD: dict[str, Any] = {"id": "abc123", "kind": "cut", "target": "worker1", "options": {}, "until": None}


def line(**changed: Any) -> str:
    return "abc123 " + json.dumps({**GOOD, **changed})


def commands_of(one: Node) -> list[str]:
    assert isinstance(one.transport, Answering)
    return [text for text in one.transport.commands if text != LIST]


BAD = [
    "abc123 [1]",
    "abc123 1",
    "abc123 null",
    'abc123 {"a":1}',
    "abc123 {brok",
    "abc123 ",
    "abc123 " + "[" * 5000,
    "x " + json.dumps(GOOD),
    line(id="/home/me/.docker/config"),
    line(id="abcdef"),
    line(kind="stop"),
    line(kind="bad-image"),
    line(kind="of-a-newer-labctl"),
    line(kind=7),
    line(target="manager1"),
    line(target=None),
    line(kind="block", options={"port": "80; reboot"}),
    line(kind="block", options={"port": 80}),
    line(kind="partition", options={"from": "\x1b[2J"}),
    line(until="soon"),
    line(until=True),
    "abc123 " + json.dumps(GOOD).replace("null", "NaN"),
    "abc123 " + json.dumps(GOOD).replace("null", "1" + "0" * 400),
]


@pytest.mark.parametrize("said", BAD, ids=lambda text: text[:50])
def test_what_a_node_says_that_is_no_fault_of_its_own_is_told_and_cleared_away_there(said: str, tmp_path: Path) -> None:
    """No file of this host, and no other node, is touched by it; the faults beside it are healed."""
    other = json.dumps({**GOOD, "id": "beef00", "kind": "disk"})
    worker, told = node("worker1", traces=[said, f"beef00 {other}"]), list[Event]()
    scene = scene_of(node("manager1"), worker)
    scene.emit = told.append
    mine = tmp_path / "mine.json"
    mine.write_text("{}")

    assert [one.id for one in active(scene)] == ["beef00"]
    assert any(isinstance(one, Warned) and "worker1 has something like a fault" in one.text for one in told)
    assert all("rm -rf" not in text for text in commands_of(worker))

    assert [one.id for one in heal(scene)] == ["beef00"]
    assert any(f"rm -rf {PLACE}/{said.partition(' ')[0]}" in text for text in commands_of(worker))
    assert mine.exists()
    assert all("rm -rf" not in text for text in commands_of(scene.nodes[0]))


def test_a_node_names_no_file_of_this_host() -> None:
    for id_ in ("../../x", "/etc/x", "ABC123", "abc12", "abc1234", ""):
        with pytest.raises(ValueError, match="no fault's id"):
            fault_of(Trace("worker1", id_, json.dumps({**GOOD, "id": id_})), KINDS)


def test_what_a_newer_labctl_says_beside_a_fault_is_left_out() -> None:
    fault = fault_of(Trace("worker1", "abc123", line(severity=3, options={"x": "1"}).partition(" ")[2]), KINDS)
    assert (fault.kind, fault.target, dict(fault.options)) == ("cut", "worker1", {})


def test_a_folder_outside_is_not_cleared() -> None:
    worker = node("worker1", traces=["../.. {}", ".. {}"])
    heal(scene_of(node("manager1"), worker))
    assert all("rm -rf" not in text for text in commands_of(worker))


def test_who_cannot_be_asked_is_told_and_the_others_are_healed() -> None:
    good = node("worker2", traces=["abc123 " + json.dumps({**GOOD, "target": "worker2"})])
    scene = scene_of(node("manager1"), node("worker1", traces=None), good, node("worker3", state="paused"))

    faults, silent = look(scene)
    assert [one.target for one in faults] == ["worker2"]
    assert [one.split(":")[0] for one in silent] == ["worker1", "worker3 is suspended"]
    with pytest.raises(NotYetError, match=r"could be asked for faults: worker1: .*; worker3 is suspended"):
        heal(scene)
    assert any("rm -rf" in text for text in commands_of(good))
    with pytest.raises(NotYetError, match="no fault 00ffee is known"):
        heal(scene, ["00ffee"])


def test_where_no_manager_tells_of_services_that_is_told_in_a_lab_with_a_swarm() -> None:
    scene = scene_of(node("manager1"))
    assert heal(scene) == []
    scene.swarmed = True
    with pytest.raises(NotYetError, match="no manager tells of the services: no manager answers"):
        heal(scene)


def test_a_look_undoes_nothing_that_is_being_injected() -> None:
    """A node's script is at it (3), or its mark is not there yet (1): neither is cleared away."""
    for code, expected in ((3, ["striking"]), (1, [])):
        worker = node("worker1", lambda text, code=code: Result(text, code), traces=[line()])  # type: ignore[misc]
        assert [one.state for one in active(scene_of(node("manager1"), worker))] == expected
        assert all("undo" not in text and "rm" not in text for text in commands_of(worker))


def swarm_with(scene: Scene, labels: dict[str, str], image: str) -> list[Any]:
    """Give the scene a swarm with one service, and return what is posted to it."""
    raw, posted = raw_service("web"), list[Any]()
    raw["Version"] = {"Index": 7}
    raw["Spec"]["Labels"], raw["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = labels, image
    manager = scene.nodes[0]
    script = manager.engine.script  # type: ignore[attr-defined]  # a FakeEngine's

    def post(asked: Any) -> dict[str, Any]:
        posted.append(asked.body)
        raw["Spec"] = asked.body
        return {}

    script["GET /services"] = lambda _: [raw]
    script["GET /services/web"] = lambda _: raw
    script["POST /services/web/update"] = post
    scene.swarm = lambda: SwarmView(manager.engine)
    scene.swarmed = True
    return posted


MARKS = {lease.ID: "abc123", lease.KIND: "bad-image", lease.BEFORE: '"nginx:1"', lease.BROKEN: '"none:1"'}


def test_a_look_heals_a_service_whose_time_has_long_been_over() -> None:
    scene = scene_of(node("manager1"))
    posted = swarm_with(scene, {**MARKS, lease.UNTIL: "1000"}, "none:1")

    assert active(scene) == []
    assert posted[0]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1"
    assert posted[0]["Labels"] == {}


def test_a_look_leaves_a_service_alone_whose_time_is_not_over() -> None:
    scene = scene_of(node("manager1"))
    posted = swarm_with(scene, {**MARKS, lease.UNTIL: "9999999999"}, "none:1")

    assert [one.kind for one in active(scene)] == ["bad-image"]
    assert posted == []


@pytest.mark.parametrize(
    "changed", [{lease.UNTIL: "soon"}, {lease.KIND: "cut"}, {lease.ID: "../x"}, {lease.UNTIL: "nan"}]
)
def test_labels_of_a_service_that_tell_of_no_fault_are_told_and_cleared_away(changed: dict[str, str]) -> None:
    scene = scene_of(node("manager1"))
    posted = swarm_with(scene, {"own": "1", **MARKS, **changed}, "none:1")

    assert active(scene) == []
    assert posted == []
    assert heal(scene) == []
    assert posted[0]["Labels"] == {"own": "1"}


def test_services_are_looked_for_when_the_managers_are_back() -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    inject(scene, planned(kind_named("stop"), ["manager1"]), sure=True)
    back: list[str] = []

    def start(names: Any) -> None:
        back.extend(names)
        posts.append(swarm_with(scene, MARKS, "none:1"))

    posts: list[list[Any]] = []
    scene.start = start
    assert [one.kind for one in heal(scene)] == ["stop", "bad-image"]
    assert back == ["manager1"]
    assert len(posts[0]) == 1


def test_a_note_of_this_host_tells_of_its_own_name() -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    (fault,) = inject(scene, planned(kind_named("stop"), ["worker1"]))
    note = lab_path("lab") / "faults" / f"{fault.id}.json"
    for name, text in {"0123ab": note.read_text(), "0123ac": "[1]", "x": "{}"}.items():
        note.with_name(f"{name}.json").write_text(text)

    assert active(scene) == [fault]
    assert heal(scene) == [fault]
    assert list(note.parent.glob("*.json")) == []
