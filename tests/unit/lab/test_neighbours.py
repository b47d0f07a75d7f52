"""What nodes no longer know of each other is found, told with what mends it, and mended the mildest way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.backend.dind.renaming import FOR_A_MOMENT, put_back_names
from labctl.engine.fake import Asked, FakeEngine
from labctl.errors import EngineRefused, LabError
from labctl.events import Event, Noted
from labctl.lab.form import START_OVER
from labctl.lab.gossip import ASK_CIRCLE
from labctl.lab.neighbours import ASK, neighbour_problems, refuse_lost_neighbours
from labctl.lab.restoring import restore_circle, restore_names
from labctl.owner import marks
from labctl.spec import LabSpec, labels
from labctl.transport import Result
from labctl.transport.base import shown

from ..nodes import FakeNode, fake_node, raw_info

SPEC = LabSpec(name="lab", workers=2)
CIRCLE = shown(ASK_CIRCLE)
NOBODY = "OK\ntotal entries: 0\n"
NAMES = ("manager1", "worker1", "worker2")
NO_NAMES = "this host's engine has lost the names, and `labctl start` restores what is lost"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.lab.gossip.ENTERS_WITHIN", 0)


@pytest.fixture
def nodes() -> dict[str, FakeNode]:
    return {name: fake_node(name, address=f"10.0.0.{number}") for number, name in enumerate(NAMES, start=11)}


def beside(kind: str, state: str = "running") -> dict[str, Any]:
    return {"Id": kind, "Names": [f"/lab-{kind}"], "State": state, "Labels": marks("lab", kind)}


REGISTRY = [beside("registry")]


def record(nodes: Mapping[str, FakeNode], spec: LabSpec = SPEC) -> LabRecord:
    return LabRecord("lab", lambda: spec, "10.0.0.0/24", "labctl-lab", tuple(nodes.values()))


def miss(node: FakeNode, *names: str) -> None:
    node.shell.answers[ASK] = "".join(f"missed {name}\n" for name in names)


def test_names_that_the_hosts_engine_has_lost_are_told_once_with_the_command_that_restores_them(
    nodes: dict[str, FakeNode],
) -> None:
    for name, following in zip(NAMES, (*NAMES[1:], NAMES[0]), strict=True):
        miss(nodes[name], "registry", "hub", following)

    assert neighbour_problems(record(nodes), REGISTRY, NAMES) == [
        f"no node finds registry, hub, worker1, worker2, manager1: {NO_NAMES}"
    ]


def test_a_node_that_hears_nothing_while_others_do_is_the_one_to_start_over(nodes: dict[str, FakeNode]) -> None:
    miss(nodes["worker1"], "registry", "hub", "worker2")

    (told,) = neighbour_problems(record(nodes), REGISTRY, NAMES)

    assert told.startswith("worker1 finds nothing of the lab by name, and other nodes do: `labctl restart worker1`")


def test_one_name_that_is_lost_makes_nobody_deaf(nodes: dict[str, FakeNode]) -> None:
    miss(nodes["worker1"], "worker2")

    (told,) = neighbour_problems(record(nodes), REGISTRY, NAMES)

    assert told.startswith("no node finds worker2: this host's engine has lost the name, and")


@pytest.mark.parametrize(
    ("extras", "asked"),
    [
        (REGISTRY, "registry hub worker1"),
        ([*REGISTRY, beside("hub", "exited")], "registry worker1"),
        ([*REGISTRY, beside("hub")], "registry hub worker1"),
        ([beside("registry", "exited")], "worker1"),
        ([], "worker1"),
    ],
)
def test_nobody_is_asked_for_what_does_not_run(
    nodes: dict[str, FakeNode], monkeypatch: pytest.MonkeyPatch, extras: list[Any], asked: str
) -> None:
    given: list[str] = []

    def run(*_: object, env: Mapping[str, str], **__: object) -> Result:
        given.append(env["NAMES"])
        return Result("", 0)

    monkeypatch.setattr(nodes["manager1"].transport, "run", run)

    assert neighbour_problems(record(nodes), extras, NAMES) == []
    assert given == [asked]


def test_machines_with_a_file_of_names_are_asked_for_their_circle_alone(nodes: dict[str, FakeNode]) -> None:
    nodes["worker1"].shell.answers |= {ASK: NOBODY, CIRCLE: NOBODY}
    machines = LabSpec(name="lab", workers=2, backend="vagrant")

    (told,) = neighbour_problems(record(nodes, machines), [], NAMES)

    assert told.startswith("the engine of worker1 has lost its own place among the swarm's engines")


def test_a_node_that_is_down_or_moved_is_neither_asked_nor_asked_for(nodes: dict[str, FakeNode]) -> None:
    nodes["worker1"] = fake_node("worker1", state="exited")
    object.__setattr__(nodes["worker2"], "moved_to", "10.0.0.99")

    assert neighbour_problems(record(nodes), [], NAMES) == []
    assert nodes["worker1"].shell.commands == nodes["worker2"].shell.commands == []


def test_an_engine_outside_the_circle_of_a_swarm_that_it_is_not_in_is_no_problem(nodes: dict[str, FakeNode]) -> None:
    nodes["worker1"].shell.answers |= {ASK: NOBODY, CIRCLE: NOBODY}

    assert neighbour_problems(record(nodes), [], ["manager1", "worker2"]) == []


def test_verify_raises_all_of_it(nodes: dict[str, FakeNode]) -> None:
    miss(nodes["worker1"], "registry", "hub", "worker2")
    nodes["worker2"].shell.answers |= {ASK: NOBODY, CIRCLE: NOBODY}

    with pytest.raises(LabError, match=r"worker1 finds nothing .*\nthe engine of worker2 has lost its own place"):
        refuse_lost_neighbours(record(nodes), REGISTRY, NAMES)


class Host(FakeEngine):
    """An engine that has a lab's containers; `hears` what is renamed."""

    def __init__(self, hears: Callable[[str], object] = lambda _: None) -> None:
        names = {"registry": "registry", "edge": "edge", **dict.fromkeys(NAMES, "node")}
        self.there = [
            {"Id": name, "Names": [f"/lab-{name}"], "State": "running", "Labels": marks("lab", kind)}
            for name, kind in names.items()
        ]
        self.renamed: list[tuple[str, str]] = []
        self.hears = hears
        script = {f"POST /containers/{name}/rename": self._rename for name in names}
        super().__init__({"GET /containers/json": self.there, **script})

    def _rename(self, asked: Asked) -> None:
        container = asked.path.split("/")[2]
        self.renamed.append((container, asked.query["name"]))
        self.hears(container)


def test_names_are_taken_up_again_without_anything_being_started_over(
    nodes: dict[str, FakeNode], heard: list[Event]
) -> None:
    miss(nodes["manager1"], "registry", "hub", "worker1")
    miss(nodes["worker1"], "registry", "hub", "worker2")
    miss(nodes["worker2"], "registry", "hub", "manager1")

    def hear_again(_: str) -> None:
        for node in nodes.values():
            miss(node)

    host = Host(hear_again)

    restore_names(host, record(nodes), heard.append)

    found_by_name = ["registry", *NAMES]
    assert host.renamed == [(one, name) for one in found_by_name for name in (f"lab-{one}{FOR_A_MOMENT}", f"lab-{one}")]
    assert heard == [
        Noted(
            "registry, hub, worker1, worker2, manager1: found by no node; this host's engine takes up the lab's "
            "names again"
        )
    ]


def test_where_nothing_is_lost_nothing_is_renamed(nodes: dict[str, FakeNode], heard: list[Event]) -> None:
    host = Host()

    restore_names(host, record(nodes), heard.append)

    assert (host.renamed, heard) == ([], [])


def test_a_node_whose_name_stays_lost_is_told_with_the_way_back(nodes: dict[str, FakeNode]) -> None:
    miss(nodes["worker1"], "worker2")

    with pytest.raises(LabError, match="no node finds worker2 by name: `docker network disconnect") as caught:
        restore_names(Host(), record(nodes), lambda _: None)

    assert "--ip 10.0.0.13 --alias worker2 --alias w2 labctl-lab" in caught.value.message


def test_a_registry_that_stays_lost_starts_over_and_is_told_where_that_helps_not(
    nodes: dict[str, FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in nodes.values():
        miss(node, "registry", "hub")
    host = Host()
    host.script |= {"POST /containers/registry/stop": None, "POST /containers/registry/start": None}
    monkeypatch.setattr("labctl.lab.restoring.open_registry", lambda *_: FakeEngine())

    with pytest.raises(LabError, match="no node finds registry, hub by name: `docker rm -f lab-registry` and"):
        restore_names(host, record(nodes), lambda _: None)

    assert [str(one) for one in host.asked if one.path.endswith(("stop", "start"))] == [
        "POST /containers/registry/stop",
        "POST /containers/registry/start",
    ]


def test_a_name_that_a_killed_command_left_is_put_back() -> None:
    host = Host()
    host.there[0]["Names"] = [f"/lab-registry{FOR_A_MOMENT}"]

    put_back_names(host, "lab")

    assert host.renamed == [("registry", "lab-registry")]


def test_a_name_that_somebody_took_meanwhile_keeps_nobody_from_changing_the_lab() -> None:
    host = Host()
    host.there[0]["Names"] = [f"/lab-registry{FOR_A_MOMENT}"]
    host.script["POST /containers/registry/rename"] = EngineRefused("the name is in use", status=409)

    put_back_names(host, "lab")

    assert host.asked[-1].query == {"name": "lab-registry"}


def test_a_container_of_somebody_else_keeps_its_name() -> None:
    host = Host()
    host.there[0] |= {"Names": [f"/lab-registry{FOR_A_MOMENT}"], "Labels": {labels.LAB: "lab", labels.OWNER: "x@1"}}

    put_back_names(host, "lab")

    assert host.renamed == []


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_only_an_engine_that_is_in_the_swarm_starts_over_for_its_circle(
    nodes: dict[str, FakeNode], heard: list[Event], state: str
) -> None:
    for node in nodes.values():
        node.shell.answers |= {CIRCLE: "", START_OVER: ""}
        node.api["GET /info"] = raw_info()
    worker = nodes["worker1"]
    worker.shell.answers[CIRCLE] = NOBODY
    worker.api |= {"GET /info": raw_info(state), "GET /_ping": {"Server": "Docker/26.1.5 (linux)"}}

    done = restore_circle(list(nodes.values()), FakeBackend(), heard.append)

    assert done == [worker] * (state == "active")
    assert [START_OVER in node.shell.commands for node in nodes.values()] == [False, state == "active", False]
