"""Exercises on a real lab: the voting app keeps the rules, and a learner is guided on a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from labctl.cli.main import run
from labctl.lab import Lab
from labctl.lab.verify import PROBE_IMAGE

pytestmark = pytest.mark.lab

Labctl = Callable[..., tuple[int, str, str]]
Make = Callable[..., Lab]


def runs_on(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Labctl:
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([*words, "-l", lab.name])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture(scope="module")
def voting_lab(make_lab: Make) -> Lab:
    """A lab of its own: the voting app stops nodes."""
    return make_lab(workers=2)


@pytest.mark.slow
def test_the_voting_app_keeps_the_rules(voting_lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Untouched every step fails, solved it passes, solved twice it still passes."""
    code, _, err = runs_on(voting_lab, capsys)("exercise", "test", "voting-app", "--yes")

    assert code == 0, err
    assert err.count("passes solved, and solved twice") == 8
    assert sum(int(count) for count in re.findall(r"fails untouched, (\d+) mistakes? named", err)) >= 6


@pytest.mark.slow
def test_the_voting_app_plays_itself_once(voting_lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    labctl = runs_on(voting_lab, capsys)
    assert labctl("exercise", "reset", "-x", "voting-app", "--yes")[0] == 0
    report = tmp_path / "report.xml"

    code, out, err = labctl("exercise", "voting-app", "--auto", "--junit", str(report), "-o", "json")

    assert code == 0, err
    found = json.loads(out)
    assert found["outcome"] == "done"
    assert [step["id"] for step in found["steps"] if step["played"]] == [step["id"] for step in found["steps"]]
    top = Xml.parse(report).getroot()
    assert (top.get("failures"), top.get("errors")) == ("0", "0")
    assert int(top.get("tests", "0")) >= 20

    code, out, err = labctl("exercise", "voting-app", "--auto", "-o", "json")

    assert code == 0
    assert "already solved: checked only" in err
    assert not any(step["played"] for step in json.loads(out)["steps"])


@pytest.mark.slow
def test_what_is_wrong_with_the_voting_app_is_told(voting_lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    labctl = runs_on(voting_lab, capsys)
    manager = voting_lab.nodes[0]
    assert labctl("exercise", "voting-app", "--auto")[0] == 0

    manager.expect("docker service scale --detach voting_vote=1")
    code, out, _ = labctl("exercise", "check", "scale", "-x", "voting-app")
    assert code == 1
    assert "Not yet: vote should have 3 replicas, one for each node\n  found: 1\n" in out
    assert f"  look:  labctl -l {voting_lab.name} docker -- service ls\n" in out

    manager.expect("docker service update --detach --network-add voting_frontend voting_db")
    code, out, _ = labctl("exercise", "check", "deploy", "-x", "voting-app")
    assert code == 1
    assert "Not right: db should be on voting_backend\n  found: voting_backend, voting_frontend" in out

    manager.expect("docker service update --detach --image labctl/vote:1 voting_vote")
    code, out, _ = labctl("exercise", "check", "update", "-x", "voting-app")
    assert code == 1
    assert "Not yet: vote still runs version 1" in out


# -- a small exercise

EXERCISE = f"""---
format: 1
id: small
title: Small
summary: One service
minutes: 1
lab: {{managers: 1, workers: 1}}
images: ["{PROBE_IMAGE}"]
ports: {{Web: 18098}}
---

## Run {{#run}}

Run it, and see {{{{url.Web}}}}.

<details><summary>Solution</summary>

```sh node=m1 solve
docker service create --detach --name small --publish 18098:8080 {PROBE_IMAGE}
```

</details>

```sh node=m1 reset fail=ok
docker service rm small
```
"""
CHECKS = '''
import pytest
from labctl.checks import not_yet


@pytest.mark.guard
def test_ground(managers, workers, lab):
    """The lab has its nodes."""
    assert len(managers) == 1
    assert len(workers) == len(lab.nodes) - 1


@pytest.mark.step("run")
def test_service(swarm):
    """The service runs."""
    swarm.service("small").must_run()


@pytest.mark.step("run")
def test_page(swarm, node):
    """Its page answers on worker 1, and testinfra knows that node."""
    assert swarm.http("w1", 18098).ok
    assert swarm.service("small").published == {18098: 8080}
    assert node("w1").check_output("hostname") == "worker1"
    assert node("w1").file("/etc/hosts").is_file
    assert node("m1").process.filter(comm="dockerd")
    assert swarm.up_since("w1")["w1"] > 0
    assert len(swarm.http_everywhere(18098)) == len(swarm.nodes())


@pytest.mark.step("run")
@pytest.mark.observer(port=18098)
def test_observer(observer):
    """The observer saw it."""
    if observer.total < 5:
        not_yet("too little was seen", found=observer.total)
'''


@pytest.fixture
def small(shared_lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Path]:
    """An exercise of one step; what it made is taken away afterwards."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "exercise.md").write_text(EXERCISE)
    (folder / "test_small.py").write_text(CHECKS)
    yield folder
    runs_on(shared_lab, capsys)("exercise", "reset", "-x", str(folder), "--yes")


def test_plain_commands_lead_through_an_exercise(
    small: Path, shared_lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    labctl = runs_on(shared_lab, capsys)
    code, out, _ = labctl("exercise", str(small))
    assert code == 0
    assert re.search(r"Run it, and see http://127\.0\.0\.1:\d+\.", out)

    assert labctl("exercise", "check")[0] == 1
    assert "docker service create" in labctl("exercise", "solve", "--show")[1]
    assert labctl("exercise", "solve")[0] == 0
    code, out, _ = labctl("exercise", "check", "-o", "json")

    assert code == 0
    assert json.loads(out)["outcome"] == "done"


def test_an_observer_keeps_its_record_when_the_step_is_done(
    small: Path, shared_lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    labctl = runs_on(shared_lab, capsys)
    labctl("exercise", str(small))
    assert labctl("exercise", "solve")[0] == 0
    manager = shared_lab.nodes[0]
    count = "wc -l < /var/lib/labctl/observers/test_small-run/samples"

    before = manager.expect(count).stdout
    time.sleep(0.5)

    assert manager.expect(count).stdout == before
    assert labctl("exercise", "reset", "--yes")[0] == 0
    assert not manager.run("ls /var/lib/labctl/observers/test_small-run").ok


def test_a_node_that_is_down_breaks_the_lab_and_fails_nobody(
    small: Path, make_lab: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(workers=1)
    labctl = runs_on(lab, capsys)
    assert labctl("exercise", str(small), "--auto")[0] == 0
    lab.stop([lab.node("w1")])

    code, out, _ = labctl("exercise", "check")

    assert code == 3
    assert "The lab is broken: node worker1 is exited" in out


def test_a_lab_that_lacks_nodes_is_told_with_the_command(
    small: Path, shared_lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    (small / "exercise.md").write_text(EXERCISE.replace("workers: 1", "workers: 9"))

    code, _, err = runs_on(shared_lab, capsys)("exercise", str(small), "--auto")

    assert code == 2
    assert "small needs 1 manager and 9 workers" in err
    assert f"`labctl up --nodes 10 --name {shared_lab.name}`" in err


class Terminal:
    """labctl on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(sys.executable, [sys.executable, "-m", "labctl", *words])
        self.said = ""

    def until(self, text: str, limit: float = 90.0) -> None:
        deadline = time.monotonic() + limit
        while text not in self.said:
            assert time.monotonic() < deadline, self.said[-2000:]
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if ready:
                try:
                    self.said += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    assert text in self.said, self.said[-2000:]

    def type(self, keys: str) -> None:
        self.said = ""
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_a_learner_is_guided_on_a_terminal(small: Path, shared_lab: Lab) -> None:
    terminal = Terminal("exercise", str(small), "-l", shared_lab.name)
    terminal.until("Not yet: there is no service small")
    terminal.type("n")  # not offered, so nothing happens
    terminal.type("s")
    terminal.until(f"docker service create --detach --name small --publish 18098:8080 {PROBE_IMAGE}")
    shared_lab.nodes[0].expect(f"docker service create --detach --name small --publish 18098:8080 {PROBE_IMAGE}")
    terminal.until("finish")
    terminal.type("n")
    terminal.until("Small: done")

    assert terminal.end() == 0
