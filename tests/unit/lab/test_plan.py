"""What `up` would change, decided before anything is changed."""

from __future__ import annotations

import pytest

from labctl.backend import LabRecord
from labctl.errors import LabError, UsageError
from labctl.lab import plan_of
from labctl.node import Node
from labctl.spec import LabSpec

from ..nodes import fake_node, raw_info


def lab(*nodes: Node, spec: LabSpec | None = None, subnet: str = "10.0.0.0/24") -> LabRecord:
    return LabRecord("demo", lambda: spec or SPEC, subnet, "labctl-demo", nodes)


def names(nodes: tuple[object, ...]) -> list[str]:
    return [str(getattr(node, "name", "")) for node in nodes]


SPEC = LabSpec(name="demo", workers=1)


def test_where_nothing_stands_everything_is_made() -> None:
    plan = plan_of(SPEC, None)

    assert plan.is_new
    assert plan.changes
    assert names(plan.create) == ["manager1", "worker1"]


def test_where_all_stands_nothing_changes() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1"), fake_node("worker1")))

    assert not plan.is_new
    assert not plan.changes
    assert names(plan.keep) == ["manager1", "worker1"]


def test_a_node_that_is_missing_is_made() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1")))

    assert not plan.is_new
    assert names(plan.create) == ["worker1"]


def test_a_node_that_is_down_is_started() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1"), fake_node("worker1", state="exited")))

    assert names(plan.start) == ["worker1"]
    assert names(plan.create) == []


def test_a_node_that_is_suspended_goes_on() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1"), fake_node("worker1", state="paused")))

    assert names(plan.start) == ["worker1"]
    assert "resume  worker1 (worker), which is paused" in plan.lines()


def test_a_node_that_was_half_made_is_made_anew() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1"), fake_node("worker1", state="created")))

    assert names(plan.replace) == ["worker1"]
    assert names(plan.create) == ["worker1"]
    assert names(plan.start) == []


def test_a_lab_of_which_every_node_was_half_made_is_new() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1", state="created"), fake_node("worker1", state="created")))

    assert plan.is_new
    assert names(plan.replace) == ["manager1", "worker1"]


def test_a_network_that_was_left_alone_is_a_new_lab() -> None:
    assert plan_of(SPEC, lab()).is_new


def test_a_node_that_the_spec_does_not_name_stays() -> None:
    plan = plan_of(SPEC, lab(fake_node("manager1"), fake_node("worker1"), fake_node("worker2")))

    assert names(plan.extra) == ["worker2"]
    assert not plan.changes


def test_a_lab_that_lost_its_only_manager_cannot_be_mended() -> None:
    with pytest.raises(LabError, match="lab demo has lost its managers, and with them the swarm; worker1") as caught:
        plan_of(SPEC, lab(fake_node("worker1", api={"GET /info": raw_info("active")})))

    assert caught.value.exit_code == 3
    assert "labctl down -l demo" in (caught.value.hint or "")


def test_a_manager_that_was_only_half_made_is_a_lost_one() -> None:
    with pytest.raises(LabError, match="has lost its managers"):
        plan_of(
            SPEC,
            lab(fake_node("manager1", state="created"), fake_node("worker1", api={"GET /info": raw_info("active")})),
        )


def test_a_worker_that_was_promoted_keeps_the_swarm_and_the_manager_is_made_anew() -> None:
    promoted = fake_node("worker1", api={"GET /info": raw_info("active", manager=True)})

    assert names(plan_of(SPEC, lab(promoted)).create) == ["manager1"]


def test_a_manager_that_is_down_is_not_lost() -> None:
    assert names(plan_of(SPEC, lab(fake_node("manager1", state="exited"), fake_node("worker1"))).start) == ["manager1"]


def test_one_of_three_managers_that_is_lost_is_made_anew() -> None:
    spec = LabSpec(name="demo", managers=3, workers=0)

    assert names(plan_of(spec, lab(fake_node("manager1"), fake_node("manager2"))).create) == ["manager3"]


def test_bare_engines_have_no_swarm_to_lose() -> None:
    spec = LabSpec(name="demo", workers=1, swarm="empty")

    assert names(plan_of(spec, lab(fake_node("worker1"), spec=spec)).create) == ["manager1"]


def test_a_lab_does_not_move_to_another_subnet() -> None:
    spec = LabSpec(name="demo", workers=1, subnet="10.9.0.0/24")

    with pytest.raises(UsageError, match=r"stands on 10\.0\.0\.0/24, and 10\.9\.0\.0/24 was asked for"):
        plan_of(spec, lab(fake_node("manager1")))


def test_a_lab_keeps_its_backend() -> None:
    spec = LabSpec(name="demo", workers=1, backend="vagrant")

    with pytest.raises(UsageError, match="was made with --backend dind, and vagrant was asked for"):
        plan_of(spec, lab(fake_node("manager1")))


def test_the_plan_of_a_new_lab_reads_as_what_will_be_made() -> None:
    assert plan_of(SPEC, None).lines() == [
        "create  lab demo (dind)",
        "create  manager1 (manager)",
        "create  worker1 (worker)",
    ]


def test_the_plan_of_a_standing_lab_reads_as_what_will_change() -> None:
    standing = lab(fake_node("manager1"), fake_node("worker1", state="exited"), fake_node("worker9"))
    spec = LabSpec(name="demo", workers=2)

    assert plan_of(spec, standing).lines() == [
        "keep    lab demo (dind)",
        "create  worker2 (worker)",
        "start   worker1 (worker), which is exited",
        "keep    manager1 (manager)",
        "keep    worker9 (worker), which the spec does not name",
    ]


@pytest.mark.parametrize(("had", "told"), [(True, "with"), (False, "without")])
def test_the_devices_of_a_lab_that_stands_do_not_change(had: bool, told: str) -> None:
    made, wanted = (LabSpec(name="demo", workers=1, privileged_tasks=open_) for open_ in (had, not had))

    with pytest.raises(UsageError, match=f"was made {told} privileged_tasks, and stays so"):
        plan_of(wanted, lab(fake_node("manager1"), spec=made))


@pytest.mark.parametrize(("had", "told"), [(True, "with"), (False, "without")])
def test_a_registry_neither_comes_to_a_lab_nor_goes_from_it(had: bool, told: str) -> None:
    made, wanted = (LabSpec(name="demo", workers=1, registry=registry) for registry in (had, not had))

    with pytest.raises(UsageError, match=f"was made {told} a registry, and stays so"):
        plan_of(wanted, lab(fake_node("manager1"), fake_node("worker1"), spec=made))
