"""A stack on a lab: what is said of one-shots and of ports, and who goes on when a manager dies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labctl.edge.ways import ForwardedPort
from labctl.engine.fake import Asked
from labctl.errors import EngineUnreachable, LabError, UsageError
from labctl.events import Event, Noted, Steps, Warned
from labctl.lab import stacks
from labctl.node import Node
from labctl.swarm.progress import Progress
from labctl.swarm.stack import Deployed

from ..nodes import FakeNode, fake_node, raw_service


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ([(1, 0)], "1 service runs"),
        ([(1, 0), (0, 1)], "1 service runs, 1 service completed"),
        ([(0, 1), (0, 1)], "2 services completed"),
    ],
)
def test_what_has_completed_is_not_said_to_run(services: list[tuple[int, int]], said: str) -> None:
    found = [Progress("web", running, 1, done=True, completed=completed) for running, completed in services]

    assert stacks.summary(found) == said


def test_a_port_that_another_program_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [
        ForwardedPort("e", 22000, "tcp", 59211, asked=22000),
        ForwardedPort("e", 80, "tcp", 80),
        ForwardedPort("e", 9, "tcp", 8, "running", 7, True),
    ]
    monkeypatch.setattr("labctl.edge.reach", lambda *_: ways)
    monkeypatch.setattr("labctl.swarm.stack.published_ports", lambda *_: [])
    heard: list[Any] = []
    lab: Any = SimpleNamespace(name="lab", nodes=[], context=SimpleNamespace(engine=None, emit=heard.append))

    urls = stacks._open_ports(lab, SimpleNamespace(), "web", heard.append)  # type: ignore[arg-type]  # fakes

    assert urls[0] == "http://127.0.0.1:59211"
    assert [one.text for one in heard] == [
        "port 22000 of 127.0.0.1 is taken by another program or lab: "
        "the stack's port 22000 is at 127.0.0.1:59211 instead"
    ]


class Pair:
    """A lab of two managers, of which the second one is asked once the first does not answer any more."""

    name = "demo"

    def __init__(self) -> None:
        self.managers: list[FakeNode] = [fake_node("manager1"), fake_node("manager2")]
        self.looks = 0

    def manager(self) -> Node:
        """The first one that is left."""
        if not self.managers:
            raise LabError("no manager answers")
        return self.managers[0]

    def refresh(self) -> Pair:
        """The first one is gone."""
        self.looks += 1
        del self.managers[0]
        return self


def test_where_a_manager_dies_in_the_middle_another_one_carries_the_files_again(heard: list[Event]) -> None:
    lab: Any = Pair()
    asked: list[str] = []

    def carry(manager: Node) -> Deployed:
        asked.append(manager.name)
        if manager.name == "manager1":
            raise EngineUnreachable("the engine of manager1 does not answer: closed")
        return Deployed("web", (), {})

    manager, _ = stacks._by_a_manager(lab, Steps(heard.append, total=1), carry)

    assert (manager.name, asked) == ("manager2", ["manager1", "manager2"])
    assert heard == [Noted("the engine of manager1 does not answer: closed: manager2 goes on with it")]


def test_where_no_other_manager_is_left_it_is_told_why_the_first_failed(heard: list[Event]) -> None:
    lab: Any = Pair()
    del lab.managers[1]

    def carry(_: Node) -> Deployed:
        raise EngineUnreachable("the engine of manager1 does not answer: closed")

    with pytest.raises(EngineUnreachable, match="manager1 does not answer"):
        stacks._by_a_manager(lab, Steps(heard.append, total=1), carry)


def test_a_look_at_services_is_another_managers_when_one_dies(heard: list[Event]) -> None:
    lab: Any = Pair()
    first, second = lab.managers

    def silent(_: Asked) -> EngineUnreachable:
        return EngineUnreachable("closed")

    first.api["GET /services"] = silent
    second.api["GET /services"] = [raw_service("web_a")]
    view = stacks._AnyManager(lab, first, heard.append)

    assert [one.name for one in view.services()] == ["web_a"]
    assert [one.name for one in view.services()] == ["web_a"], "and stays with that one"
    assert lab.looks == 1


def test_the_mirrors_tags_of_an_image_are_those_that_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HUB", "never")
    assert "redis:latest" in stacks._tags_in_mirror("redis:7.0.2")
    assert stacks._tags_in_mirror("registry:5000/redis:1") == []
    assert stacks._tags_in_mirror("No Name") == []

    monkeypatch.setenv("LABCTL_HUB", "always")
    assert stacks._tags_in_mirror("redis:7.0.2") == [], "the Hub itself answers for its names"


@pytest.mark.parametrize("files", [(), [], None])
def test_a_text_alone_is_a_stack_and_nothing_at_all_is_refused(files: Any) -> None:
    (found,) = stacks.read_files(files, {}, "services: {web: {image: nginx}}")
    assert found.services == ("web",)

    with pytest.raises(UsageError, match="no stack file is given"):
        stacks.read_files(files, {})


@pytest.mark.parametrize(
    ("wait", "limit", "told"),
    [(True, "10", "limit='10'"), (True, 0, "limit=0"), (True, True, "limit=True"), ("no", 9, "wait='no'")],
)
def test_what_is_no_wait_is_refused_before_anything_is_deployed(wait: Any, limit: Any, told: str) -> None:
    lab: Any = SimpleNamespace(context=SimpleNamespace(emit=None))

    with pytest.raises(UsageError, match=told):
        stacks.deploy(lab, "no-such-file.yml", "web", wait=wait, limit=limit)


def test_what_is_warned_of_is_kept_and_told() -> None:
    heard: list[Event] = []

    emit, warnings = stacks._kept_warnings(heard.append)
    emit(Warned("TAG is not set"))
    emit(Noted("all is well"))

    assert warnings == ["TAG is not set"]
    assert heard == [Warned("TAG is not set"), Noted("all is well")]


def test_a_file_and_a_text_are_not_taken_for_each_other(tmp_path: Path) -> None:
    file = tmp_path / "stack.yml"
    file.write_text("services: {web: {image: nginx}}")

    with pytest.raises(UsageError, match=r"both the file .*stack\.yml and a text are given"):
        stacks.read_files(file, text="services: {other: {image: nginx}}")
    assert stacks.read_files((), text="services: {other: {image: nginx}}")[0].services == ("other",)
