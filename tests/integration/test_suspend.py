"""A lab of containers that stands still and goes on: it must serve again, with what ran before."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import pytest

from labctl.lab import Lab
from tests.integration.verbs import labctl

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """Three managers, so that there is a leader to lose, and a worker."""
    return make_lab(managers=3, workers=1)


def test_a_lab_that_stood_still_serves_again(lab: Lab) -> None:
    lab.manager().expect(
        "docker service create --quiet --name web --replicas 4 --publish 8088:8080 labctl/probe:1", limit=180
    )
    url = labctl("port", "add", "8088", lab=lab.name).out.strip()

    assert labctl("suspend", lab=lab.name).code == 0
    assert [node.state for node in lab.refresh().nodes] == ["paused"] * 4
    status = labctl("status", lab=lab.name)
    assert status.code == 3
    assert "worker1 is paused: `labctl resume worker1`" in status.out
    said = labctl("exec", "w1", "--", "true", lab=lab.name)
    assert "node worker1 is paused" in said.err and "labctl resume worker1" in said.err

    resumed = labctl("resume", lab=lab.name)

    assert resumed.code == 0, resumed.err
    assert labctl("status", lab=lab.name).code == 0
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.status == 200
    lab.manager().expect("docker service rm web")


def test_a_node_that_stands_still_goes_on_by_start_and_by_up(lab: Lab) -> None:
    for verb in (("start", "w1"), ("up", "--name", lab.name)):
        assert labctl("suspend", "w1", lab=lab.name).code == 0
        rows = json.loads(labctl("ls", "-o", "json", lab=lab.name).out)
        assert {row["Name"]: row["State"] for row in rows}["worker1"] == "Paused"

        done = labctl(*verb, lab=lab.name)

        assert done.code == 0, done.err
        assert labctl("status", lab=lab.name).code == 0


def test_what_cannot_be_suspended_or_resumed_is_told_and_nothing_is_changed(lab: Lab) -> None:
    assert labctl("stop", "w1", lab=lab.name).code == 0

    for verb in (("suspend",), ("resume", "w1")):
        said = labctl(*verb, lab=lab.name)
        assert said.code == 3
        assert "worker1 is exited" in said.err and "labctl start worker1" in said.err
    assert [node.state for node in lab.refresh().nodes] == ["running"] * 3 + ["exited"]
    assert labctl("start", "w1", lab=lab.name).code == 0
