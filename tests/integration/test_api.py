"""The door for programs, on real labs: the page that tells of it, many callers at once, and bad days."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl import ContainerEvent, Event, Lab, LabctlError, LabEvent, LinkEvent, ServiceEvent, StepFinished
from labctl.lab import Context
from labctl.state import labs_on_disk
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
STACK = """
services:
  web:
    image: nginx:latest
    ports: ["{port}:80"]
    deploy: {{replicas: 2}}
"""


def names() -> set[str]:
    return {lab.name for lab in Lab.all()}


def test_every_block_of_the_page_runs(
    tmp_path: Path, context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 10, "no fences found is an error"
    monkeypatch.chdir(tmp_path)
    (stack,) = re.findall(r"```yaml\n(# docker-stack.yml\n.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "docker-stack.yml").write_text(stack)
    before, known = set(labs_on_disk()), {"print": print}
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), known)
    finally:
        context.engine.remove_image("web:1")
        left = names() & set(labs_on_disk()) - before
        for name in left:
            Lab.find(name).down()

    assert "Verifying" in capsys.readouterr().out
    assert left == set()


def test_a_block_removes_what_it_made_whatever_happens_and_leaves_what_stood(lab_name: str) -> None:
    heard: list[Event] = []
    with Lab.up(name=lab_name, nodes=1, verify=False, on_event=heard.append) as lab:
        assert [event.step for event in heard if isinstance(event, StepFinished)][-1] == "Verifying"
        told = len(heard)
        with Lab.up(name=lab_name) as same, Lab.find(lab_name):
            assert [node.name for node in same.nodes] == ["manager1"], "it is what it was"
        assert lab_name in names()
        assert (lab.stop(), len(heard)) == ([lab.node("m1")], told)

        with pytest.raises(KeyboardInterrupt), Lab.up(nodes=1, verify=False) as fresh:
            raise KeyboardInterrupt
        assert fresh.name not in names()
    assert lab_name not in names()


@pytest.fixture
def lab(lab_name: str) -> Iterator[Lab]:
    with Lab.up(name=lab_name, nodes=1, verify=False) as found:
        yield found


def test_two_threads_and_a_process_change_a_lab_at_once(lab: Lab) -> None:
    code = f"from labctl import Lab; Lab.find({lab.name!r}).add_nodes(verify=False)"
    process = subprocess.Popen([sys.executable, "-c", code])
    with ThreadPoolExecutor(2) as pool:
        added = list(pool.map(lambda _: lab.add_nodes(verify=False)[0].name, range(2)))

    assert process.wait(HANGING) == 0
    assert [node.name for node in lab.refresh().nodes] == ["manager1", "worker1", "worker2", "worker3"]
    assert len(set(added)) == 2
    wait_until("all of them in the swarm", lambda: all_ready(lab, 4), limit=HANGING)


def all_ready(lab: Lab, number: int) -> None:
    ready = [node.hostname for node in lab.swarm().nodes() if node.state == "ready"]
    if len(ready) != number:
        raise Pending(f"ready: {ready}")


def test_two_processes_bring_up_one_lab_and_two_remove_it(lab_name: str) -> None:
    up = f"from labctl import Lab; print(Lab.up(name={lab_name!r}, nodes=2, verify=False).made_here)"
    made = [
        subprocess.Popen([sys.executable, "-c", up], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert sorted(one.communicate(timeout=HANGING * 2)[0].strip() for one in made) == ["False", "True"]
    lab, other = Lab.find(lab_name), Lab.find(lab_name)
    assert len(lab.nodes) == 2

    def down(one: Lab) -> object:
        try:
            return one.down()
        except LabctlError as problem:
            return problem.message

    with ThreadPoolExecutor(2) as pool:
        removed = list(pool.map(down, [lab, other]))

    assert f"no lab named {lab_name!r}" in next(one for one in removed if isinstance(one, str))
    assert lab_name not in names()


def test_a_lab_that_is_removed_ends_the_iteration_over_its_events(lab: Lab) -> None:
    seen: list[LabEvent] = []
    events = lab.events()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: seen.extend(events))
        lab.node("m1").expect("docker run -d --rm --name beside labctl/probe:1")
        wait_until("its start", lambda: started(seen), limit=HANGING)
        lab.down()
        reading.result(HANGING)

    assert [event.number for event in seen] == list(range(1, len(seen) + 1))
    assert {event.lab for event in seen} == {lab.name}


def started(seen: list[LabEvent]) -> None:
    if not any(isinstance(event, ContainerEvent) and event.container == "beside" for event in seen):
        raise Pending(f"{seen}")


def test_a_manager_dies_in_the_middle_of_a_deploy_and_nothing_is_told_twice(lab_name: str) -> None:
    text = STACK.format(port=18095)
    with Lab.up(name=lab_name, managers=3, workers=0) as lab, lab.events() as events:
        seen: list[LabEvent] = []
        listening = threading.Thread(target=lambda: seen.extend(events))
        listening.start()
        leader = next(node.hostname for node in lab.swarm().nodes() if node.leader)
        with ThreadPoolExecutor(1) as pool:
            deploying = pool.submit(lab.deploy, "web.yml", "web", text=text, limit=HANGING)
            time.sleep(1)
            lab.kill(leader)
            found = deploying.result()

        assert [(one.service, one.running) for one in found.services] == [("web_web", 2)]
        assert found.urls == (lab.url("web"),)
        lab.start()  # it reads the swarm's log again, and tells of all that was ever removed
        lab.remove_stack("web")
        wait_until("the end of the service", lambda: removed(seen), limit=HANGING)
        events.close()
        listening.join(HANGING)

    made = [e.id for e in seen if isinstance(e, ServiceEvent) and e.action == "create"]
    gone = [e.id for e in seen if isinstance(e, ServiceEvent) and e.action == "remove"]
    assert len(set(made)) == len(made) and len(set(gone)) == len(gone) and set(gone) <= set(made)
    assert [e.action for e in seen if isinstance(e, LinkEvent) and e.node == leader] == ["up", "down", "up"]


def removed(seen: list[LabEvent]) -> None:
    if not any(isinstance(e, ServiceEvent) and e.service == "web_web" and e.action == "remove" for e in seen):
        raise Pending("the service is there")


def test_a_bare_process_without_a_home_a_terminal_or_a_kind_umask(tmp_path: Path) -> None:
    code = "from labctl import Lab\nwith Lab.up(nodes=1, verify=False) as lab: print(lab.status().is_good, lab.name)"
    keep = ("PATH", "PYTHONPATH", "DOCKER_HOST", "LABCTL_MIRROR", "LANG")
    environment = {key: os.environ[key] for key in keep if key in os.environ}
    environment |= {"LABCTL_STATE": str(tmp_path / "a folder" / "state"), "DOCKER_CONFIG": str(tmp_path / "a config")}

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=0o077,
        start_new_session=True,
        timeout=HANGING * 3,
        check=False,
    )

    assert done.stdout.startswith("True lab-"), done.stderr
    assert done.stderr == "", "a library says nothing by itself"
    assert done.stdout.split()[1] not in names()


STRANGER = """
import importlib, os, pkgutil
import labctl
for one in pkgutil.walk_packages(labctl.__path__, "labctl."):  # before this interpreter's files cannot be read any more
    if not one.name.endswith("__main__"):
        importlib.import_module(one.name)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
from labctl import HostError, Lab, LabctlError
for ask in (Lab.all, lambda: Lab.find("lab"), lambda: Lab.up(nodes=1)):
    try:
        print("answered", ask())
    except LabctlError as problem:
        lines, denied = problem.message.count("\\n"), "Permission denied" in problem.message
        print(isinstance(problem, HostError), lines, denied, problem.hint)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_of_this_machine_who_may_not_use_the_engine_is_told_so() -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("HOME", "LABCTL_STATE", "DOCKER_HOST")}

    done = subprocess.run([sys.executable, "-c", STRANGER], env=kept, capture_output=True, text=True, check=True)

    first, *others = done.stdout.splitlines()
    assert first.startswith("True 0 True ") and "labctl doctor" in first
    assert [line for line in others if not line.startswith("True 0 True LABCTL_STATE names another folder")] == []
    assert len(others) == 2
