"""How far a service is: only tasks of the present spec count, and what is missing is told in the scheduler's words."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from labctl.swarm.amounts import Amounts
from labctl.swarm.progress import SETTLED_AFTER_FAILURE, Progress, judge, shortened
from labctl.swarm.state import Port, Service, Task

TEMPLATE: dict[str, Any] = {"ContainerSpec": {"Image": "web:2"}, "ForceUpdate": 0}
HOSTS = {"n1": "worker1", "n2": "worker2", "n3": "worker3"}


def service(mode: dict[str, Any] | None = None, *, restart: dict[str, Any] | None = None, **more: Any) -> Service:
    template = copy.deepcopy(TEMPLATE) | ({"RestartPolicy": restart} if restart else {})
    spec = {"Name": "web", "Mode": mode or {"Replicated": {"Replicas": 2}}, "TaskTemplate": template}
    return Service.of({"ID": "s1", "Spec": spec, **more})


def task(
    slot: int,
    state: str = "running",
    *,
    of: Service | None = None,
    node: str = "n1",
    desired: str = "",
    second: int = 1,
    error: str = "",
    template: dict[str, Any] | None = None,
    iteration: int = 0,
) -> Task:
    """One task; `second` is when it was made, so that a slot's later tasks are known."""
    over = state in ("complete", "failed", "shutdown", "rejected")
    made = template or (of or service()).raw["Spec"]["TaskTemplate"]
    return Task.of(
        {
            "ID": f"t{slot}-{second}",
            "ServiceID": "s1",
            "Slot": slot,
            "NodeID": node,
            "CreatedAt": f"2026-01-01T00:00:{second:02}Z",
            "DesiredState": desired or ("shutdown" if over else "running"),
            "Spec": {key: value for key, value in made.items() if key != "Runtime"},
            "Status": {"State": state, "Err": error, "Timestamp": "2026-01-01T00:00:00Z"},
            "JobIteration": {"Index": iteration},
        }
    )


def judged(of: Service, *tasks: Task, age: float = 60.0, old_update: str = "") -> Progress:
    return judge(of, tasks, hosts=HOSTS, age=lambda _task: age, old_update=old_update)


def test_all_slots_running_is_done() -> None:
    found = judged(service(), task(1), task(2))

    assert (found.running, found.wanted, found.done, found.reason) == (2, 2, True, "")


def test_a_pending_task_is_told_with_the_schedulers_reason() -> None:
    why = "no suitable node (insufficient resources on 4 nodes)"
    found = judged(service({"Replicated": {"Replicas": 4}}), task(1), task(2), *(
        task(slot, "pending", node="", error=why) for slot in (3, 4)
    ))  # fmt: skip

    assert str(found) == f"web: 2 of 4 tasks run; 2 pending: {why}"
    assert found.trouble
    assert not found.hopeless


UNMET = "no suitable node (scheduling constraints not satisfied on 4 nodes)"


@pytest.mark.parametrize(("age", "hopeless"), [(3.0, False), (20.0, True)])
def test_a_placement_that_no_node_meets_is_waited_for_a_while(age: float, hopeless: bool) -> None:
    found = judged(service(), task(1), task(2, "pending", node="", error=UNMET), age=age)

    assert found.hopeless is hopeless
    assert found.reason == f"1 pending: {UNMET}"


def test_a_slower_lab_is_given_longer_to_meet_a_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_PATIENCE", "3")

    assert not judged(service(), task(1, "pending", node="", error=UNMET), age=20.0).hopeless


def test_tasks_on_their_way_are_told_with_their_nodes() -> None:
    found = judged(service(), task(1, "preparing", node="n2"), task(2, "preparing", node="n1"))

    assert found.reason == "2 preparing on worker1, worker2"
    assert not found.trouble


def test_slots_without_a_task_are_not_planned_yet() -> None:
    assert judged(service(), task(1)).reason == "1 not planned yet"


def test_no_tasks_wanted_and_none_there_is_done() -> None:
    assert judged(service({"Replicated": {"Replicas": 0}})).done


def test_a_task_counts_only_when_it_has_run_for_a_moment() -> None:
    found = judged(service(), task(1), task(2), age=0.2)

    assert (found.running, found.reason) == (0, "2 just started on worker1")


def test_a_task_whose_slot_has_failed_before_must_run_for_longer() -> None:
    crashed = task(1, "failed", error="task: non-zero exit (1)", second=1)

    soon = judged(service(), crashed, task(1, second=2), task(2), age=SETTLED_AFTER_FAILURE - 1)
    later = judged(service(), crashed, task(1, second=2), task(2), age=SETTLED_AFTER_FAILURE)

    assert soon.reason == "1 just started after a failure: task: non-zero exit (1)"
    assert later.done


def test_a_slot_that_starts_again_says_what_it_died_of() -> None:
    crashed = task(1, "failed", error="task: non-zero exit (1)", second=1)

    found = judged(service(), crashed, task(1, "ready", desired="ready", second=2), task(2))

    assert found.reason == "1 starting again: task: non-zero exit (1)"
    assert not found.hopeless, "what it needs may still come up"


# -- the present spec


def test_tasks_of_an_older_spec_do_not_count() -> None:
    old = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}
    updating = service(UpdateStatus={"State": "updating", "Message": "update in progress"})

    found = judged(updating, task(1, second=2), task(1, "shutdown", template=old), task(2, template=old))

    assert (found.running, found.reason) == (1, "1 not updated yet: update in progress")


def test_what_the_old_version_still_serves_is_counted_as_docker_does_and_told_apart() -> None:
    """An update with `order: start-first` of a service with a port in host mode: each waits for the other."""
    old = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}
    taken = "no suitable node (host-mode port already in use on 2 nodes)"
    updating = service(UpdateStatus={"State": "updating", "Message": "update in progress"})
    both = [task(slot, template=old) for slot in (1, 2)]

    found = judged(updating, *both, *(task(slot, "pending", node="", error=taken, second=2) for slot in (1, 2)))

    assert (found.running, found.old, found.serving, found.count, found.done) == (0, 2, 2, "2/2", False)
    assert str(found) == f"web: 0 of 2 tasks run the new version, 2 the old one; 2 pending: {taken}"
    half = judged(updating, *both, task(1, second=2), task(2, "starting", second=2))
    assert (half.running, half.old, half.count) == (1, 1, "2/2")


def test_a_task_of_the_old_version_that_is_asked_to_stop_serves_no_more() -> None:
    old = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}

    found = judged(service(), task(1, second=2), task(2, template=old, desired="shutdown"), task(2, "ready", second=2))

    assert (found.running, found.old, found.count) == (1, 0, "1/2")


def test_a_node_on_which_a_global_service_still_runs_its_old_version_is_one_of_those_wanted() -> None:
    old = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}
    updating = service({"Global": {}}, UpdateStatus={"State": "updating", "Message": "update in progress"})

    found = judged(updating, task(0, second=2), task(0, node="n2", template=old))

    assert (found.count, found.done, found.reason) == ("2/2", False, "1 not updated yet: update in progress")


def test_an_update_that_has_not_ended_is_not_done_though_all_run() -> None:
    updating = service(UpdateStatus={"State": "updating", "Message": "update in progress"})

    assert judged(updating, task(1), task(2)).reason == "update in progress"


def test_old_tasks_that_still_run_are_waited_for() -> None:
    old = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}

    found = judged(service(), task(1, second=2), task(2, second=2), task(3, template=old))

    assert found.reason == "1 of the old version still run"


def test_another_placement_does_not_make_a_task_old() -> None:
    placed = task(1, template=TEMPLATE | {"Placement": {"Constraints": ["node.role==worker"]}})

    assert judged(service({"Replicated": {"Replicas": 1}}), placed).done


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
def test_a_paused_update_is_told_with_its_message_and_waiting_is_over(state: str) -> None:
    paused = service(UpdateStatus={"State": state, "Message": "update paused due to failure", "StartedAt": "1"})

    told = f"{state.replace('_', ' ')}: update paused due to failure"
    found = judged(paused, task(1), task(2), old_update="0")
    assert (found.hopeless, found.reason) == (True, told)

    half = judged(paused, task(1), old_update="1")
    assert (half.hopeless, half.reason) == (True, told), "an older update that is not through is told too"


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
def test_a_paused_update_that_was_mended_by_hand_is_done_once_every_task_runs(state: str) -> None:
    """The swarm leaves it paused for ever, also when the image that was missing is there now."""
    paused = service(UpdateStatus={"State": state, "Message": "update paused due to failure", "StartedAt": "1"})
    failed = [task(1, "rejected", error="No such image: web:2", second=n) for n in (1, 2, 3)]

    assert judged(paused, *failed, task(1, second=4), task(2), old_update="1").done
    young = judged(paused, *failed, task(1, second=4), task(2), old_update="1", age=SETTLED_AFTER_FAILURE - 1)
    assert not young.done, "a task that failed before may fail again"


def test_of_a_paused_rollback_the_task_is_told_that_ended_it_and_none_that_failed_long_before() -> None:
    update = {"State": "rollback_paused", "Message": "update paused due to failure of task t9", "StartedAt": "1"}
    old = [task(1, "rejected", error="No such image: web:3", second=n) for n in (1, 2)]
    ended = replace(task(2, "failed", error="task: non-zero exit (137)", second=5), id="t9")

    found = judged(service(UpdateStatus=update), *old, ended, old_update="1")

    assert "non-zero exit (137)" in found.reason and "web:3" not in found.reason


def test_an_update_that_was_rolled_back_has_failed() -> None:
    back = service(UpdateStatus={"State": "rollback_completed", "Message": "rollback completed", "StartedAt": "2"})

    assert judged(back, task(1), task(2), old_update="1").hopeless
    assert judged(back, task(1), task(2), old_update="2").done, "that was before this wait"


ROLLED_BACK = {"State": "rollback_completed", "Message": "rollback completed", "StartedAt": "2"}
UNHEALTHY = "Docker stopped it as unhealthy, and it ended with exit code 0: health check `ping` exited 1"


@pytest.mark.parametrize(
    ("state", "error", "ended", "told"),
    [
        ("failed", "task: non-zero exit (3)", None, "task: non-zero exit (3)"),
        ("complete", "", UNHEALTHY, UNHEALTHY),
        ("complete", "", None, "it ended with exit code 0"),
    ],
)
def test_an_update_that_was_rolled_back_is_told_with_how_its_tasks_ended(
    state: str, error: str, ended: str | None, told: str
) -> None:
    """Only while it is rolled back does the swarm's message name the task."""
    other = {"ContainerSpec": {"Image": "web:3"}, "ForceUpdate": 0}
    old = replace(task(2, "failed", error="task: non-zero exit (9)", template=other, second=1), id="old")
    failed = replace(task(1, state, error=error, template=other, second=3), ended=ended)
    again = task(1, "shutdown", template=other, second=4)
    # The rollback called its start off; on a busy machine that may be the task that was made first.
    off = task(2, "failed", error="starting container failed: context canceled", template=other, second=2)

    found = judge(
        service(UpdateStatus=ROLLED_BACK), [old, off, failed, again, task(1, second=5), task(2, second=5)],
        hosts=HOSTS, age=lambda _task: 60.0, old_update="1", old_tasks={"old"},
    )  # fmt: skip

    assert str(found) == f"web: 2 of 2 tasks run; rolled back: rollback completed: {told}"


def test_a_failure_in_a_slot_that_was_scaled_away_since_is_history() -> None:
    """A container that was killed, its task made anew, and then fewer tasks wanted."""
    killed = task(3, "failed", error="task: non-zero exit (137)")

    assert judged(service(), task(1), task(2), killed).done
    assert judged(service(), task(1), killed).reason.startswith("1 failed: task: non-zero exit (137)")


# -- errors that stay


def test_an_image_that_is_not_there_ends_the_wait_at_its_second_attempt() -> None:
    one = service({"Replicated": {"Replicas": 1}})
    attempts = [task(1, "rejected", error="No such image: nope:1", second=n) for n in (1, 2)]
    again = task(1, "ready", desired="ready", second=3)

    assert not judged(one, attempts[0], again).hopeless
    found = judged(one, *attempts, again)
    assert found.hopeless
    assert str(found) == "web: 0 of 1 task runs; 2 attempts failed: No such image: nope:1"


def test_a_container_that_does_not_start_ends_the_wait_at_its_third_attempt() -> None:
    error = (
        "starting container failed: failed to create task for container: failed to create shim task: OCI runtime "
        'create failed: runc create failed: unable to start container process: exec: "/no": no such file: unknown'
    )
    attempts = [task(1, "failed", error=error, second=n) for n in (1, 2, 3)]

    found = judged(service(), *attempts, task(2))

    assert found.hopeless
    assert found.reason == (
        '3 attempts failed: starting container failed: unable to start container process: exec: "/no": no such file'
    )


def test_a_program_that_ends_badly_is_waited_for() -> None:
    crashes = [task(1, "failed", error="task: non-zero exit (1)", second=n) for n in (1, 2, 3, 4)]

    assert not judged(service(), *crashes, task(2)).hopeless


@pytest.mark.parametrize(
    ("restart", "failures", "lost"),
    [
        ({"Condition": "none"}, 1, True),
        ({"Condition": "on-failure", "MaxAttempts": 2}, 2, False),
        ({"Condition": "on-failure", "MaxAttempts": 2}, 3, True),
        ({"Condition": "on-failure"}, 4, False),
        ({"Condition": "any", "MaxAttempts": 2}, 3, True),
        ({"MaxAttempts": 2}, 3, True),
        ({"Condition": "any"}, 4, False),
    ],
)
def test_a_task_that_will_not_be_started_again_ends_the_wait(
    restart: dict[str, Any], failures: int, lost: bool
) -> None:
    one = service({"Replicated": {"Replicas": 1}}, restart=restart)
    tasks = [task(1, "failed", of=one, error="task: non-zero exit (2)", second=n + 1) for n in range(failures)]
    if not lost:  # swarm writes a task off in the step that plans its restart: until then it shall still run
        tasks[-1] = replace(tasks[-1], desired="running")

    found = judged(one, *tasks)

    assert found.hopeless is lost
    if lost:
        assert found.reason == "1 failed and will not be started again: task: non-zero exit (2)"


LIMITED = {"Condition": "any", "MaxAttempts": 9, "Window": 10**9}


def test_the_last_attempt_ends_the_wait_however_it_ended_and_whatever_is_still_remembered() -> None:
    """Of nine attempts within a window the swarm may remember five: only what it does with the last one tells."""
    one = service({"Replicated": {"Replicas": 1}}, restart=LIMITED)
    ended = [task(1, "complete", of=one, second=n) for n in (1, 2)]
    unhealthy = replace(ended[-1], ended="Docker stopped it as unhealthy")

    found = judged(one, *ended)

    assert found.reason == "1 failed and will not be started again: it ended with exit code 0"
    assert found.hopeless
    assert judged(one, ended[0], unhealthy).reason.endswith("again: Docker stopped it as unhealthy")
    assert not judged(one, *ended, task(1, "ready", of=one, desired="ready", second=3)).hopeless


def test_an_attempt_of_the_present_spec_is_not_the_last_one_while_the_slot_runs_another_version() -> None:
    """Back at an older spec, whose tasks failed then: the update has not come to the slot yet."""
    one = service({"Replicated": {"Replicas": 1}}, restart=LIMITED)
    other = {"ContainerSpec": {"Image": "web:1"}, "ForceUpdate": 0}

    found = judged(one, task(1, "failed", of=one, error="exit 1", second=1), task(1, template=other, second=2))

    assert not found.hopeless


# -- one-shot services and jobs


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_one_shot_service_that_ended_well_is_done(condition: str) -> None:
    one = service({"Replicated": {"Replicas": 1}}, restart={"Condition": condition})

    assert judged(one, task(1, "complete", of=one)).done


def test_a_service_that_should_go_on_and_ended_is_not_done() -> None:
    one = service({"Replicated": {"Replicas": 1}}, restart={"Condition": "any"})

    assert judged(one, task(1, "complete", of=one)).reason == "1 complete: it ended with exit code 0"


def test_a_job_is_done_when_enough_of_its_present_iteration_have_ended_well() -> None:
    job = service({"ReplicatedJob": {"TotalCompletions": 2}}, JobStatus={"JobIteration": {"Index": 7}})
    done = [task(slot, "complete", of=job, iteration=7) for slot in (0, 1)]
    before = task(0, "complete", of=job, iteration=3)

    assert judged(job, *done, before).done
    found = judged(job, done[0], before, task(1, of=job, iteration=7))
    assert str(found) == "web: 1 of 2 tasks ended well; 1 running on worker1"


def test_a_job_of_which_a_task_failed_for_good_is_lost() -> None:
    job = service(
        {"ReplicatedJob": {"TotalCompletions": 1}},
        restart={"Condition": "none"},
        JobStatus={"JobIteration": {"Index": 7}},
    )

    assert judged(job, task(0, "failed", of=job, iteration=7, error="task: non-zero exit (1)")).hopeless


def test_a_global_service_has_a_task_for_each_node() -> None:
    everywhere = service({"Global": {}})

    assert judged(everywhere, task(0, node="n1"), task(0, node="n2")).done
    found = judged(everywhere, task(0, node="n1"), task(0, "starting", node="n2"))
    assert str(found) == "web: 1 of 2 tasks run; 1 starting on worker2"


def test_a_global_service_that_no_node_may_run_is_not_done() -> None:
    assert str(judged(service({"Global": {}}))) == "web: 0 of 0 tasks run; no node may run it"


def test_a_global_job_is_done_when_each_node_has_done_its_part() -> None:
    job = service({"GlobalJob": {}}, JobStatus={"JobIteration": {"Index": 1}})

    parts = [task(0, "complete", of=job, node=node, iteration=1) for node in HOSTS]

    found = judged(job, *parts)

    assert found.done
    assert found.count == "0/0 (3/3 completed)"
    running = task(0, "running", of=job, node=next(iter(HOSTS)), iteration=1)
    assert judged(job, running).count == "1/1 (0/1 completed)"


def test_errors_are_one_line_of_a_bounded_length() -> None:
    assert shortened("a\n  b") == "a b"
    assert len(shortened("x" * 1000)) < 250


# -- what ended with exit code 0, and whether it had done its work


def one_shot(condition: str = "on-failure", **container: Any) -> Service:
    one = service({"Replicated": {"Replicas": 1}}, restart={"Condition": condition})
    one.raw["Spec"]["TaskTemplate"]["ContainerSpec"] |= container
    return one


def test_a_one_shot_that_ended_well_is_completed_and_does_not_run() -> None:
    one = one_shot()

    found = judged(one, task(1, "complete", of=one))

    assert (found.running, found.completed, found.wanted, found.done) == (0, 1, 1, True)
    assert found.count == "0/1 (1/1 completed)"
    assert str(found) == "web: 0 of 1 task runs, 1 completed"


UNHEALTHY = "Docker stopped it as unhealthy, and it ended with exit code 0: health check `exit 1` exited 1"


@pytest.mark.parametrize("condition", ["none", "on-failure"])
def test_a_server_that_its_health_check_stopped_is_no_one_shot(condition: str) -> None:
    one = one_shot(condition)

    found = judged(one, replace(task(1, "complete", of=one), ended=UNHEALTHY))

    assert found.hopeless
    assert (found.running, found.completed) == (0, 0)
    assert found.reason == f"1 failed and will not be started again: {UNHEALTHY}"


def test_a_server_that_is_started_again_tells_its_health_check() -> None:
    always = one_shot("any")
    stopped = replace(task(1, "complete", of=always), ended=UNHEALTHY)

    found = judged(always, stopped, task(1, "ready", of=always, desired="ready", second=2))

    assert found.reason == f"1 starting again: {UNHEALTHY}"


def test_a_task_that_waits_for_its_health_check_says_what_it_answers() -> None:
    waiting = replace(task(1, "starting"), ended="not healthy yet: health check `exit 1` exited 1")

    assert judged(service(), waiting, task(2)).reason == ("1 starting: not healthy yet: health check `exit 1` exited 1")


@pytest.mark.parametrize(("ended", "done"), [(None, False), ("", True)])
def test_without_an_engines_word_what_has_a_health_check_is_a_server(ended: str | None, done: bool) -> None:
    checked = one_shot(Healthcheck={"Test": ["CMD-SHELL", "true"]})

    found = judged(checked, replace(task(1, "complete", of=checked), ended=ended))

    assert found.done is done
    assert found.hopeless is not done


def test_what_publishes_ports_is_a_server() -> None:
    one = replace(one_shot(), ports=(Port(80, 80, "tcp", "ingress"),))

    assert judged(one, replace(task(1, "complete", of=one), ended="")).reason == (
        "1 failed and will not be started again: it is a server, and it ended with exit code 0"
    )


def test_tasks_of_jobs_that_run_are_counted_as_running() -> None:
    job = service({"ReplicatedJob": {"TotalCompletions": 2}}, JobStatus={"JobIteration": {"Index": 7}})

    found = judged(job, task(0, "complete", of=job, iteration=7), task(1, of=job, iteration=7))

    assert found.count == "1/2 (1/2 completed)"


def test_a_newer_task_that_an_update_gave_up_does_not_hide_the_one_that_runs() -> None:
    """An update that starts tasks first may leave two in a slot; Swarm then stops either of them."""
    updated = service(UpdateStatus={"State": "completed", "Message": "update completed"})

    found = judged(updated, task(1), task(1, "shutdown", second=2), task(2))

    assert (found.running, found.done, found.reason) == (2, True, "")


# -- what no node can give


CPUS = {"NanoCPUs": 7 * 10**9}
GPU = {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}
NO_ROOM = "no suitable node (insufficient resources on 4 nodes)"


@pytest.mark.parametrize(
    ("reserved", "sizes", "age", "hopeless"),
    [
        (CPUS, [Amounts(2 * 10**9, 1)], 20.0, True),
        (CPUS, [Amounts(2 * 10**9, 1)], 3.0, False),
        (CPUS, [Amounts(2 * 10**9, 1), Amounts(8 * 10**9, 1)], 20.0, False),
        (CPUS, [Amounts()], 20.0, False),
        (CPUS, [], 20.0, False),
        (GPU, [Amounts(2 * 10**9, 1)], 20.0, True),
        (GPU, [Amounts(2 * 10**9, 1)], 3.0, False),
        (GPU, [Amounts(2 * 10**9, 1, {"gpu": 2})], 20.0, False),
        (CPUS | GPU, [Amounts(8 * 10**9, 1), Amounts(2 * 10**9, 1, {"gpu": 1})], 20.0, True),
    ],
    ids=[
        "cpus",
        "a-moment",
        "taken-by-others",
        "unknown",
        "no-nodes",
        "gpu",
        "gpu-a-moment",
        "gpu-taken",
        "not-at-once",
    ],
)
def test_a_reservation_that_no_node_has_ends_the_wait(
    reserved: dict[str, Any], sizes: list[Amounts], age: float, hopeless: bool
) -> None:
    one = service({"Replicated": {"Replicas": 1}})
    one.raw["Spec"]["TaskTemplate"] |= {"Resources": {"Reservations": reserved}}
    waiting = task(1, "pending", of=one, node="", error=NO_ROOM)

    found = judge(one, [waiting], hosts=HOSTS, age=lambda _task: age, sizes=sizes)

    assert found.hopeless is hopeless
    assert found.reason == f"1 pending: {NO_ROOM}"


PORT_TAKEN = "no suitable node (host-mode port already in use on 3 nodes)"


@pytest.mark.parametrize(("old", "hopeless"), [("shutdown", True), ("running", False)])
def test_a_host_port_taken_everywhere_ends_the_wait_when_nobody_is_leaving_it(old: str, hopeless: bool) -> None:
    leaving = task(2, old, desired="shutdown")

    found = judged(service(), task(1), leaving, task(2, "pending", node="", error=PORT_TAKEN, second=2), age=20.0)

    assert found.hopeless is hopeless


def test_how_tasks_failed_before_this_deploy_is_not_news() -> None:
    """The image was brought meanwhile: the attempts that failed are still in the swarm's history."""
    one = service({"Replicated": {"Replicas": 1}})
    attempts = [task(1, "rejected", error="No such image: a:1", second=n) for n in (1, 2)]
    again = task(1, "preparing", second=3)

    found = judge(one, [*attempts, again], hosts=HOSTS, age=lambda _: 60.0, old_tasks=[a.id for a in attempts])

    assert not found.hopeless
    assert judged(one, *attempts, task(1, second=3)).done, "the slot has got over it"
