"""Which faults cost the managers their majority, and which do not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from labctl.errors import UsageError
from labctl.faults import Scene, as_keyword, inject, kind_named, planned
from labctl.faults.majority import refuse_without_majority
from labctl.swarm import SwarmView

from ..nodes import raw_node
from .scenes import node, scene_of


def lab(managers: int, *, down: tuple[str, ...] = (), traces: dict[str, tuple[str, str]] | None = None) -> Scene:
    """Managers, and two workers; `traces` is the kind and the port or share of a fault that a node has."""
    names = [*(f"manager{number}" for number in range(1, managers + 1)), "worker1", "worker2"]
    made = []
    for name in names:
        lines = []
        if traces and name in traces:
            kind, value = traces[name]
            said = {"id": "abc123", "kind": kind, "target": name, "options": json.loads(value)}
            lines = [f"abc123 {json.dumps(said)}"]
        made.append(node(name, state="exited" if name in down else "running", traces=lines))
    return scene_of(*made)


def refused(scene: Scene, kind: str, on: str, **options: str) -> str:
    """Why it is refused; empty where it is not."""
    try:
        refuse_without_majority(scene, planned(kind_named(kind), on.split(), options))
    except UsageError as problem:
        return problem.message
    return ""


KEPT = [
    (3, "cut", "manager1", {}),
    (3, "partition", "manager1 manager2", {"from": "manager3,worker1,worker2"}),
    (3, "partition", "manager1 manager2 manager3", {"from": "worker1,worker2"}),
    (3, "partition", "manager1", {"from": "manager2"}),
    (1, "partition", "manager1", {"from": "worker1"}),
    (1, "block", "manager1", {"port": "2377"}),
    (3, "block", "manager1 manager2", {"port": "4789"}),
    (3, "loss", "manager1 manager2", {"share": "10%"}),
    (3, "disk", "manager1 manager2", {}),
    (3, "cut", "worker1 worker2", {}),
    (5, "stop", "manager1 manager2", {}),
]


@pytest.mark.parametrize(("managers", "kind", "on", "options"), KEPT)
def test_what_costs_no_majority_is_not_refused(managers: int, kind: str, on: str, options: dict[str, str]) -> None:
    assert refused(lab(managers), kind, on, **options) == ""


LOST = [
    (1, "cut", "manager1", {}),
    (1, "stop", "manager1", {}),
    (2, "pause", "manager1", {}),
    (2, "partition", "manager1", {"from": "manager2,worker1,worker2"}),
    (3, "kill", "manager1 manager2", {}),
    (3, "block", "manager1 manager2", {"port": "2377"}),
    (3, "loss", "manager1 manager2", {"share": "100%"}),
    (3, "mtu", "manager1 manager2", {}),
    (4, "partition", "manager1 manager2", {"from": "manager3,manager4"}),
    (2, "partition", "worker1 manager1", {"from": "manager2"}),
]


@pytest.mark.parametrize(("managers", "kind", "on", "options"), LOST)
def test_what_costs_the_majority_is_refused(managers: int, kind: str, on: str, options: dict[str, str]) -> None:
    assert "no majority" in refused(lab(managers), kind, on, **options)


@pytest.mark.parametrize(
    "standing", [("cut", "{}"), ("block", '{"port": "2377"}'), ("loss", '{"share": "95%"}'), ("engine-stop", "{}")]
)
def test_faults_that_act_already_count(standing: tuple[str, str]) -> None:
    scene = lab(3, traces={"manager3": standing})
    assert refused(scene, "cut", "manager3") == ""
    assert "1 of 3 would reach each other" in refused(scene, "cut", "manager1")


def test_managers_that_are_down_count_and_where_none_is_left_nothing_is_lost() -> None:
    assert "no majority" in refused(lab(3, down=("manager3",)), "cut", "manager1")
    assert refused(lab(3, down=("manager2", "manager3")), "cut", "manager1") == ""


def test_who_is_a_manager_the_swarm_says() -> None:
    scene = lab(1)
    roles = {"manager1": "manager", "worker1": "manager", "worker2": "manager"}
    scene.nodes[0].engine.script["GET /nodes"] = [  # type: ignore[attr-defined]  # a FakeEngine's
        raw_node(name, role=role) for name, role in roles.items()
    ]
    scene.swarmed = True
    scene.swarm = lambda: SwarmView(scene.nodes[0].engine)

    assert refused(scene, "cut", "manager1") == ""
    assert "without worker1, worker2" in refused(scene, "cut", "worker1 worker2")


def test_the_way_to_do_it_all_the_same_is_that_of_whoever_asks() -> None:
    for word, says in ((None, "`--yes`"), (as_keyword, "`sure=True`")):
        scene = lab(1)
        scene = scene if word is None else replace(scene, word=word)
        with pytest.raises(UsageError) as caught:
            inject(scene, planned(kind_named("stop"), ["manager1"]))
        assert says in str(caught.value.hint)
