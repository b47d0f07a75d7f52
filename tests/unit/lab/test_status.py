"""What a lab is like now: every part is looked at, and a part that does not answer is a problem, not an error."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import LabRecord
from labctl.engine.client import tar_of
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, EngineUnreachable, LabError
from labctl.faults import Fault, notes
from labctl.faults.innode import LIST
from labctl.follower.files import State, Way
from labctl.follower.managers import PROBE
from labctl.lab import Context, LabStatus, NodeStatus, status_of
from labctl.lab.addresses import refuse_moved
from labctl.lab.plan import plan_of
from labctl.lab.status import _trouble_of
from labctl.node import Node
from labctl.spec import LabSpec, labels
from labctl.swarm.caveats import ESP_TRY
from labctl.transport import Result

from ..nodes import ON_INGRESS, RAW_INGRESS, FakeNode, fake_node, raw_info, raw_node, raw_service

SPEC = LabSpec(name="demo", workers=1)


def extra(kind: str, *, state: str = "running", port: str = "5000") -> dict[str, Any]:
    marks = {labels.LAB: "demo", labels.KIND: kind, labels.PORT: port}
    return {"Id": kind, "Names": [f"/demo-{kind}"], "State": state, "Labels": marks}


def look(
    *nodes: Node, spec: LabSpec | None = SPEC, extras: list[dict[str, Any]] | None = None, proxy: State | None = None
) -> LabStatus:
    said = tar_of({"state.json": (json.dumps(proxy.to_json()).encode(), 0o600)}) if proxy else None
    context = Context(
        FakeEngine(
            {
                "GET /containers/json": [extra("registry")] if extras is None else extras,
                "GET /containers/demo-edge/archive": said or EngineRefused("no such file", status=404),
            }
        )
    )
    return status_of(context, LabRecord("demo", lambda: spec, "10.0.0.0/24", "labctl-demo", nodes))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All answers here come at once, and a busy machine may take its time to get to them."""
    monkeypatch.setattr("labctl.swarm.cluster.DECISION_LIMIT", 60.0)


@pytest.fixture
def manager() -> FakeNode:
    return fake_node(
        "manager1",
        api={
            "GET /swarm": {},
            "GET /nodes": [raw_node("manager1", leader=True), raw_node("worker1")],
            "GET /services": [raw_service("web")],
            "GET /networks": [RAW_INGRESS],
            "GET /networks/id-ingress": ON_INGRESS,
            "GET /info": raw_info("active", manager=True, node_id="id-manager1", cluster="the-labs"),
        },
    )


@pytest.fixture
def worker() -> FakeNode:
    return fake_node(
        "worker1",
        address="10.0.0.12",
        api={"GET /info": raw_info("active", node_id="id-worker1"), "GET /networks/id-ingress": ON_INGRESS},
    )


NOT_HERE = EngineRefused("network id-ingress not found", status=404)
OLD_ONE = {"Id": "id-old", "Name": "ingress", "Driver": "overlay", "Ingress": True}


@pytest.mark.parametrize(
    ("here", "networks", "told"),
    [
        (NOT_HERE, [], "worker1 is not on the ingress network, and refuses published ports: `labctl verify` lets it"),
        # a manager's engine knows it from the swarm
        ({**RAW_INGRESS, "Containers": None}, [RAW_INGRESS], "worker1 is not on the ingress network, and refuses"),
        (
            NOT_HERE,
            [OLD_ONE],
            "worker1 is still on an ingress network that was removed, and refuses published ports: `la",
        ),
    ],
    ids=["worker", "manager", "old-one"],
)
def test_a_node_that_has_not_entered_an_ingress_network_made_anew_is_a_problem(
    manager: FakeNode, worker: FakeNode, here: Any, networks: list[Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.swarm.caveats.ENTERS_WITHIN", 0)
    worker.api |= {"GET /networks/id-ingress": here, "GET /networks": networks}

    (problem,) = look(manager, worker).problems

    assert problem.startswith(told)


def test_a_node_that_has_just_joined_may_take_a_moment_to_enter_it(manager: FakeNode, worker: FakeNode) -> None:
    said: list[Any] = [ON_INGRESS, NOT_HERE]
    worker.api |= {"GET /networks/id-ingress": lambda _asked: said.pop(), "GET /networks": []}

    assert look(manager, worker).is_good


def test_a_node_whose_engine_does_not_tell_of_its_networks_is_not_said_to_lack_one(
    manager: FakeNode, worker: FakeNode
) -> None:
    worker.api["GET /networks/id-ingress"] = EngineUnreachable("silent")

    assert look(manager, worker).is_good


def test_a_lab_in_which_all_is_well_has_no_problems(manager: FakeNode, worker: FakeNode) -> None:
    found = look(manager, worker)

    assert found.is_good
    assert found.swarm == "2 of 2 nodes ready, manager1 leads"
    assert found.services == 1
    assert [(node.name, node.swarm, node.manager) for node in found.nodes] == [
        ("manager1", "ready", "leader"),
        ("worker1", "ready", ""),
    ]


def test_a_member_that_is_no_node_of_the_lab_is_told_with_its_mend(manager: FakeNode, worker: FakeNode) -> None:
    ghost, guest = raw_node("worker2", state="down"), raw_node("laptop")
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1"), ghost, guest]

    found = look(manager, worker)

    assert found.problems == (
        "worker2 is on the swarm's list (worker, down) and is no node of the lab: `labctl up` takes it off",
    )


def test_a_member_without_a_machine_hides_no_node_that_the_swarm_misses(manager: FakeNode, worker: FakeNode) -> None:
    ghost = raw_node("worker2", state="down")
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down"), ghost]

    told = " ".join(look(manager, worker).problems)

    assert "worker2 is on the swarm's list" in told
    assert "worker1" in told


def test_a_node_that_is_down_is_a_problem_with_its_mend(manager: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]

    found = look(manager, fake_node("worker1", state="exited"))

    assert found.problems == ("worker1 is exited: `labctl start worker1`",)
    assert found.swarm == "1 of 2 nodes ready, manager1 leads"


def test_a_node_that_is_suspended_is_a_problem_with_its_mend(manager: FakeNode) -> None:
    found = look(manager, fake_node("worker1", state="paused"))

    assert found.problems == ("worker1 is paused: `labctl resume worker1`",)
    assert [node.state for node in found.nodes] == ["running", "paused"]


def test_a_node_that_was_removed_behind_labctls_back_is_a_problem_with_its_mend(manager: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]

    found = look(manager)

    assert not found.is_good
    assert found.problems == ("worker1 is gone: `labctl up` recreates it",)
    assert [(node.name, node.role, node.state, node.swarm) for node in found.nodes] == [
        ("manager1", "manager", "running", "ready"),
        ("worker1", "worker", "gone", "down"),
    ]


def test_where_all_managers_were_removed_status_says_what_up_would(worker: FakeNode) -> None:
    worker.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)

    problems = look(worker).problems

    with pytest.raises(LabError) as refused:
        plan_of(SPEC, LabRecord("demo", lambda: SPEC, "10.0.0.0/24", "labctl-demo", (worker,)))
    assert problems == (f"{refused.value.message}: {refused.value.hint}",)
    assert "`labctl down -l demo` and `labctl up -l demo`" in problems[0]


def test_up_is_not_advised_for_a_node_of_a_lab_without_its_network(manager: FakeNode) -> None:
    context = Context(FakeEngine({"GET /containers/json": [extra("registry")]}))

    found = status_of(context, LabRecord("demo", lambda: SPEC, None, None, (manager,)))

    assert not [told for told in found.problems if "worker1 is gone" in told]
    assert [(node.name, node.state) for node in found.nodes][-1] == ("worker1", "gone")


def test_a_network_that_was_removed_behind_labctls_back_is_named_first(manager: FakeNode, worker: FakeNode) -> None:
    context = Context(FakeEngine({"GET /containers/json": []}))

    found = status_of(context, LabRecord("demo", lambda: SPEC, None, None, (manager, worker)))

    assert found.problems[0].startswith("the lab's network is gone: `labctl down -l demo` and")


def test_a_node_that_is_not_in_the_swarm_is_a_problem_with_its_mend(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True)]

    assert look(manager, worker).problems == (
        "worker1 is not in the lab's swarm (that of manager1), though its engine is in one: `labctl up` lets it join",
    )
    worker.api["GET /info"] = raw_info("inactive")
    assert look(manager, worker).problems == ("worker1 is not in the swarm any more: `labctl up` lets it join again",)


def test_a_manager_of_another_swarm_is_named_while_the_labs_still_takes_it_for_ready(
    manager: FakeNode, worker: FakeNode
) -> None:
    worker.api["GET /info"] = raw_info("active", manager=True, node_id="new", cluster="its-own")

    found = look(manager, worker)

    assert found.swarm == "1 of 2 nodes ready, manager1 leads"
    assert [node.swarm for node in found.nodes] == ["ready", "elsewhere"]
    (problem,) = found.problems
    assert problem.startswith("worker1 is in another swarm, not in the lab's (that of manager1): ")
    assert "`labctl ssh worker1 docker swarm leave --force`" in problem


def test_a_worker_of_another_swarm_is_let_in_again_by_up(manager: FakeNode, worker: FakeNode) -> None:
    worker.api["GET /info"] = raw_info("active", node_id="new")

    (problem,) = look(manager, worker).problems

    assert problem.endswith("though its engine is in one: `labctl up` lets it join")


@pytest.mark.parametrize(("role", "vote"), [("worker", ""), ("manager", ", as a manager with a vote")])
def test_what_a_node_was_before_it_left_and_joined_again_is_told(
    manager: FakeNode, worker: FakeNode, role: str, vote: str
) -> None:
    before = [raw_node("worker1", id_=one, state="down", role=role) for one in ("old", "older")]
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1"), *before]
    for one in before:
        one.get("ManagerStatus", {})["Reachability"] = ""

    found = look(manager, worker)

    told = f"worker1 is on the swarm's list 2 times more{vote}, since it left and joined again: `labctl up` ends that"
    assert (found.problems, found.warnings) == (((told,), ()) if vote else ((), (told,)))


def test_a_ghost_does_not_hide_the_node_that_took_its_place(manager: FakeNode, worker: FakeNode) -> None:
    ghost = raw_node("worker1", id_="old", state="down")
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1"), ghost]

    assert [node.swarm for node in look(manager, worker).nodes] == ["ready", "ready"]


def test_the_role_is_the_swarms_word_after_a_promotion(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", role="manager")]

    assert [(node.role, node.manager) for node in look(manager, worker).nodes] == [
        ("manager", "leader"),
        ("manager", "reachable"),
    ]


def test_a_manager_that_the_others_do_not_reach_is_a_problem_with_its_mend(manager: FakeNode, worker: FakeNode) -> None:
    cut_off = raw_node("worker1", role="manager")
    cut_off["ManagerStatus"]["Reachability"] = "unreachable"
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), cut_off]

    found = look(manager, worker)

    assert found.problems == ("worker1 does not answer the other managers: `labctl restart worker1`",)


@pytest.mark.parametrize(
    ("extras", "told"), [([], "the registry is gone"), ([extra("registry", state="exited")], "the registry is exited")]
)
def test_a_registry_that_does_not_run_is_a_problem_with_its_mend(
    manager: FakeNode, worker: FakeNode, extras: list[dict[str, Any]], told: str
) -> None:
    assert look(manager, worker, extras=extras).problems == (
        f"{told}, and no image can be pulled: `labctl up` brings it back",
    )
    without = LabSpec(name="demo", workers=1, registry=False)
    assert look(manager, worker, extras=[], spec=without).is_good


def test_that_the_hosts_devices_are_open_is_told(manager: FakeNode, worker: FakeNode) -> None:
    assert not look(manager, worker).privileged_tasks
    opened = look(manager, worker, spec=LabSpec(name="demo", workers=1, privileged_tasks=True))
    assert opened.privileged_tasks
    assert opened.to_dict()["privileged_tasks"] is True
    assert opened.is_good, "it was asked for"


def test_a_lost_quorum_is_a_problem_with_its_mend(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineRefused("The swarm does not have a leader", status=500)
    worker.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)

    found = look(manager, worker)

    assert not found.is_good
    (problem,) = found.problems
    assert "does not have a leader" in problem
    assert "labctl restart" in problem


def test_engines_that_do_not_answer_are_a_problem_that_is_told_once(manager: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineUnreachable("connection refused")

    found = look(manager)

    assert sum("connection refused" in told for told in (found.swarm, *found.problems)) == 1
    assert found.services is None, "nobody counted them"


def test_an_engine_that_says_nothing_is_named_while_the_swarm_still_takes_its_node_for_ready(
    manager: FakeNode, worker: FakeNode
) -> None:
    worker.api["GET /info"] = EngineUnreachable("no answer")

    assert look(manager, worker).problems == (
        "the engine of worker1 does not answer: `labctl restart worker1` starts it over, with its containers",
    )


def test_a_locked_manager_is_told_with_the_command_that_unlocks_it(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineRefused("Swarm is encrypted and needs to be unlocked", status=503)
    manager.api["GET /info"] = raw_info("locked")
    worker.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)

    told = "manager1 is locked: `labctl ssh manager1 docker swarm unlock` asks for the key"
    assert look(manager, worker).problems == (told,)


def test_a_manager_that_left_its_swarm_is_told_with_what_is_lost(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)
    manager.api["GET /info"] = raw_info("inactive")
    worker.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)

    (problem,) = look(manager, worker).problems

    assert problem.startswith("manager1 has left its swarm; the swarm of worker1 has no manager any more")
    assert problem.endswith("`labctl up` makes a new one of all nodes")


def test_a_swarm_that_was_never_made_is_told_as_that_and_not_as_left(manager: FakeNode, worker: FakeNode) -> None:
    for node in (manager, worker):
        node.api["GET /swarm"] = EngineRefused("This node is not a swarm manager", status=503)
        node.api["GET /info"] = raw_info("inactive")
        node.api["GET /networks/docker_gwbridge"] = EngineRefused("no such network", status=404)

    told = "the swarm of lab demo was never made, by an `up` that was killed: `labctl up` makes it"
    assert look(manager, worker).problems == (told,)
    manager.api["GET /networks/docker_gwbridge"] = {"Name": "docker_gwbridge"}
    assert look(manager, worker).problems == ("manager1 has left its swarm: `labctl up` makes a new one of all nodes",)


def test_a_lab_of_which_no_node_was_made_is_told_with_what_helps() -> None:
    found = look(extras=[])

    assert found.problems == (
        "lab demo has no node: the `up` that began it was killed, or its machines were removed: "
        "`labctl up -l demo` makes them, `labctl down -l demo` removes what is left.",
    )


def test_the_probe_of_a_verify_that_was_killed_is_told_and_is_no_service_of_the_users(
    manager: FakeNode, worker: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = raw_service("labctl-probe-1")
    probe["Spec"]["Labels"] = {PROBE: "1"}
    manager.api["GET /services"] = [probe, raw_service("web")]
    held = [False, True]
    monkeypatch.setattr(Context, "is_held", lambda _self, _lab: held.pop(0))

    left, tried_now = look(manager, worker), look(manager, worker)

    (warning,) = left.warnings
    assert "(labctl-probe-1): `labctl verify` removes it" in warning
    assert left.is_good
    assert left.services == 1
    assert tried_now.warnings == ()


@pytest.mark.usefixtures("state")
def test_a_lab_is_held_while_a_command_changes_it() -> None:
    context = Context(FakeEngine())

    assert not context.is_held("demo")
    with ThreadPoolExecutor(1) as aside, context.held("demo"):
        assert aside.submit(context.is_held, "demo").result()


def test_a_node_that_was_given_another_address_is_shown_with_it_and_with_the_way_back(
    manager: FakeNode, worker: FakeNode
) -> None:
    worker.moved_to, worker.machine = "10.0.0.77", "demo-worker1"

    found = look(manager, worker)

    assert [node.address for node in found.nodes] == ["10.0.0.11", "10.0.0.77"]
    (problem,) = found.problems
    assert problem.startswith("worker1 has the address 10.0.0.77 now, and the others look for it at 10.0.0.12: ")
    assert "`docker network disconnect labctl-demo demo-worker1`" in problem
    back = "--ip 10.0.0.12 --alias worker1 --alias w1 labctl-demo demo-worker1"
    assert f"`docker network connect {back}`" in problem


def test_a_node_that_was_taken_off_the_network_is_told_as_that_and_not_as_silent(
    manager: FakeNode, worker: FakeNode
) -> None:
    worker.moved_to = ""
    worker.api["GET /info"] = EngineUnreachable("no answer")

    (problem,) = look(manager, worker).problems

    assert problem.startswith("worker1 was taken off the lab's network, where the others look for it at 10.0.0.12: ")
    assert "disconnect" not in problem


def test_what_is_not_where_it_belongs_is_not_tried(manager: FakeNode, worker: FakeNode) -> None:
    record = LabRecord("demo", lambda: SPEC, "10.0.0.0/24", "labctl-demo", (manager, worker))
    worker.moved_to = "10.0.0.77"

    refuse_moved(record, [manager])
    with pytest.raises(LabError, match=r"worker1 has the address 10\.0\.0\.77 now"):
        refuse_moved(record, [manager, worker])


def test_a_node_whose_engine_gave_the_swarm_up_is_told_with_its_reason(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]
    worker.api["GET /info"] = raw_info("error", error="certificate has expired")

    (problem,) = look(manager, worker).problems

    assert problem.startswith("worker1 cannot take part in its swarm (certificate has expired): ")


def test_a_manager_that_left_while_others_stay_is_told_as_that(manager: FakeNode) -> None:
    left = fake_node("manager2", api={"GET /info": raw_info("inactive")})
    gone = raw_node("manager2", state="down")
    gone["ManagerStatus"]["Reachability"] = "unreachable"
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("manager3"), gone]
    third = fake_node("manager3", api={"GET /info": raw_info(manager=True, node_id="id-manager3", cluster="the-labs")})
    third.api["GET /networks/id-ingress"] = ON_INGRESS

    told = "manager2 is not in the swarm any more: `labctl up` lets it join again"
    assert look(manager, left, third, spec=LabSpec(name="demo", managers=3, workers=0)).problems == (told,)


def test_one_of_two_managers_that_left_is_told_with_the_cure_while_the_other_still_answers(manager: FakeNode) -> None:
    left = fake_node("manager2", api={"GET /info": raw_info("inactive", node_id="")})
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("manager2")]

    found = look(manager, left, spec=LabSpec(name="demo", managers=2, workers=0))

    (problem,) = found.problems
    assert problem.startswith("1 of the swarm's 2 managers is left (manager1)")
    assert "docker swarm init --force-new-cluster --advertise-addr 10.0.0.11`" in problem


def test_one_of_two_managers_that_was_removed_is_told_with_the_cure_alone(manager: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("manager2")]

    (problem,) = look(manager, spec=LabSpec(name="demo", managers=2, workers=0)).problems

    assert "docker swarm init --force-new-cluster" in problem


def test_a_majority_that_left_is_told_with_the_cure_before_what_the_last_one_waits_for(manager: FakeNode) -> None:
    none = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node'
    inactive = raw_info("inactive")
    left = fake_node("manager2", api={"GET /swarm": EngineRefused(none, status=503), "GET /info": inactive})
    manager.api |= {
        "GET /swarm": EngineRefused("The swarm does not have a leader", status=500),
        "GET /info": raw_info("pending", manager=True),
    }

    (problem,) = look(manager, left, spec=LabSpec(name="demo", managers=2, workers=0)).problems

    assert "`labctl ssh manager1 docker swarm init --force-new-cluster" in problem


def test_a_promoted_worker_whose_machine_was_removed_is_counted_as_the_manager_that_it_was(manager: FakeNode) -> None:
    manager.api["GET /swarm"] = EngineRefused("The swarm does not have a leader", status=500)
    voters = [{"NodeID": "n1", "Addr": "10.0.0.11:2377"}, {"NodeID": "n2", "Addr": "10.0.0.12:2377"}]
    manager.api["GET /info"] = {"Swarm": {**raw_info("active", manager=True)["Swarm"], "RemoteManagers": voters}}

    (problem,) = look(manager).problems

    assert "worker1 cannot come back into it" in problem
    assert "`labctl ssh manager1 docker swarm init --force-new-cluster --advertise-addr 10.0.0.11`" in problem


def test_bare_engines_need_no_swarm() -> None:
    bare = fake_node("manager1", api={"GET /info": raw_info("inactive")})

    found = look(bare, spec=LabSpec(name="demo", workers=0, swarm="empty"))

    assert found.is_good
    assert found.swarm == "none was asked for"
    assert [node.swarm for node in found.nodes] == ["no swarm"]


def test_a_swarm_that_was_formed_by_hand_is_shown(manager: FakeNode, worker: FakeNode) -> None:
    for node in (manager, worker):
        node.api["GET /info"] = raw_info("active")

    found = look(manager, worker, spec=LabSpec(name="demo", workers=1, swarm="empty"))

    assert found.swarm == "2 of 2 nodes ready, manager1 leads"


def test_a_lab_whose_spec_is_lost_is_taken_for_a_formed_one(manager: FakeNode, worker: FakeNode) -> None:
    found = look(manager, worker, spec=None)

    assert (found.backend, found.is_good) == ("dind", True)


def test_a_node_that_a_new_leader_has_not_heard_of_needs_no_mend() -> None:
    told = _trouble_of(NodeStatus("worker1", "worker", "running", "10.0.0.2", "", swarm="unknown"))

    assert told == "worker1 has not reported to the swarm's new leader yet: it does within some seconds"


def test_a_node_that_runs_and_is_down_to_the_swarm_is_restarted() -> None:
    told = _trouble_of(NodeStatus("worker1", "worker", "running", "10.0.0.2", "", swarm="down"))

    assert told == "worker1 runs, and is down to the swarm: `labctl restart worker1`"


def test_the_mesh_is_the_kernels_where_no_agent_left_word(manager: FakeNode) -> None:
    assert look(manager).mesh == "the kernel's own (ip_vs)"


@pytest.mark.parametrize(("switch", "told"), [("on", "not there yet"), ("off", "the kernel's own (ip_vs)")])
def test_an_agent_that_has_still_to_start_is_not_taken_for_the_kernel(
    manager: FakeNode, switch: str, told: str
) -> None:
    manager.put(f"UPLINK_MTU=1400\nMESH={switch}\n".encode(), "/etc/labctl/environment")

    assert look(manager).mesh == told


@pytest.mark.parametrize(("error", "told"), [(None, "lacks"), ("nft failed", "lacks; nft failed")])
def test_a_mesh_that_is_made_up_for_is_told(manager: FakeNode, error: str | None, told: str) -> None:
    manager.put(json.dumps({"mode": "nat", "error": error}).encode(), "/run/labctl/mesh.json")

    found = look(manager)

    assert found.mesh.startswith("labctl's own, in the place of ip_vs")
    assert found.mesh.endswith(told)


def test_a_mesh_that_the_kernel_serves_after_all_is_the_kernels(manager: FakeNode) -> None:
    manager.put(json.dumps({"mode": "ipvs"}).encode(), "/run/labctl/mesh.json")

    assert look(manager).mesh == "the kernel's own (ip_vs)"


def test_a_mesh_that_left_no_sense_is_unknown(manager: FakeNode) -> None:
    manager.put(b"half a li", "/run/labctl/mesh.json")

    assert look(manager).mesh.startswith("unknown")


def test_every_nodes_agent_is_looked_at_and_named_with_the_cure(manager: FakeNode) -> None:
    now = time.time()
    workers = [
        fake_node(
            f"worker{n}",
            api={"GET /info": raw_info("active", node_id=f"id-worker{n}"), "GET /networks/id-ingress": ON_INGRESS},
        )
        for n in (1, 2, 3)
    ]
    for node, updated, error in (
        (manager, now, None), (workers[0], now - 50, None), (workers[1], now, "nft failed"), (workers[2], 0.0, None)
    ):  # fmt: skip
        said = {"mode": "nat", "updated": updated, "error": error}
        node.put(json.dumps(said).encode(), "/run/labctl/mesh.json")
    workers[0].shell.answers["date +%s"] = f"{now:.0f}\n"
    manager.api["GET /nodes"] = [raw_node(f"{one.name}", leader=one is manager) for one in (manager, *workers)]

    found = look(manager, *workers, spec=LabSpec(name="demo", workers=3))

    assert tuple(re.sub(r"for [5-9]\d s", "for 50 s", one) for one in found.problems) == (
        "the mesh agent of worker1 has been silent for 50 s, and published ports may not answer there: "
        "`labctl restart worker1` starts the node over, with its containers",
        "the mesh of worker2: nft failed; if that stays: `labctl restart worker2`",
    )


def test_a_machine_whose_clock_is_wrong_has_an_agent_that_speaks(manager: FakeNode) -> None:
    then = time.time() - 600
    manager.put(json.dumps({"mode": "nat", "updated": then}).encode(), "/run/labctl/mesh.json")
    manager.shell.answers["date +%s"] = f"{then + 3:.0f}\n"

    assert not any("mesh" in one for one in look(manager).problems)


def test_where_nothing_runs_no_mesh_does() -> None:
    assert look(fake_node("manager1", state="exited")).mesh == "nothing runs"


def test_the_registry_and_the_ports_are_told_with_where_this_host_reaches_them(manager: FakeNode) -> None:
    found = look(
        manager,
        extras=[extra("registry", port="34567"), extra("edge"), extra("node")],
        proxy=State(ways=(Way(8081, 8080, "tcp", 8080),), warnings=("3 published ports are not open here",)),
    )

    assert found.registry == "registry:5000 inside, 127.0.0.1:34567 here"
    assert found.ports == ("127.0.0.1:8081 -> 8080/tcp",)
    assert found.warnings == ("3 published ports are not open here",)


@pytest.mark.parametrize(("state", "told"), [("exited", "is exited"), ("running", "says nothing")])
def test_a_proxy_that_fails_is_a_warning(manager: FakeNode, worker: FakeNode, state: str, told: str) -> None:
    found = look(manager, worker, extras=[extra("registry"), extra("edge", state=state)])

    assert found.is_good
    assert found.warnings == (f"the proxy of published ports {told}: `labctl up -l demo` brings it back",)


def test_a_proxy_that_was_removed_is_a_warning_where_a_port_is_published(manager: FakeNode, worker: FakeNode) -> None:
    assert look(manager, worker).warnings == ()
    ports = {"Ports": [{"PublishedPort": 8080, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"}]}
    manager.api["GET /services"] = [raw_service("web", Endpoint=ports)]

    found = look(manager, worker)

    assert found.is_good
    assert found.warnings == ("the proxy of published ports is gone: `labctl up -l demo` brings it back",)


def test_a_follower_that_hangs_or_hears_no_manager_is_a_warning(manager: FakeNode, worker: FakeNode) -> None:
    extras, now = [extra("registry"), extra("edge")], time.time()

    (silent,) = look(manager, worker, extras=extras, proxy=State(updated=now - 100)).warnings
    (deaf,) = look(manager, worker, extras=extras, proxy=State(updated=now, error="10.0.0.1: refused; x")).warnings

    assert re.match(r"the proxy of published ports has said nothing for 1\d\d s", silent)
    assert silent.endswith("`docker restart demo-edge` starts it over")
    assert "hears no manager (10.0.0.1: refused), and opens what it knew before" in deaf
    assert "`docker rm -f demo-edge` and `labctl up -l demo` recreate it" in deaf
    assert look(manager, worker, extras=extras, proxy=State(updated=now - 50)).warnings == ()


def test_where_no_node_runs_nothing_is_told_of_what_the_proxy_hears() -> None:
    down = fake_node("manager1", state="exited")

    assert look(down, extras=[extra("edge")], proxy=State(updated=1.0, error="refused")).warnings == ()


def test_a_registry_that_is_down_is_told_as_it_is(manager: FakeNode) -> None:
    assert look(manager, extras=[extra("registry", state="exited")]).registry == "exited"


def test_a_lab_without_a_registry_has_none(manager: FakeNode) -> None:
    found = look(manager, extras=[])

    assert (found.registry, found.mirror) == ("none", "none")


def test_stand_ins_are_not_taken_for_the_originals(manager: FakeNode) -> None:
    assert look(manager, extras=[extra("registry")]).mirror.startswith("stand-ins")


def test_a_status_can_be_carried_by_json(manager: FakeNode, worker: FakeNode) -> None:
    carried = json.loads(json.dumps(look(manager, worker).to_dict()))

    assert carried["good"] is True
    assert carried["nodes"][0]["name"] == "manager1"


def test_a_service_that_took_a_nodes_own_port_is_named(manager: FakeNode, worker: FakeNode) -> None:
    ports = {"Ports": [{"PublishedPort": 2376, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"}]}
    manager.api["GET /services"] = [raw_service("web", Endpoint=ports)]

    (problem,) = look(manager, worker).problems

    assert problem.startswith("service web publishes 2376/tcp, the nodes' own port (the engine's API)")


def test_an_encrypted_network_is_a_problem_where_the_kernel_cannot(manager: FakeNode, worker: FakeNode) -> None:
    encrypted = {"Id": "n", "Name": "sec", "Driver": "overlay", "Options": {"encrypted": ""}}
    manager.api["GET /networks"] = [RAW_INGRESS, encrypted]
    for node in (manager, worker):
        node.shell.answers[ESP_TRY] = Result("", 2, "", "Error: Requested type not found.")

    (problem,) = look(manager, worker).problems

    assert problem.startswith("network sec is encrypted, and the nodes have no ESP in the kernel")


CUT = json.dumps({"id": "1aeb8c", "kind": "cut", "target": "worker1", "options": {}, "until": None})


def test_a_node_that_is_ill_by_a_fault_is_not_to_be_started_over(manager: FakeNode, worker: FakeNode) -> None:
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]
    worker.shell.answers[LIST] = f"1aeb8c {CUT}\nffffff [1]\n"

    assert look(manager, worker).problems == ("worker1 has the fault cut (1aeb8c): `labctl fault heal 1aeb8c`",)


def test_a_node_that_is_down_by_a_fault_is_healed_and_not_started(
    manager: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path))
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker1", state="down")]
    notes.write("demo", Fault("1aeb8c", "stop", "worker1"), notes.Note())

    found = look(manager, fake_node("worker1", state="exited"))
    assert found.problems == ("worker1 has the fault stop (1aeb8c): `labctl fault heal 1aeb8c`",)


def test_nodes_are_not_asked_for_faults_where_all_is_well(manager: FakeNode, worker: FakeNode) -> None:
    worker.shell.answers[LIST] = f"1aeb8c {CUT}\n"

    assert look(manager, worker).is_good
    assert LIST not in worker.shell.commands


@pytest.mark.parametrize(("until", "told"), [("9999999999", ""), ("1000", ", which is overdue")])
def test_a_fault_of_a_service_is_told(manager: FakeNode, worker: FakeNode, until: str, told: str) -> None:
    marks = {"labctl.fault": "1aeb8c", "labctl.fault.kind": "bad-image", "labctl.fault.until": until}
    service = raw_service("web")
    service["Spec"]["Labels"] = marks
    manager.api["GET /services"] = [service]

    found = look(manager, worker)
    assert found.is_good
    assert found.warnings == (f"service web has the fault bad-image (1aeb8c){told}: `labctl fault heal 1aeb8c`",)
