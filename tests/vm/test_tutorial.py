"""The docker-machine tutorial on virtual machines, typed as it has it, with `labctl` for `docker-machine`."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.state import lab_path
from labctl.waiting import Pending, wait_until

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
]
COMPOSE = """\
version: "3"
services:
  web:
    image: username/repo:tag
    deploy:
      replicas: 2
      resources:
        limits:
          cpus: "0.5"
          memory: 50M
      restart_policy:
        condition: on-failure
    ports:
      - "4000:80"
    networks:
      - webnet
networks:
  webnet:
"""
PULL_LIMIT = 300.0  # seconds that an emulated machine may take to fetch the page and to start it


class Shell:
    """A shell whose `labctl` means one lab; `env` is what was evaluated in it."""

    def __init__(self, lab: str, folder: Path) -> None:
        self.env = {**os.environ, "LABCTL_LAB": lab, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.folder = folder

    def __call__(self, line: str, limit: float = 600) -> str:
        """Type a line, which must end well; returns what it printed."""
        done = subprocess.run(
            ["bash", "-c", line],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    name = f"vt{secrets.token_hex(2)}"
    shell = Shell(name, tmp_path_factory.mktemp("tutorial"))
    try:
        yield shell
    finally:
        shell("labctl down")
        assert not lab_path(name).exists()


def test_two_machines_are_made_and_listed(shell: Shell) -> None:
    shell("labctl create --driver libvirt myvm1", limit=900)
    shell("labctl create -d libvirt myvm2", limit=900)

    first, *rows = shell("labctl ls").splitlines()
    assert first.split()[:5] == ["NAME", "ACTIVE", "DRIVER", "STATE", "URL"]
    for name, row in zip(("myvm1", "myvm2"), rows, strict=True):
        assert row.split()[:4] == [name, "-", "libvirt", "Running"]
        assert re.search(r"tcp://\S+:2376\s+v\d+", row)


def test_they_become_a_swarm(shell: Shell) -> None:
    said = shell('labctl ssh myvm1 "docker swarm init --advertise-addr $(labctl ip myvm1)"')
    assert "is now a manager" in said
    token = re.search(r"SWMTKN-\S+", said)
    assert token is not None

    joined = shell(f'labctl ssh myvm2 "docker swarm join --token {token[0]} $(labctl ip myvm1):2377"')
    assert "This node joined a swarm as a worker." in joined

    def ready() -> None:
        listed = shell('labctl ssh myvm1 "docker node ls"')
        if listed.count("Ready") != 2:
            raise Pending(listed)

    wait_until("both nodes being Ready", ready, limit=60, pause=2)


def test_the_shell_is_pointed_at_the_manager(shell: Shell) -> None:
    said = shell("labctl env myvm1")
    assert "# eval $(labctl env myvm1)" in said.replace('"', "")

    assert shell('eval "$(labctl env myvm1)"; docker info --format "{{.Name}}"').strip() == "myvm1"
    rows = shell('eval "$(labctl env myvm1)"; labctl ls').splitlines()[1:]
    assert [row.split()[1] for row in rows] == ["*", "-"]
    assert "DOCKER_HOST" in shell("labctl env -u")


def test_the_app_is_deployed_and_answers_at_both_machines(shell: Shell) -> None:
    (shell.folder / "docker-compose.yml").write_text(COMPOSE)
    shell("labctl scp docker-compose.yml myvm1:~")
    shell('labctl ssh myvm1 "docker stack deploy -c docker-compose.yml getstartedlab"')

    for name in ("myvm1", "myvm2"):
        assert "Hello" in page(shell(f"labctl ip {name}").strip())


def test_it_is_scaled_by_editing_the_file(shell: Shell) -> None:
    shell("sed -i 's/replicas: 2/replicas: 3/' docker-compose.yml")
    shell('eval "$(labctl env myvm1)"; docker stack deploy -c docker-compose.yml getstartedlab')

    def grown() -> None:
        listed = shell("labctl ssh myvm1 docker service ls --format '{{.Replicas}}'").strip()
        if listed != "3/3":
            raise Pending(listed)

    wait_until("three tasks", grown, limit=PULL_LIMIT, pause=2)


def test_a_machine_is_shut_down_from_inside_and_its_tasks_move(shell: Shell) -> None:
    subprocess.run(["bash", "-c", 'labctl ssh myvm2 "sudo shutdown now"'], env=shell.env, timeout=120, check=False)

    def moved() -> None:
        listed = shell("labctl ssh myvm1 docker service ps getstartedlab_web --filter desired-state=running")
        if listed.count(" myvm1 ") != 3 or listed.count("Running ") < 6:  # desired and current
            raise Pending(listed)

    def stopped() -> None:  # its tasks move as soon as it is silent, and an emulated machine goes down for a while
        listed = shell("labctl ls | grep myvm2")
        if "Stopped" not in listed:
            raise Pending(listed)

    wait_until("all tasks on myvm1", moved, limit=PULL_LIMIT, pause=2)
    wait_until("myvm2 being off", stopped, limit=120, pause=2)
    shell("labctl start myvm2", limit=900)


def test_all_is_cleaned_up_step_by_step(shell: Shell) -> None:
    shell('labctl ssh myvm1 "docker stack rm getstartedlab"')
    shell('labctl ssh myvm2 "docker swarm leave"')
    shell('labctl ssh myvm1 "docker swarm leave --force"')
    shell("labctl stop $(labctl ls -q)")
    assert shell("labctl ls").count("Stopped") == 2
    shell("labctl rm -y $(labctl ls -q)")


def page(address: str) -> str:
    """The page at a machine's port 4000; waits while its task is fetched."""

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}:4000/", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError as problem:
            raise Pending(str(problem)) from None

    return wait_until(f"the page at {address}", ask, limit=PULL_LIMIT, pause=1)
