"""`python -m bench.tick LAB`: from a change in a lab to its tick, and what watching costs while nothing happens.

A tick is compared with what cannot be beaten: the moment when the API, asked without a pause, first shows the change.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bench.common import median
from labctl import Lab
from labctl.events import quiet
from labctl.exercise import read_exercise
from labctl.exercise.run import Following, Run
from labctl.exercise.session import Session
from labctl.exercise.telling import Checked

TEXT = """---
format: 1
id: tick
title: Ticks
summary: Ticks that come and go
minutes: 1
lab: {managers: 1, workers: 1}
---

## Tick {#tick}

```sh node=m1
docker secret ls
```
"""
CHECKS = '''
import pytest
from labctl.checks import not_yet


@pytest.mark.step("tick")
def test_secret(swarm):
    """There is a secret."""
    swarm.secret("bench-tick")


@pytest.mark.step("tick")
def test_tasks(swarm):
    """Two tasks run."""
    if len(swarm.service("bench-tick").running()) < 2:
        not_yet("fewer than two tasks run")
'''
LIMIT = 60.0
IDLE = 60.0


def main() -> None:
    """Measure on a lab that is up, and leave nothing in it."""
    parser = argparse.ArgumentParser(prog="python -m bench.tick", description=__doc__)
    parser.add_argument("lab")
    parser.add_argument("--image", default="labctl/probe:1", help="what the service runs")
    parser.add_argument("--runs", type=int, default=20)
    given = parser.parse_args()
    lab = Lab.find(given.lab)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "tick"
        folder.mkdir()
        (folder / "exercise.md").write_text(TEXT)
        (folder / "test_tick.py").write_text(CHECKS)
        run = Run(Session.begin(lab, read_exercise(folder), quiet, lambda _: None))
        following = run.follow()
        run.start()
        try:
            measure(lab, following, given.image, given.runs)
        finally:
            run.close()
            run.session.reset()


def measure(lab: Lab, following: Following, image: str, runs: int) -> None:
    """Print the table."""
    shell = lab.node("m1").expect
    shell("docker secret rm bench-tick; docker service rm bench-tick; true")
    seen = Watcher(following)
    print("| change | median s | p95 s | after the API shows it, median s |\n|---|---|---|---|")
    secret, tasks, late = [], [], []
    for _ in range(runs):
        secret.append(seen.after(lambda: shell("echo 1 | docker secret create bench-tick -"), 0, "done"))
        began = time.monotonic()
        shell(f"docker service create --detach --name bench-tick --replicas 2 {image}")
        shown = until(lambda: len(running(lab)) == 2) - began
        whole = seen.until(1, "done") - began
        tasks.append(whole)
        late.append(max(0.0, whole - shown))
        shell("docker service rm bench-tick; docker secret rm bench-tick")
        seen.until(0, "not-yet")
    print(f"| a secret | {median(secret):.2f} | {p95(secret):.2f} | - |")
    print(f"| two tasks run | {median(tasks):.2f} | {p95(tasks):.2f} | {median(late):.2f} (p95 {p95(late):.2f}) |")
    time.sleep(20)  # until the looks that follow a change are over
    before = spent()
    time.sleep(IDLE)
    print(f"\nIdle: {100 * (spent() - before) / IDLE:.2f} % of a core, the process of the checks included.")


def running(lab: Lab) -> list[object]:
    """The tasks of the service that the manager shows as running."""
    return [task for task in lab.swarm().tasks(["bench-tick"]) if task.state == "running"]


def until(condition: Callable[[], bool]) -> float:
    """Ask without a pause; the moment when it is so."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if condition():
            return time.monotonic()
    raise SystemExit("it never came")


class Watcher:
    """What a follower has heard of the checks."""

    def __init__(self, following: Following) -> None:
        self._following = following

    def after(self, change: Callable[[], object], check: int, outcome: str) -> float:
        """Seconds from the end of a change to the tick."""
        change()
        began = time.monotonic()
        return self.until(check, outcome) - began

    def until(self, check: int, outcome: str) -> float:
        """The moment when the check of that number is told to be so."""
        for event in self._heard():
            if isinstance(event, Checked) and event.results[check].outcome == outcome:
                return time.monotonic()
        raise SystemExit(f"check {check} was never {outcome}")

    def _heard(self) -> Iterator[object]:
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            event = self._following.take(0.5)
            if event is not None:
                yield event


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not pass."""
    return sorted(values)[min(len(values) - 1, round(0.95 * len(values)))]


def spent() -> float:
    """Processor seconds of this process and its children, by now."""
    me = psutil.Process()
    times = [one.cpu_times() for one in (me, *me.children(recursive=True))]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
