"""The map fits the screen, however many nodes there are."""

from __future__ import annotations

import io

import click
import pytest
from rich.console import Console

from labctl.cli.hints import note_lab
from labctl.cli.map import _trouble, draw
from labctl.errors import LabError
from labctl.lab.mapping import MapNode, MapTask, SwarmMap


def task(name: str, state: str = "running", reason: str = "") -> MapTask:
    return MapTask(name, name.partition(".")[0], state, "running", reason, "nginx:latest")


def column(name: str, *tasks: MapTask, leader: bool = False, state: str = "ready") -> MapNode:
    return MapNode(name, "manager" if leader else "worker", leader, state, "active", tasks)


def drawn(swarm: SwarmMap, width: int = 80) -> list[str]:
    screen = Console(file=io.StringIO(), width=width, highlight=False)
    screen.print(draw(swarm, width))
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue().splitlines()


def test_nodes_stand_side_by_side_with_their_tasks_below() -> None:
    lines = drawn(SwarmMap("lab", (column("manager1", leader=True), column("worker1", task("web.1"))), ()))

    assert lines[0].split() == ["manager1", "★", "worker1"]
    assert lines[1].split() == ["manager", "ready", "active", "worker", "ready", "active"]
    assert lines[2].split() == ["●", "web.1"]


@pytest.mark.parametrize("width", [20, 40, 80, 132])
def test_thirty_nodes_are_wrapped_into_rows(width: int) -> None:
    nodes = tuple(column(f"worker{number}", task(f"web.{number}")) for number in range(1, 31))

    lines = drawn(SwarmMap("lab", nodes, ()), width)

    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert all(f"worker{number}" in text and f"web.{number}" in text for number in range(1, 31))


def test_a_long_name_is_cut_and_no_line_is_broken() -> None:
    lines = drawn(SwarmMap("lab", (column("w1", task("a-stack-with-a-very-long_name-of-a-service.1")),), ()), 40)

    assert len(lines) == 3
    assert lines[2].rstrip().endswith("…")


def test_states_that_are_not_running_are_told() -> None:
    lines = drawn(SwarmMap("lab", (column("w1", task("a.1", "starting"), task("b.1", "failed")),), ()))

    assert [line.rstrip() for line in lines[2:]] == ["◌ a.1 starting", "✗ b.1 failed"]


def test_many_tasks_of_a_node_are_counted() -> None:
    tasks = [*(task(f"web.{slot}") for slot in range(20)), task("web.21", "starting")]

    lines = drawn(SwarmMap("lab", (column("w1", *tasks),), ()))

    assert [line.rstrip() for line in lines[2:]] == ["● web ×20", "◌ web ×1 starting"]


def test_what_waits_is_told_with_its_reason() -> None:
    lines = drawn(SwarmMap("lab", (column("w1"),), (task("web.1", "pending", "no suitable node"),)))

    assert lines[-2:] == ["waiting", "◌ web.1 pending  no suitable node"]


def test_a_lab_without_nodes_is_an_empty_map() -> None:
    assert drawn(SwarmMap("lab", (), ())) == []


def test_what_stands_in_place_of_the_map_names_the_lab_too() -> None:
    with click.Context(click.Command("map")):
        note_lab("demo")

        assert str(_trouble(LabError("manager1 is down: `labctl start`"))) == "manager1 is down: `labctl -l demo start`"


def test_what_the_star_means_is_said() -> None:
    lines = drawn(SwarmMap("lab", (column("m1", leader=True),), (task("web.1", "pending", "no suitable node"),)))

    assert [line.strip() for line in lines[-2:]] == ["", "★ leads the managers"]
