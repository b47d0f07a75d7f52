"""Days on which something breaks in the middle. Nothing half-made stays, and the next command works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import images
from labctl.cli.main import run
from labctl.lab import Context, Lab, find_lab, lab_names
from labctl.owner import marks
from labctl.pki import Authority
from labctl.spec import labels
from labctl.state import lab_path
from tests.guard import HANGING

pytestmark = pytest.mark.lab

LABCTL = [sys.executable, "-m", "labctl", "--progress", "plain"]
# `dockerd --validate` is content with it; the engine ends at once, and says why.
ENDS_THE_ENGINE = "storage-driver=nosuch"


@pytest.fixture
def name(lab_name: str, context: Context) -> Iterator[str]:
    """A lab's name; whatever is left of the lab is removed."""
    yield lab_name
    run(["down", "--lab", lab_name])
    assert lab_name not in lab_names(context)


def start_up(name: str, *flags: str, **environment: str) -> subprocess.Popen[str]:
    """Start `labctl up` in a process of its own."""
    return subprocess.Popen(
        [*LABCTL, "up", "--name", name, "--nodes", "2", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    )


def wait_for_containers(context: Context, name: str, count: int = 1) -> None:
    """Wait until the lab has so many containers: `up` is in the middle of it."""
    deadline = time.monotonic() + HANGING
    while time.monotonic() < deadline:
        if len(context.engine.containers(labels.of_lab(name))) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("up made no container within 60 s")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_takes_back_what_was_made(context: Context, name: str, number: int, code: int) -> None:
    process = start_up(name)
    wait_for_containers(context, name)

    process.send_signal(number)
    _, said = process.communicate(timeout=120)

    assert process.returncode == code, said
    assert "Traceback" not in said
    assert name not in lab_names(context)


def test_after_kill_9_up_finishes_what_was_begun(context: Context, name: str) -> None:
    process = start_up(name, "--no-verify")
    wait_for_containers(context, name, 2)
    process.kill()
    process.communicate()

    assert run(["up", "--name", name, "--nodes", "2"]) == 0

    lab = find_lab(context, name)
    assert [(node.hostname, node.state) for node in lab.swarm().nodes()] == [
        ("manager1", "ready"),
        ("worker1", "ready"),
    ]


def test_after_kill_9_down_leaves_nothing(context: Context, name: str) -> None:
    process = start_up(name, "--no-verify")
    wait_for_containers(context, name)
    process.kill()
    process.communicate()

    assert run(["down", "--lab", name]) == 0

    assert name not in lab_names(context)
    assert context.engine.volumes([f"{labels.LAB}={name}"]) == []


def test_two_ups_of_one_name_at_once_make_one_lab(context: Context, name: str) -> None:
    both = [start_up(name, "--no-verify"), start_up(name, "--no-verify")]

    said = [process.communicate(timeout=180)[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], said
    assert [node.name for node in find_lab(context, name).nodes] == ["manager1", "worker1"]


def test_retain_keeps_the_wreck(context: Context, name: str) -> None:
    process = subprocess.run(
        [*LABCTL, "up", "--name", name, "--nodes", "1", "--retain", "--engine-opt", ENDS_THE_ENGINE],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert process.returncode == 3, process.stderr
    assert "nosuch" in process.stderr, "the engine's own words must be told"
    assert [node.name for node in find_lab(context, name).nodes] == ["manager1"]


def test_a_failed_up_is_taken_back(context: Context, name: str) -> None:
    process = subprocess.run(
        [*LABCTL, "up", "--name", name, "--nodes", "1", "--engine-opt", ENDS_THE_ENGINE],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert process.returncode == 3
    assert "Traceback" not in process.stderr
    assert name not in lab_names(context)


def test_a_lab_stays_as_it_was_when_a_change_of_it_fails(
    context: Context, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["up", "--name", name, "--no-verify"]
    assert run([*plain, "--nodes", "1", "--no-registry"]) == 0
    keys, away = lab_path(name), lab_path(name).with_suffix(".away")

    assert run(["node", "add", "--lab", name, "--cpus", "9999"]) == 2
    assert run([*plain, "--image", "registry:5000/nosuchimg:7"]) == 3
    assert "manager1 cannot pull registry:5000/nosuchimg:7" in capsys.readouterr().err
    ours = (keys / "ca.pem").read_bytes()
    (keys / "ca.pem").write_bytes(Authority.create("another").certificate)
    assert run(["version", "--lab", name, "manager1"]) == 3
    assert "does not answer: its certificate is not of this lab's CA" in capsys.readouterr().err
    (keys / "ca.pem").write_bytes(ours)
    keys.rename(away)
    assert run(plain) == 3
    assert "LABCTL_STATE" in capsys.readouterr().err
    assert not keys.exists()
    away.rename(keys)
    assert run(plain) == 0
    assert [node.name for node in find_lab(context, name).nodes] == ["manager1"]


def test_what_was_removed_behind_labctls_back_is_told(
    context: Context, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--name", name, "--nodes", "2", "--no-registry", "--no-verify"]) == 0
    context.engine.remove(f"{name}-worker1")

    assert run(["status", "--lab", name]) == 3
    assert f"worker1 is gone: `labctl -l {name} up` recreates it" in capsys.readouterr().out
    assert run(["start", "--lab", name, "worker1"]) == 3
    assert "node worker1 is gone" in capsys.readouterr().err
    assert run(["node", "rm", "--lab", name, "--yes", "worker1"]) == 0
    assert run(["status", "--lab", name]) == 0
    assert [node.hostname for node in find_lab(context, name).swarm().nodes()] == ["manager1"]

    here = {"Container": f"{name}-manager1", "Force": True}
    context.engine.post(f"/networks/labctl-{name}/disconnect", here)
    context.engine.remove_network(f"labctl-{name}")
    capsys.readouterr()
    assert run(["status", "--lab", name]) == 3
    assert "the lab's network is gone" in capsys.readouterr().out
    assert run(["up", "--name", name]) == 3
    assert f"the network of lab {name} is gone" in capsys.readouterr().err


def test_a_lab_of_a_newer_labctl_is_used_kept_as_it_is_and_removed(
    context: Context, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--name", name, "--nodes", "2", "--no-registry", "--no-verify"]) == 0
    noted = {labels.SPEC: '{"name":"demo","workers":1,"hollow":1000}'}
    context.engine.post("/volumes/create", {"Labels": marks(name, "spec") | noted})
    capsys.readouterr()

    changes = (
        ["up", "--name", name, "--nodes", "3"],
        ["node", "add", "-l", name],
        ["snapshot", "save", "a", "-l", name],
    )
    for command in changes:
        assert run(command) == 3, command
        said = capsys.readouterr().err
        assert f"lab {name} was made by a newer labctl" in said and "it says hollow" in said
        assert "swarm-labctl" in said and f"`labctl down -l {name}`" in said
    assert run(["status", "-l", name]) == 0
    assert "warning    " in capsys.readouterr().out
    assert run(["exec", "-l", name, "--", "true"]) == 0
    assert run(["stop", "-l", name]) == run(["start", "-l", name]) == 0
    assert len(find_lab(context, name).nodes) == 2
    assert run(["down", "-l", name]) == 0


def test_down_names_a_foreign_container_on_the_labs_network(
    context: Context, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--name", name, "--nodes", "1", "--no-registry", "--no-verify"]) == 0
    network, foreign = f"labctl-{name}", f"{name}-foreign"
    image = images.ensure_services(context.engine)
    made = {"Image": image, "Entrypoint": ["sleep", "600"], "HostConfig": {"NetworkMode": network}}
    context.engine.create(foreign, made)
    context.engine.start(foreign)
    capsys.readouterr()

    try:
        assert run(["down", "--lab", name]) == 3
        assert f"docker network disconnect -f {network} {foreign}" in capsys.readouterr().err
        assert context.engine.containers(labels.of_lab(name)) == []
    finally:
        context.engine.remove(foreign)
    assert run(["down", "--lab", name]) == 0


def test_no_engine_is_told_in_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
        code = run(["up", "--name", name, "--nodes", "2"])

    said = capsys.readouterr().err
    assert code == 3
    assert "does not answer" in said and "labctl doctor" in said
    assert "Traceback" not in said


def test_an_engine_that_dies_during_up_is_told(context: Context, name: str, tmp_path: Path) -> None:
    """The engine is reached through a socket of ours, which is cut in the middle."""
    relay = Relay(tmp_path / "engine.sock", Path(context.engine.endpoint.url.removeprefix("unix://")))
    process = start_up(name, DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
    wait_for_containers(context, name)

    relay.close()
    _, said = process.communicate(timeout=180)

    assert process.returncode == 3, said
    assert "Traceback" not in said
    assert "does not answer" in said
    assert run(["up", "--name", name, "--nodes", "2", "--no-verify"]) == 0


def test_commands_on_a_lab_that_is_not_there(shared_lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    near = shared_lab.name[:-1] + ("1" if shared_lab.name.endswith("0") else "0")
    for command in (["status"], ["verify"], ["map"], ["ls"], ["ssh", "worker1", "true"], ["env"]):
        assert run([*command[:1], "--lab", near, *command[1:]]) == 2, command
        said = capsys.readouterr().err
        assert f"no lab named '{near}'" in said
        assert "Traceback" not in said


def test_nodes_that_would_not_fit_are_refused_by_memory(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--name", name, "--nodes", "1000"]) in (2, 3)
    assert "memory" in capsys.readouterr().err.lower()


class Relay:
    """A Unix socket that leads to another, until it is closed with all that goes through it."""

    def __init__(self, path: Path, target: Path) -> None:
        self._target = str(target)
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(64)
        self._path = path
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut every connection and take no more."""
        self._path.unlink()
        self._server.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            engine.connect(self._target)
            self._open += [client, engine]
            for source, sink in ((client, engine), (engine, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return
