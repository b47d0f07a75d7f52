"""Waiting for services: changes are told once, errors that stay end the wait, the limit tells the reasons."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused, NotYetError
from labctl.events import Event, TaskConverged
from labctl.swarm import SwarmView
from labctl.swarm.service import PROVING, Progress, _note, converge, progress_of, update_times
from labctl.waiting import FakeClock

from ..nodes import fake_node, raw_node, raw_service, raw_task

LONG_AGO = "2026-01-01T00:00:00Z"


def raw(id_: str, state: str, *, slot: int, error: str = "") -> dict[str, Any]:
    return raw_task(id_, service="id-web", slot=slot, state=state, Err=error, Timestamp=LONG_AGO) | {
        "CreatedAt": LONG_AGO
    }


def of_template(template: dict[str, Any], *, replicas: int = 2) -> dict[str, Any]:
    found = raw_service("web", mode={"Replicated": {"Replicas": replicas}})
    found["Spec"]["TaskTemplate"] = template
    return found


def view(*looks: list[dict[str, Any]], service: dict[str, Any] | None = None) -> SwarmView:
    """A manager that shows other tasks at each look, the last ones for ever."""
    left = list(looks)

    def tasks(_asked: Asked) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return SwarmView(
        FakeEngine(
            {
                "GET /services": [service or raw_service("web")],
                "GET /tasks": tasks,
                "GET /nodes": [raw_node("worker1", id_="id-worker1")],
            }
        )
    )


def test_it_ends_when_all_run_and_tells_each_change_once(heard: list[Event]) -> None:
    starting = [raw("t1", "starting", slot=1), raw("t2", "running", slot=2)]
    running = [raw("t1", "running", slot=1), raw("t2", "running", slot=2)]

    found = converge(view(starting, starting, running), ["web"], emit=heard.append, clock=FakeClock())

    assert [one.done for one in found] == [True]
    assert heard == [TaskConverged("web", 1, 2), TaskConverged("web", 2, 2)]


def test_what_is_missing_is_noted_in_words() -> None:
    notes: list[str] = []
    starting = [raw("t1", "starting", slot=1), raw("t2", "running", slot=2)]
    running = [raw("t1", "running", slot=1), raw("t2", "running", slot=2)]

    converge(view(starting, running), ["web"], noted=notes.append, clock=FakeClock())

    assert notes == ["web 1/2 (1 starting on worker1)", ""]


def test_a_placement_that_no_node_meets_ends_early_and_is_noted_meanwhile() -> None:
    """However long ago the scheduler said so first: somebody may just have labelled a node."""
    why = "no suitable node (scheduling constraints not satisfied on 2 nodes)"
    pending = [raw("t1", "pending", slot=1, error=why) | {"NodeID": ""}, raw("t2", "running", slot=2)]
    notes: list[str] = []
    clock = FakeClock()

    with pytest.raises(NotYetError) as caught:
        converge(view(pending), ["web"], limit=90, noted=notes.append, clock=clock)

    assert caught.value.message == f"web: 1 of 2 tasks run; 1 pending: {why}"
    assert "--label-add" in str(caught.value.hint)
    assert set(notes) == {f"web 1/2 (1 pending: {why})"}
    assert 15 <= clock.now() < 17


def test_a_global_service_that_no_node_may_run_ends_early() -> None:
    clock = FakeClock()

    with pytest.raises(NotYetError, match="web: 0 of 0 tasks run; no node may run it") as caught:
        converge(view([], service=raw_service("web", mode={"Global": {}})), ["web"], limit=90, clock=clock)

    assert "--label-add" in str(caught.value.hint)
    assert 15 <= clock.now() < 17


def test_a_task_that_asks_for_devices_names_the_key_that_gives_them() -> None:
    error = 'procHooks process: failed to write "a *:* rwm": write /sys/fs/cgroup/devices/docker/7a/devices.allow'

    with pytest.raises(NotYetError) as caught:
        converge(view([raw("t1", "rejected", slot=1, error=error)]), ["web"], limit=9, clock=FakeClock())

    assert "privileged_tasks: true" in (caught.value.hint or "")


def test_at_the_limit_the_schedulers_reason_is_told() -> None:
    pending = [
        raw("t1", "pending", slot=1, error="no suitable node (insufficient memory)"),
        raw("t2", "running", slot=2),
    ]

    with pytest.raises(NotYetError) as caught:
        converge(view(pending), ["web"], limit=9, clock=FakeClock())

    assert caught.value.message == (
        "not converged after 9 s: web: 1 of 2 tasks run; 1 pending: no suitable node (insufficient memory)"
    )
    assert caught.value.exit_code == 1
    assert caught.value.hint == "`labctl docker -- service ps --no-trunc web` tells more."


def test_an_image_that_is_not_there_does_not_take_until_the_limit() -> None:
    clock = FakeClock()
    rejected = [raw(f"t{slot}", "rejected", slot=slot, error="No such image: nope:1") for slot in (1, 2)]

    with pytest.raises(NotYetError, match="2 attempts failed: No such image: nope:1"):
        converge(view(rejected), ["web"], limit=1000, clock=clock)

    assert clock.now() < 1


def test_all_images_that_nobody_has_are_told_when_the_first_ends_the_wait() -> None:
    """An engine pulls few at a time: of others no attempt has failed yet, or one only."""
    names = ("api", "db", "none", "served", "web")
    states = {"api": ("rejected", 1), "db": ("preparing", 1), "none": ("rejected", 2), "web": ("running", 1)}
    gone = EngineRefused("manifest unknown", status=404)
    services: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    answers: dict[str, Answer] = {"GET /services": services, "GET /tasks": tasks, "GET /nodes": [raw_node("manager1")]}
    for name in names:
        service = raw_service(name, mode={"Replicated": {"Replicas": 1}})
        service["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = f"{name}:1"
        services.append(service)
        state, count = states.get(name, ("preparing", 1))
        error = f"No such image: {name}:1" if state == "rejected" else ""
        tasks += [
            raw_task(f"{name}{number}", service=f"id-{name}", state=state, Err=error, Timestamp=LONG_AGO)
            | {"CreatedAt": LONG_AGO, "Spec": service["Spec"]["TaskTemplate"]}
            for number in range(count)
        ]
        answers[f"GET /images/{name}:1/json"] = gone
        answers[f"GET /distribution/{name}:1/json"] = {"Descriptor": {}} if name == "served" else gone
    node = fake_node("manager1", api=answers)
    for name in names:
        node.shell.answers[f"docker pull -q {name}:1"] = ""

    with pytest.raises(NotYetError) as caught:
        converge(SwarmView(node.engine), names, limit=90, clock=FakeClock(), nodes=[node])

    assert caught.value.message.splitlines() == [
        "api: 0 of 1 task runs; 1 rejected: No such image: api:1",
        "db: 0 of 1 task runs; No such image: db:1",
        "none: 0 of 1 task runs; 2 attempts failed: No such image: none:1",
    ]
    assert "To bring api:1" in str(caught.value.hint)
    assert "The same goes for db:1, none:1." in str(caught.value.hint)


def test_a_manager_that_refuses_for_a_moment_is_asked_again() -> None:
    refusals = [EngineRefused("the swarm has no leader", status=503)]
    running: Answer = [raw("t1", "running", slot=1), raw("t2", "running", slot=2)]
    calm = view([])
    engine = calm.engine
    assert isinstance(engine, FakeEngine)
    engine.script["GET /tasks"] = lambda _asked: refusals.pop() if refusals else running

    assert converge(calm, ["web"], clock=FakeClock())[0].done


def test_a_service_that_is_removed_meanwhile_is_told() -> None:
    with pytest.raises(NotYetError, match="service api was removed meanwhile"):
        converge(view([]), ["api"], clock=FakeClock())


def test_a_task_that_has_just_started_is_given_a_moment() -> None:
    now = datetime.fromtimestamp(time.time() + 60, tz=UTC).isoformat()
    fresh = [raw_task(f"t{n}", service="id-web", slot=n, Timestamp=now) | {"CreatedAt": now} for n in (1, 2)]
    clock = FakeClock()

    assert converge(view(fresh), ["web"], clock=clock)[0].done
    assert PROVING <= clock.now() < PROVING + 2, "it was first seen running that long before"


def test_a_container_that_ends_after_two_seconds_is_no_success() -> None:
    """It was seen running twice, a second apart: docker/cli watches for 5 s."""
    clock = FakeClock()
    policy = {"Condition": "on-failure", "MaxAttempts": 1}
    template = {"ContainerSpec": {"Image": "web:1"}, "RestartPolicy": policy}
    crashing = of_template(template, replicas=1)

    def tasks(_asked: Asked) -> Answer:
        begun = datetime.fromtimestamp(time.time() + 60, tz=UTC).isoformat()
        running = [raw_task("t1", service="id-web", slot=1, Timestamp=begun) | {"Spec": template}]
        ended = raw_task("t1", service="id-web", slot=1, state="failed", Err="task: non-zero exit (6)", Timestamp=begun)
        return running if clock.now() < 2 else [ended | {"Spec": template, "DesiredState": "shutdown"}]

    watched = view([], service=crashing)
    assert isinstance(watched.engine, FakeEngine)
    watched.engine.script["GET /tasks"] = tasks

    with pytest.raises(NotYetError, match=r"will not be started again: task: non-zero exit \(6\)"):
        converge(watched, ["web"], clock=clock)


@pytest.mark.parametrize("by_image", [False, True])
def test_a_health_check_that_passed_is_proof_enough(by_image: bool) -> None:
    """Swarm calls a task with a health check `running` only when it has passed, be the check the image's own."""
    now = datetime.fromtimestamp(time.time() + 60, tz=UTC).isoformat()
    check = {} if by_image else {"Healthcheck": {"Test": ["CMD", "true"]}}
    template = {"ContainerSpec": {"Image": "web:1", **check}}
    fresh = [
        raw_task(f"t{n}", service="id-web", slot=n, Timestamp=now, ContainerStatus={"ContainerID": "c1"})
        | {"CreatedAt": now, "Spec": template}
        for n in (1, 2)
    ]
    passed = {"State": {"Health": {"Status": "healthy"}}, "Config": {}}
    worker = fake_node("worker1", api={"GET /containers/c1/json": passed})
    clock = FakeClock()

    converge(view(fresh, service=of_template(template)), ["web"], clock=clock, nodes=[worker])

    assert 1 <= clock.now() < 3


def test_a_look_waits_for_nothing() -> None:
    begun = datetime.fromtimestamp(time.time() - 2, tz=UTC).isoformat()
    young = [raw_task(f"t{n}", service="id-web", slot=n, Timestamp=begun) | {"CreatedAt": begun} for n in (1, 2)]

    assert progress_of(view(young), ["web"])[0].done


def test_one_look_tells_how_far_it_is() -> None:
    found = progress_of(view([raw("t1", "running", slot=1)]), ["web", "gone"])

    assert [str(one) for one in found] == ["web: 1 of 2 tasks run; 1 not planned yet"]


def test_a_service_that_is_back_at_what_ran_before_is_well_whatever_failed_meanwhile() -> None:
    """As after `service update --image nope`, and `service rollback`."""
    back = raw_service("web", UpdateStatus={"State": "rollback_completed", "Message": "back", "StartedAt": "then"})
    tasks = [raw("t1", "running", slot=1), raw("t2", "running", slot=2)]
    failed = [raw(f"f{n}", "rejected", slot=1, error="No such image: nope:1") for n in (1, 2, 3)]

    (found,) = progress_of(view([*tasks, *failed], service=back), ["web"])

    assert str(found) == "web: 2 of 2 tasks run"
    assert found.done


def test_when_updates_began_is_known_by_name() -> None:
    updated = raw_service("web", UpdateStatus={"State": "completed", "StartedAt": "then"})

    assert update_times(view([], service=updated), ["web", "other"]) == {"web": "then"}


def test_a_reason_stands_with_its_own_service_and_the_worst_comes_first() -> None:
    ordinary = Progress("app_a", 0, 1, done=False, reason="1 preparing on manager1")
    ill = Progress("app_b", 1, 2, done=False, reason="1 starting: exit code 3", trouble=True)
    lost = Progress("app_c", 0, 1, done=False, reason="2 attempts failed: x", trouble=True, hopeless=True)
    good = Progress("app_d", 1, 1, done=True)

    assert _note([ordinary, ill, lost, good]) == ("app_c 0/1 (2 attempts failed: x), app_b 1/2, app_a 0/1")
    assert _note([ordinary, ill]) == "app_b 1/2 (1 starting: exit code 3), app_a 0/1"
    assert _note([ordinary, Progress("app_z", 0, 2, done=False)]) == "app_a 0/1 (1 preparing on manager1), app_z 0/2"
    assert _note([good]) == ""
