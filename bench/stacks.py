"""A stack deployed, beside Docker's own command and a loop that asks; and a step of an exercise, checked."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.common import median, poll, timed
from labctl.lab.verify import PROBE_IMAGE

__all__ = ["check", "deploy", "stack_of"]

LESSON, STEP = "first-service", "1"
MOST_DEPLOY = 1.05  # to Docker's own command and a loop that asks
MOST_CHECK = 1.5  # seconds
WATCHED = 5.0  # seconds that Docker's own CLI watches the tasks of a service before it calls it converged
ASKED_EVERY = 0.5


def stack_of(services: int, ports: int) -> str:
    """A stack file of services with two tasks each, the first of them with a published port."""
    lines = ["services:"]
    for number in range(services):
        lines += [f"  s{number}:", f"    image: {PROBE_IMAGE}", "    deploy: {replicas: 2}"]
        if number < ports:
            lines += [f'    ports: ["{18200 + number}:8080"]']
    return "\n".join(lines) + "\n"


def deploy(labctl: str, lab: str, runs: int) -> dict[str, list[float]]:
    """Seconds of `stack deploy` of ten services with five ports, by labctl and by Docker's own command, in turns."""
    docker = ["docker", "--context", f"labctl-{lab}"]
    seconds: dict[str, list[float]] = {"docker stack deploy, and asking": [], "labctl stack deploy": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.yml"
        file.write_text(stack_of(10, 5))
        ours = [labctl, "--progress", "none", "stack", "deploy", str(file), "bench", "--lab", lab]
        remove = [labctl, "--progress", "none", "stack", "rm", "bench", "--lab", lab]
        timed(ours)  # every node has the image from here on
        timed(remove)
        for _ in range(runs):
            seconds["docker stack deploy, and asking"].append(_by_docker(docker, file))
            timed(remove)
            seconds["labctl stack deploy"].append(timed(ours))
            timed(remove)
    return seconds


def _by_docker(docker: Sequence[str], file: Path) -> float:
    began = time.monotonic()
    timed([*docker, "stack", "deploy", "-c", str(file), "bench"])

    def all_run() -> bool:
        asked = [*docker, "stack", "services", "bench", "--format", "{{.Replicas}}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        counts = [count.split()[0].split("/") for count in done.stdout.splitlines()]
        return bool(counts) and all(running == wanted for running, wanted in counts)

    poll("the stack", all_run, pause=ASKED_EVERY)
    time.sleep(WATCHED)
    if not all_run():
        raise SystemExit("a task of the stack has ended")
    return time.monotonic() - began


def check(labctl: str, lab: str, runs: int) -> dict[str, list[float]]:
    """Seconds of `exercise check` of one step that is done, and of `import click`, in turns."""
    timed([labctl, "exercise", LESSON, "--plain", "--lab", lab])
    timed([labctl, "exercise", "solve", STEP, "-x", LESSON, "--lab", lab])
    seconds: dict[str, list[float]] = {"import click": [], "labctl exercise check": []}
    for _ in range(runs):
        seconds["import click"].append(timed([sys.executable, "-c", "import click"]))
        seconds["labctl exercise check"].append(timed([labctl, "exercise", "check", STEP, "-x", LESSON, "--lab", lab]))
    print(f"\n`exercise check`: {median(seconds['labctl exercise check']):.2f} s, at most {MOST_CHECK:g} s")
    return seconds
