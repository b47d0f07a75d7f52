"""Two users of one engine: each has labs of their own, and neither touches the other's, not even by a failure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Context, find_lab, lab_names
from labctl.spec import labels
from labctl.state import lab_path

pytestmark = pytest.mark.lab

LABCTL = [sys.executable, "-m", "labctl", "--progress", "plain"]
SMALL = ("--nodes", "1", "--no-registry", "--no-verify")


class User:
    """Somebody with a state folder and a Docker configuration of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = os.environ | {"LABCTL_STATE": str(home / "state"), "DOCKER_CONFIG": str(home / "docker")}

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*LABCTL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err


@pytest.fixture
def alice(tmp_path: Path) -> User:
    return User(tmp_path / "alice")


@pytest.fixture
def bob(tmp_path: Path) -> User:
    return User(tmp_path / "bob")


@pytest.fixture
def name(lab_name: str, context: Context) -> Iterator[str]:
    """A lab's name; whatever is left of the lab is removed, whoever made it."""
    yield lab_name
    run(["down", "--lab", lab_name, "--others", "--yes"])
    assert lab_name not in lab_names(context)


def test_of_two_ups_of_one_name_at_once_one_is_refused_and_the_others_lab_stands(
    context: Context, name: str, alice: User, bob: User
) -> None:
    both = [user.start("up", "--name", name, *SMALL) for user in (alice, bob)]
    said = [process.communicate(timeout=600)[1] for process in both]

    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    winner, loser = (alice, bob) if codes[0] == 0 else (bob, alice)
    assert f"lab {name} belongs to " in said[codes.index(2)]
    assert [node.state for node in find_lab(context, name).nodes] == ["running"]
    assert winner.run("docker", "-l", name, "--", "node", "ls", "-q")[0] == 0
    assert not (loser.home / "docker").exists()
    owners = {one["Labels"].get(labels.OWNER) for one in context.engine.containers(labels.of_lab(name))}
    owners |= {one["Labels"].get(labels.OWNER) for one in context.engine.networks(labels.of_lab(name))}
    owners |= {one["Labels"].get(labels.OWNER) for one in context.engine.volumes(labels.of_lab(name))}
    assert len(owners) == 1 and None not in owners

    for words in (
        ["down", "-l", name],
        ["stop", "-l", name],
        ["ssh", "-l", name, "m1", "true"],
        ["up", "--name", name],
    ):
        assert loser.run(*words)[0] == 2, words
    assert loser.run("down", "--all")[0] == 0
    code, shown, _ = loser.run("status", "-l", name, "-o", "json")
    status = json.loads(shown)
    assert (code, status["yours"], status["problems"]) == (0, False, [])
    (row,) = [row for row in json.loads(loser.run("labs", "-o", "json")[1]) if row["name"] == name]
    assert row["owner"] == status["owner"] and not row["yours"]
    assert loser.run("map", "-l", name)[0] == 0
    assert "--yes" in loser.run("down", "-l", name, "--others")[2]
    assert winner.run("status", "-l", name)[0] == 0
    assert loser.run("down", "-l", name, "--others", "--yes")[0] == 0
    assert name not in lab_names(context)


def test_a_name_that_is_somebody_elses_is_refused_before_anything_is_made(
    context: Context, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network, store = f"labctl-{name}", f"{name}-registry"
    context.engine.post("/networks/create", {"Name": network})
    context.engine.create_volume(store, {})
    try:
        assert run(["up", "--name", name, "--nodes", "1", "--no-verify"]) == 3
        assert f"a network named {network} is there already and is not this lab's" in capsys.readouterr().err
        context.engine.remove_network(network)
        assert run(["up", "--name", name, "--nodes", "1", "--no-verify"]) == 3
        assert f"a volume named {store} is there already and is not this lab's" in capsys.readouterr().err
        assert name not in lab_names(context)
        assert not lab_path(name).exists()
    finally:
        context.engine.remove_network(network)
        context.engine.remove_volume(store)


def test_changes_of_one_lab_at_once_all_hold(context: Context, name: str, alice: User) -> None:
    assert alice.run("up", "--name", name, "--nodes", "3", "--no-registry", "--no-verify")[0] == 0

    rm = [alice.start("node", "rm", "-y", "-l", name, node) for node in ("worker1", "worker2")]
    said = [process.communicate(timeout=600)[1] for process in rm]
    assert [process.returncode for process in rm] == [0, 0], said
    ups = [alice.start("up", "--name", name, "--no-verify", "--label", label) for label in ("@all:a=1", "@manager:b=1")]
    said = [process.communicate(timeout=600)[1] for process in ups]
    assert [process.returncode for process in ups] == [0, 0], said

    lab = find_lab(context, name)
    assert [node.name for node in lab.nodes] == ["manager1"]
    assert [node.name for node in lab.spec.all_nodes()] == ["manager1"]
    assert lab.spec.labels_of(lab.spec.all_nodes()[0]) == {"a": "1", "b": "1"}
