"""The image that a lab is verified with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Stage, docker

pytestmark = pytest.mark.lab

Build = Callable[..., str]
SMALL = 3_000_000  # bytes


def test_answers_with_its_host_name(image: Build, stage: Stage) -> None:
    probe = stage.start(image("probe"), options=["--hostname", "somewhere"], publish=8080)
    assert probe.ask(8080).body == "somewhere\n"


def test_sends_many_full_packets(image: Build, stage: Stage) -> None:
    probe = stage.start(image("probe"), publish=8080)
    assert len(probe.ask(8080, "/big").body) == 64 * 1024


def test_listens_where_it_is_told(image: Build, stage: Stage) -> None:
    probe = stage.start(image("probe"), env={"PROBE_PORT": "9999"}, publish=9999)
    assert probe.ask(9999).status == 200


def test_ends_at_once(image: Build, stage: Stage) -> None:
    probe = stage.start(image("probe"), publish=8080)
    probe.ask(8080)
    assert probe.stop() < CONTRACT_STOP
    assert probe.exit_code() == 0


def test_has_the_tools_to_look_around(image: Build, stage: Stage) -> None:
    other = stage.start(image("probe"), alias="other")
    probe = stage.start(image("probe"))
    other.wait_for("the server", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/")
    assert probe.execute("wget", "-q", "-O", "-", "http://other:8080/").strip() in other.name + other.inspect()["Id"]
    assert "1 packets received" in probe.execute("ping", "-c", "1", "other")
    assert "Address" in probe.execute("nslookup", "other")
    assert "400" in probe.execute("sh", "-c", "echo nonsense | nc -w 1 other 8080")


def test_is_small(image: Build) -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", image("probe")).stdout) < SMALL
