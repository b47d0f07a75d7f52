"""lab.fault: what it takes, and what it refuses in one line that speaks Python."""

from __future__ import annotations

import math
from typing import Any

import pytest

from labctl.errors import NotFoundError, UsageError
from labctl.faults import inject, kind_named, notes, planned
from labctl.lab import Lab

from .waiting_lab import lab_in_memory

pytestmark = pytest.mark.usefixtures("state")


@pytest.fixture
def lab() -> Lab:
    return lab_in_memory(workers=3)


TAKEN: list[tuple[str, Any, dict[str, Any], dict[str, str]]] = [
    ("loss", "w1", {"share": 50}, {"share": "50"}),
    ("loss", "w1", {"share": 0.5}, {"share": "0.5"}),
    ("block", ["w1", "@worker:1"], {"port": 2377}, {"port": "2377"}),
    ("partition", "w1", {}, {"from": "manager1,worker2,worker3"}),
    ("partition", "w1", {"from_": "w2"}, {"from": "worker2"}),
    ("partition", "w1", {"from": "w2,w3"}, {"from": "worker2,worker3"}),
    ("partition", "w1", {"from_": ["w2", "m1"]}, {"from": "worker2,manager1"}),
]


@pytest.mark.parametrize(("kind", "on", "given", "options"), TAKEN)
def test_options_are_what_a_program_has_at_hand(
    lab: Lab, kind: str, on: Any, given: dict[str, Any], options: dict[str, str]
) -> None:
    assert dict(lab.fault(kind, on, **given).faults[0].options) == options


def test_nodes_are_taken_as_every_verb_takes_them(lab: Lab) -> None:
    assert [one.target for one in lab.fault("cut", lab.node("w2")).faults] == ["worker2"]
    assert [one.target for one in lab.fault("cut", [lab.node("w2"), "w1"]).faults] == ["worker2", "worker1"]
    (fault,) = lab.fault("partition", lab.node("w1"), from_=lab.node("w3")).faults
    assert fault.options["from"] == "worker3"


@pytest.mark.parametrize(("seconds", "left"), [(30, 30), (0.5, 0.5), ("30s", 30), ("5m", 300), (None, None)])
def test_a_time_is_seconds_or_a_text(lab: Lab, seconds: Any, left: float | None) -> None:
    (fault,) = lab.fault("cut", "w1", seconds=seconds).faults
    assert fault.left == (None if left is None else pytest.approx(left, abs=5))


NO_TIMES: tuple[Any, ...] = (0, -5, math.nan, math.inf, True, [])
REFUSED: list[tuple[str, Any, dict[str, Any], str]] = [
    *(("cut", "w1", {"seconds": bad}, f"seconds={bad!r} is no time") for bad in NO_TIMES),
    ("cut", "w1", {"seconds": "soon"}, "is no time"),
    ("cut", [], {}, "on=: the fault cut acts on a node"),
    ("bad-image", [], {}, "on=: the fault bad-image acts on a service"),
    ("cut", "w1", {"port": 1}, "the fault cut takes no port=; it takes none"),
    ("loss", "w1", {"share": "110%"}, "share=110%: expected a percentage"),
    ("loss", "w1", {"share": True}, "share=True: expected a text or a number"),
    ("loss", "w1", {"share": [50]}, "share=[50]: expected a text or a number"),
    ("partition", "w1", {"from_": 7}, "from=7: expected nodes"),
    ("partition", "w1", {"from_": "w1"}, "worker1 cannot be on both sides"),
    ("kill-tasks", "web", {"seconds": 5}, "a single blow"),
    ("bad-image", 7, {}, "on=7"),
    ("cut", 7, {}, "on=7"),
]


@pytest.mark.parametrize(("kind", "on", "given", "says"), REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(
    lab: Lab, kind: str, on: Any, given: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        lab.fault(kind, on, **given)
    assert says in caught.value.message
    assert "--" not in f"{caught.value.message} {caught.value.hint}".replace("`labctl", "")
    assert "\n" not in caught.value.message


def test_what_is_shown_of_a_fault_is_short(lab: Lab) -> None:
    assert len(repr(lab.fault("cut", "w1"))) < 300
    assert len(repr(lab)) < 300


VERBS = {
    "stop": lambda lab: lab.stop(["worker1"]),
    "stop all": lambda lab: lab.stop(),
    "kill": lambda lab: lab.kill(["worker1"]),
    "start": lambda lab: lab.start(["worker1"]),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_the_lab_ends_the_faults_of_its_nodes_and_of_no_others(lab: Lab, verb: str) -> None:
    faults = inject(lab.scene(), planned(kind_named("kill"), ["worker1", "worker2"]))

    VERBS[verb](lab.refresh())

    left = set(notes.targets(lab.name).values())
    assert left == (set() if verb == "stop all" else {"worker2"})
    assert len(faults) == 2


def test_targets_are_picked_by_share_and_the_same_seed_picks_the_same(lab: Lab) -> None:
    assert [node.name for node in lab.targets()] == [node.name for node in lab.nodes]
    picked = lab.targets("@worker", pick="50%", seed=7)
    assert len(picked) == 2
    assert lab.targets("@worker", pick="50%", seed="7") == picked
    assert [node.name for node in lab.targets(lab.node("w2"))] == ["worker2"]


def test_targets_have_the_label_and_run_the_service(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.lab.faulting._labelled", lambda _lab, label: {"worker1", "worker2", label})
    monkeypatch.setattr("labctl.lab.faulting._hosts_of", lambda _lab, service: {"worker2", "worker3", service})

    assert [node.name for node in lab.targets(label="zone=a", service="web")] == ["worker2"]
    assert [node.name for node in lab.targets("@worker", service="web")] == ["worker2", "worker3"]
    assert lab.targets("w3", label="zone=a") == []


@pytest.mark.parametrize("pick", ["0", "9", "many", "200%"])
def test_a_wrong_pick_is_refused_as_python_has_it(lab: Lab, pick: str) -> None:
    with pytest.raises(UsageError, match=r"^pick="):
        lab.targets("@worker", pick=pick)


def test_targets_of_a_name_that_means_no_node_are_refused(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="worker9"):
        lab.targets("worker9", pick=1)
