"""`python -m bench.machines [--nodes N]`: a lab of virtual machines, phase by phase, beside `vagrant up` alone.

Both boot the same machines from the same box, with the same Vagrantfile; what is alone makes no nodes of them. The boot
is the `vagrant up` that labctl runs, from its start to its end; labctl works beside it, and makes nodes of those that
answer already.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.__main__ import LABCTL
from bench.common import timed
from labctl.images.box import ensure_box
from labctl.lab import open_context
from labctl.state import machines_path

LAB = "benchvm"
STEP = "Nodes"  # the step that has Vagrant in it
BOOT, GIVE = "boot: `vagrant up` by labctl", "nodes: keys, engine and join, from there on"


def main() -> None:
    """Measure both, in turns, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.machines", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1, help="how often, in turns; each takes some minutes")
    given = parser.parse_args()
    ensure_box(open_context().engine, "libvirt")
    print(f"\n### {given.nodes} virtual machines\n\n| phase | s |\n|---|---|", flush=True)
    for _ in range(given.runs):
        phases, folder = labctl_up(given.nodes)
        for name, seconds in phases.items():
            print(f"| {name} | {seconds:.1f} |", flush=True)
        print(f"| `labctl up`, all of it | {sum(phases.values()):.1f} |", flush=True)
        with folder:
            alone = timed(["vagrant", "up"], cwd=Path(folder.name))
            subprocess.run(["vagrant", "destroy", "-f"], cwd=folder.name, check=True, capture_output=True)
        print(f"| `vagrant up` alone | {alone:.1f} |")
        print(f"\nThe boot takes {phases[BOOT] / alone:.2f} times as long as `vagrant up` alone.\n", flush=True)


def labctl_up(nodes: int) -> tuple[dict[str, float], tempfile.TemporaryDirectory[str]]:
    """Make the lab and remove it; returns the seconds of each step, and a folder for Vagrant with its machines."""
    command = [LABCTL, "--progress", "json", "up", "--name", LAB, "--nodes", str(nodes), "--backend", "vagrant"]
    with removed():
        with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stderr=said, stdout=said) as running:
            boot = seconds_of_vagrant(running)
            said.seek(0)
            lines = said.read().splitlines()
        if running.returncode != 0:
            raise SystemExit("\n".join(lines[-20:]))
        folder = alone(machines_path(LAB))
    events = [json.loads(line) for line in lines if line.startswith("{")]
    phases: dict[str, float] = {}
    for event in events:
        if event.get("event") == "StepFinished" and event["step"] == STEP:
            phases |= {BOOT: boot, GIVE: max(0.0, event["seconds"] - boot)}
        elif event.get("event") == "StepFinished":
            phases[event["step"]] = event["seconds"]
    return phases, folder


def seconds_of_vagrant(running: subprocess.Popen[bytes]) -> float:
    """Wait for labctl's end; returns for how many seconds it had a `vagrant up` at work."""
    began = ended = 0.0
    while running.poll() is None:
        try:
            words = [child.cmdline() for child in psutil.Process(running.pid).children(recursive=True)]
        except psutil.Error:  # one that has just ended
            words = []
        if any("up" in line and any(word.endswith("vagrant") for word in line) for line in words):
            began = began or time.monotonic()
            ended = time.monotonic()
        time.sleep(0.2)  # how exact the figure is; the wait ends with labctl, whose own waits have limits
    return ended - began


def alone(lab: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder in which `vagrant up` makes the lab's machines, without labctl."""
    folder: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="bench-vagrant-")
    there = Path(folder.name)
    shutil.copyfile(lab / "Vagrantfile", there / "Vagrantfile")
    told = json.loads((lab / "lab.json").read_text())
    for node in told["nodes"]:
        node["console"] = None
        node["machine"] = f"plain-{node['machine']}"
    (there / "lab.json").write_text(json.dumps({**told, "ssh": {**told["ssh"], "private_key": None}}))
    return folder


@contextmanager
def removed() -> Iterator[None]:
    """The lab is gone afterwards, whatever happened."""
    try:
        yield
    finally:
        subprocess.run([LABCTL, "--progress", "none", "down", "--lab", LAB], check=True)


if __name__ == "__main__":
    main()
