"""alpine and busybox: a shell and the tools that lessons type. hello-world: a few words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Stage, docker

pytestmark = pytest.mark.lab

Build = Callable[..., str]
SMALL = 5_000_000  # bytes
both = pytest.mark.parametrize("name", ["alpine", "busybox"])


@both
def test_shell(image: Build, stage: Stage, name: str) -> None:
    assert stage.once(image(name), "sh", "-c", "echo $((6 * 7)) | sed s/4/four-/").stdout == "four-2\n"
    assert stage.once(image(name), "/bin/sh", "-c", "exit 7").returncode == 7
    assert stage.once(image(name)).returncode == 0  # the shell of `docker run alpine`, at the end of its input


@both
def test_runs_as_root_in_the_top_folder(image: Build, stage: Stage, name: str) -> None:
    assert stage.once(image(name), "sh", "-c", "id -un; pwd; echo $HOME").stdout.split() == ["root", "/", "/root"]


@both
def test_ping(image: Build, stage: Stage, name: str) -> None:
    stage.start(image("probe"), alias="other")
    assert "2 packets received" in stage.once(image(name), "ping", "-c", "2", "-i", "0.2", "other").stdout
    assert "1 packets received" in stage.once(image(name), "ping", "-c1", "127.0.0.1").stdout
    unknown = stage.once(image(name), "ping", "-c", "1", "nobody.invalid")
    assert unknown.returncode == 1
    assert "bad address 'nobody.invalid'" in unknown.stderr


@both
def test_wget(image: Build, stage: Stage, name: str) -> None:
    server = stage.start(image("probe"), options=["--hostname", "server"], alias="other", publish=8080)
    server.ask(8080)
    assert stage.once(image(name), "wget", "-qO-", "http://other:8080/").stdout == "server\n"


@both
def test_nslookup(image: Build, stage: Stage, name: str) -> None:
    other = stage.start(image("probe"), alias="other")
    assert other.address() in stage.once(image(name), "nslookup", "other").stdout


@both
def test_other_tools(image: Build, stage: Stage, name: str) -> None:
    tools = "cat ls grep awk sed vi top ps ip ifconfig netstat nc telnet traceroute env hostname sleep tail tar"
    found = stage.once(image(name), "sh", "-c", f"for t in {tools}; do test -x $(which $t) || echo no $t; done")
    assert (found.stdout, found.returncode) == ("", 0)


@both
def test_small_and_marked(image: Build, name: str) -> None:
    form = '{{.Size}} {{index .Config.Labels "labctl.standin"}}'
    size, label = docker("image", "inspect", "--format", form, image(name)).stdout.split()
    assert int(size) < SMALL
    assert label == name


@both
def test_says_what_it_is(image: Build, stage: Stage, name: str) -> None:
    assert f"stand-in for {name}" in stage.once(image(name), "cat", "/etc/os-release").stdout


def test_apk_says_that_there_is_nothing_to_install(image: Build, stage: Stage) -> None:
    result = stage.once(image("alpine"), "apk", "add", "--no-cache", "curl")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "stand-in" in result.stderr


def test_service_of_ping_ends_at_sigterm(image: Build, stage: Stage) -> None:
    service = stage.start(image("alpine"), "ping", "127.0.0.1")
    service.wait_for_log("64 bytes from 127.0.0.1")
    assert service.stop() < CONTRACT_STOP


def test_service_of_ping_stays_up_where_nobody_knows_the_name(image: Build, stage: Stage) -> None:
    service = stage.start(image("alpine"), "ping", "docker.invalid")
    service.wait_for_log("bad address 'docker.invalid'")
    assert service.inspect()["State"]["Running"]
    assert "bytes from" not in service.logs()
    assert service.stop() < CONTRACT_STOP


def test_ping_of_a_wrong_command_ends(image: Build, stage: Stage) -> None:
    assert stage.once(image("alpine"), "ping").returncode == 1
    assert stage.once(image("alpine"), "ping", "--nonsense", "127.0.0.1").returncode == 1


def test_hello_world_says_hello_and_ends(image: Build, stage: Stage) -> None:
    said = stage.once(image("hello-world"))
    assert said.returncode == 0
    assert "Hello from Docker!" in said.stdout
    assert "stand-in" in said.stdout
