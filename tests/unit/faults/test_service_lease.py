"""A service's fault is healed by managers too, and gives back only what it broke."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labctl.faults import service_lease as lease

GOOD = {"Image": "nginx:1", "Env": ["A=1"]}


def broken(**container: Any) -> dict[str, Any]:
    """A service with the fault abc, whose image was nginx:1 before."""
    marks = {lease.ID: "abc", lease.KIND: "bad-image", lease.BEFORE: '"nginx:1"', lease.BROKEN: '"none:1"'}
    return {
        "Name": "web",
        "Labels": {"own": "1", **marks},
        "TaskTemplate": {"ContainerSpec": {**GOOD, "Image": "none:1", **container}},
    }


def test_what_was_broken_is_put_back_and_the_labels_go() -> None:
    assert lease.healed(broken()) == {
        "Name": "web",
        "Labels": {"own": "1"},
        "TaskTemplate": {"ContainerSpec": GOOD},
    }


def test_what_was_changed_meanwhile_stays() -> None:
    healed = lease.healed(broken(Image="nginx:2", Env=["A=2"]))
    assert healed["TaskTemplate"]["ContainerSpec"] == {"Image": "nginx:2", "Env": ["A=2"]}
    assert healed["Labels"] == {"own": "1"}


def test_a_part_that_was_not_there_before_goes() -> None:
    spec = broken()
    spec["Labels"] |= {lease.KIND: "unhealthy", lease.BEFORE: "null", lease.BROKEN: json.dumps({"Test": ["NONE"]})}
    spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"] = {"Test": ["NONE"]}
    assert "Healthcheck" not in lease.healed(spec)["TaskTemplate"]["ContainerSpec"]


class Engine:
    """Answers with a service whose version others change `refusals` times."""

    def __init__(self, spec: dict[str, Any] | None, refusals: int = 0) -> None:
        self.spec = spec
        self.refusals = refusals
        self.version = 1

    def __call__(self, method: str, path: str, body: Any) -> Any:
        if self.spec is None:
            return None
        if method == "GET":
            return {"Spec": self.spec, "Version": {"Index": self.version}}
        if self.refusals:
            self.refusals -= 1
            self.version += 1
            return None
        assert path == f"/services/web/update?version={self.version}"
        self.spec = body
        return {}


@pytest.mark.parametrize("refusals", [0, 2])
def test_somebody_who_changes_it_at_the_same_time_is_no_obstacle(
    refusals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    engine = Engine(broken(), refusals)
    assert lease.heal(engine, "web", "abc")
    assert engine.spec is not None
    assert engine.spec["TaskTemplate"]["ContainerSpec"] == GOOD


@pytest.mark.parametrize("spec", [None, {"Labels": {}}, {"Labels": None}, {"Labels": {lease.ID: "another"}}])
def test_a_service_without_this_fault_is_left_alone(spec: dict[str, Any] | None) -> None:
    engine = Engine(spec)
    assert not lease.heal(engine, "web", "abc")
    assert engine.spec == spec
