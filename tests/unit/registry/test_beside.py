"""Containers beside the nodes: made, kept, started again or replaced, by what they shall be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused, LabError
from labctl.owner import own_mark
from labctl.registry.beside import CONFIG, Beside, converge

WANTED = Beside(
    lab="blue",
    kind="registry",
    name="blue-registry",
    image="labctl-services:1",
    command=("registry+mirror",),
    network="labctl-blue",
    port="5000/tcp",
    address="172.30.0.2",
    aliases=("registry",),
    env={"A": "1"},
)
NOT_THERE = EngineRefused("no such container", status=404)
TAKEN = EngineRefused("driver failed: Bind for 127.0.0.1:5000 failed: port is already allocated", status=500)


def standing(state: str, *, config: str = "", lab: str = "blue", port: int = 5123) -> dict[str, Any]:
    """A container as the engine inspects it."""
    marks = {"labctl.lab": lab, "labctl.port": str(port), CONFIG: config or WANTED.digest()}
    return {"Config": {"Labels": marks}, "State": {"Status": state}}


def engine(*inspected: Answer, starts: list[Answer] | None = None) -> FakeEngine:
    """An engine whose container is first as `inspected` says, one a look, and then not there."""
    looks, begins = list(inspected), list(starts or [])
    return FakeEngine(
        {
            "GET /containers/blue-registry/json": lambda _: looks.pop(0) if looks else NOT_THERE,
            "POST /containers/create": {"Id": "1"},
            "POST /containers/blue-registry/start": lambda _: begins.pop(0) if begins else None,
            "DELETE /containers/blue-registry": None,
        }
    )


def done(asked: list[Asked]) -> list[str]:
    """What was changed, in words."""
    return [
        f"{each.method} {each.path.rpartition('/')[2]}".replace("DELETE blue-registry", "remove").removeprefix("POST ")
        for each in asked
        if each.method != "GET"
    ]


def test_one_that_is_not_there_is_made_on_the_port_asked_for() -> None:
    fake = engine()

    stands = converge(fake, WANTED, port=5123)

    assert (stands.host_port, stands.changed) == (5123, True)
    assert done(fake.asked) == ["create", "start"]


def test_files_are_there_before_the_start_and_what_is_in_them_is_shown_nowhere() -> None:
    wanted = replace(WANTED, files={"etc/secret": (b"abc123", 0o600)})
    fake = engine()
    fake.script["PUT /containers/blue-registry/archive"] = None

    converge(fake, wanted, port=5123)

    assert done(fake.asked) == ["create", "PUT archive", "start"]
    assert "abc123" not in json.dumps(wanted.body(5123))
    assert wanted.digest() != WANTED.digest()
    assert wanted.digest() != replace(wanted, files={"etc/secret": (b"other", 0o600)}).digest()


def test_one_that_runs_as_it_should_is_left_alone() -> None:
    fake = engine(standing("running"))

    stands = converge(fake, WANTED, port=9999)

    assert (stands.host_port, stands.changed) == (5123, False)
    assert done(fake.asked) == []


def test_one_that_is_stopped_is_started_on_its_port() -> None:
    fake = engine(standing("exited"))

    assert converge(fake, WANTED).host_port == 5123
    assert done(fake.asked) == ["start"]


def test_one_that_was_made_and_never_started_gets_its_files_first() -> None:
    wanted = replace(WANTED, files={"etc/secret": (b"abc123", 0o600)})
    fake = engine(standing("created", config=wanted.digest()))
    fake.script["PUT /containers/blue-registry/archive"] = None

    assert converge(fake, wanted).host_port == 5123
    assert done(fake.asked) == ["PUT archive", "start"]


@pytest.mark.parametrize("found", [standing("running", config="old"), standing("paused"), standing("dead")])
def test_one_that_is_not_as_it_should_be_is_replaced_and_keeps_its_port(found: dict[str, Any]) -> None:
    fake = engine(found)

    assert converge(fake, WANTED).host_port == 5123
    assert done(fake.asked) == ["remove", "create", "start"]


def test_a_taken_port_gets_another() -> None:
    fake = engine(starts=[TAKEN])

    assert converge(fake, WANTED, port=5123).host_port != 5123
    assert done(fake.asked) == ["create", "start", "remove", "create", "start"]


def test_a_stopped_one_whose_port_was_taken_meanwhile_is_made_anew() -> None:
    fake = engine(standing("exited"), starts=[TAKEN, TAKEN])

    assert converge(fake, WANTED).host_port != 5123
    assert done(fake.asked) == ["start", "remove", "create", "start", "remove", "create", "start"]


def test_any_other_refusal_leaves_nothing_half_made() -> None:
    fake = engine(starts=[EngineRefused("no such image", status=404)])

    with pytest.raises(EngineRefused, match="no such image"):
        converge(fake, WANTED)

    assert done(fake.asked) == ["create", "start", "remove"]


def test_somebody_elses_container_is_not_touched() -> None:
    fake = engine(standing("running", lab="red"))

    with pytest.raises(LabError, match="a container named blue-registry is there already and is not this lab's"):
        converge(fake, WANTED)

    assert done(fake.asked) == []


def test_nothing_of_the_host_is_mounted_and_only_loopback_is_open() -> None:
    body = WANTED.body(5123)

    assert body["HostConfig"]["PortBindings"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "5123"}]}
    assert "Binds" not in body["HostConfig"] and not body["HostConfig"].get("Privileged")
    assert body["Labels"] == {
        "labctl.lab": "blue",
        "labctl.owner": own_mark(),
        "labctl.kind": "registry",
        "labctl.port": "5123",
        CONFIG: WANTED.digest(),
    }
    endpoint = body["NetworkingConfig"]["EndpointsConfig"]["labctl-blue"]
    assert endpoint == {"Aliases": ["registry"], "IPAMConfig": {"IPv4Address": "172.30.0.2"}}
