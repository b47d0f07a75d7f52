"""`python -m bench [PART ...]`: every figure of docs/speed.md, as ratios of what ran in turns in one run.

Parts: up, grow, down, instant, deploy, check, idle, app. Each prints a Markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import floor, route, stacks
from bench.common import LABEL, engine, median, timed
from bench.cpu import spending
from labctl import images
from labctl.engine import Engine, host_endpoint

LABCTL = str(Path(sys.executable).with_name("labctl"))
LAB = os.environ.get("BENCH_LAB", "bench")
CLICK = 'python -c "import click"'
COMPLETION = "completion of node names"
# How many times as long as `import click` a command may take.
INSTANT = {
    "labctl --help": 1.5,
    "labctl status": 4,
    COMPLETION: 4,
    "labctl ls": 6,
    "labctl ports": 6,
    "labctl exercise list": 6,
    "labctl image ls": 6,
}
MOST_SSH = 1.5  # to a `docker exec` and twice `import click`


def main() -> None:
    """Run the parts that were asked for, all where none was."""
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "up": part_up,
        "grow": part_grow,
        "down": part_down,
        "instant": part_instant,
        "deploy": part_deploy,
        "check": part_check,
        "idle": part_idle,
        "app": part_app,
    }
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    parser.add_argument("--runs", type=int, default=5, help="how often, in turns; the median is told")
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 30, 60], help="nodes, for grow")
    given = parser.parse_args()
    for name in given.parts or parts:
        if name not in parts:
            parser.error(f"there is no part {name}: {', '.join(parts)}")
        parts[name](given)


def node_image() -> str:
    """The image that all contestants use; built where it is missing, before any clock runs."""
    return images.ensure_node_image(Engine(host_endpoint()), lambda _: None, lambda _: None)


def labctl_up(nodes: int, *flags: str) -> float:
    """Seconds of `labctl up`, from the shell."""
    return timed([LABCTL, "--progress", "none", "up", "--name", LAB, "--nodes", str(nodes), *flags])


def labctl_down() -> float:
    """Seconds of `labctl down`, from the shell."""
    return timed([LABCTL, "--progress", "none", "down", "--lab", LAB])


def part_up(given: argparse.Namespace) -> None:
    """Four nodes: the floor, labctl without and with its verification, the tutorial's route."""
    image = node_image()
    seconds: dict[str, list[float]] = {
        "floor": [],
        "labctl, not verified": [],
        "labctl": [],
        "route": [],
        "route, no certificates": [],
    }
    labctl_up(4)
    labctl_down()
    for _ in range(given.runs):
        seconds["floor"].append(floor.up(4, image))
        floor.down()
        seconds["labctl, not verified"].append(labctl_up(4, "--no-verify"))
        labctl_down()
        seconds["labctl"].append(labctl_up(4))
        labctl_down()
        seconds["route"].append(route.up(4, image))
        route.down()
        seconds["route, no certificates"].append(route.up(4, image, certificates=False))
        route.down()
    show("Four nodes, from the shell to all Ready", seconds, against="floor")


def part_grow(given: argparse.Namespace) -> None:
    """Many nodes: what each one more costs, for the floor and for labctl, in seconds and in processor time."""
    image, client = node_image(), engine()
    print(
        "\n### What a node more costs\n\n"
        "| nodes | floor, s | labctl, s | ratio | floor, CPU s | labctl, CPU s | ratio |\n|---|---|---|---|---|---|---|"
    )
    took: dict[int, list[list[float]]] = {}
    for _ in range(given.runs):
        for size in given.sizes:
            timed([LABCTL, "doctor", "--fix", "--yes", "--nodes", str(size)])
            with spending(client, f"{LABEL}=floor") as floors:
                base = floor.up(size, image)
            floor.down()
            with spending(client, f"labctl.lab={LAB}") as own:
                ours = labctl_up(size, "--no-verify")
            labctl_down()
            took.setdefault(size, []).append([base, ours, floors.total, own.total])
            print(f"| {size} | {_pairs(took[size][-1])} |", flush=True)
            print(f"<!-- CPU of {size}: floor {floors}, labctl {own} -->", flush=True)
    middle = {size: [median(column) for column in zip(*rows, strict=True)] for size, rows in took.items()}
    for small, large in itertools.pairwise(sorted(middle)):
        more = [(after - before) / (large - small) for before, after in zip(middle[small], middle[large], strict=True)]
        print(f"\nA node more, from {small} to {large}: {_pairs(more)}")


def _pairs(values: Sequence[float]) -> str:
    """Floor, labctl and their ratio, in seconds; the same in processor time."""
    return " | ".join(f"{base:.3g} | {ours:.3g} | {ours / base:.2f}" for base, ours in (values[:2], values[2:]))


def part_down(given: argparse.Namespace) -> None:
    """The same lab, from the shell: its containers removed in parallel, then its network; and `labctl down`."""
    docker = f"docker ps -aq --filter label=labctl.lab={LAB} | xargs -n1 -P8 docker rm -fv"
    seconds: dict[str, list[float]] = {"docker rm": [], "labctl down": []}
    for _ in range(given.runs):
        labctl_up(4, "--no-verify")
        seconds["docker rm"].append(timed(["sh", "-c", f"{docker} && docker network rm labctl-{LAB}"]))
        labctl_down()
        labctl_up(4, "--no-verify")
        seconds["labctl down"].append(labctl_down())
    show("Four nodes, removed", seconds, against="docker rm")


def part_instant(given: argparse.Namespace) -> None:
    """What should feel instant: commands that only look, one on a node, and what Tab runs."""
    labctl_up(4, "--no-verify")
    completing = {"_LABCTL_COMPLETE": "bash_complete", "COMP_WORDS": f"labctl ssh -l {LAB} w", "COMP_CWORD": "4"}
    seconds: dict[str, list[float]] = {}
    for _ in range(given.runs * 4):
        for name, command in _instant_commands().items():
            seconds.setdefault(name, []).append(timed(command, env=completing if name == COMPLETION else None))
    labctl_down()
    show("Instant", seconds, against=CLICK)
    usual = median(seconds["docker exec NODE true"]) + 2 * median(seconds[CLICK])
    ssh = median(seconds["labctl ssh worker1 true"])
    print("\n| what | to | ratio | at most |\n|---|---|---|---|")
    for name, most in INSTANT.items():
        print(f"| {name} | `import click` | {median(seconds[name]) / median(seconds[CLICK]):.2f} | {most:g} |")
    print(f"| labctl ssh worker1 true | `docker exec` and two `import click` | {ssh / usual:.2f} | {MOST_SSH:g} |")


def _instant_commands() -> dict[str, Sequence[str]]:
    return {
        CLICK: [sys.executable, "-c", "import click"],
        "docker ps": ["docker", "ps"],
        "docker exec NODE true": ["docker", "exec", f"{LAB}-worker1", "true"],
        "labctl --help": [LABCTL, "--help"],
        "labctl status": [LABCTL, "status", "--lab", LAB],
        COMPLETION: [LABCTL],
        "labctl ls": [LABCTL, "ls", "--lab", LAB],
        "labctl ports": [LABCTL, "ports", "--lab", LAB],
        "labctl exercise list": [LABCTL, "exercise", "list", "--lab", LAB],
        "labctl image ls": [LABCTL, "image", "ls", "--lab", LAB],
        "labctl ssh worker1 true": [LABCTL, "ssh", "--lab", LAB, "worker1", "true"],
    }


def part_deploy(given: argparse.Namespace) -> None:
    """Ten services with five ports, until all run: Docker's own command and a loop that asks; `labctl stack deploy`."""
    labctl_up(4, "--no-verify")
    seconds = stacks.deploy(LABCTL, LAB, given.runs)
    labctl_down()
    show("A stack of ten services", seconds, against="docker stack deploy, and asking")
    print(f"\nAt most {stacks.MOST_DEPLOY:g} times.")


def part_check(given: argparse.Namespace) -> None:
    """One step of an exercise, checked from the shell."""
    labctl_up(3, "--no-verify")
    seconds = stacks.check(LABCTL, LAB, given.runs)
    labctl_down()
    show("A step, checked", seconds, against="import click")


def part_idle(_given: argparse.Namespace) -> None:
    """The memory of idle nodes, as the engine counts it without the page cache."""
    labctl_up(4)
    client = engine()
    print("\n### An idle node's memory\n\n| node | MiB |\n|---|---|")
    for found in client.containers(filters={"label": f"labctl.lab={LAB}"}):
        stats = client.stats(found["Id"], stream=False)["memory_stats"]
        cache = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
        print(f"| {found['Names'][0].lstrip('/')} | {(stats['usage'] - cache) / 2**20:.0f} |")
    labctl_down()


def part_app(_given: argparse.Namespace) -> None:
    """From nothing to the first counted vote, and where the time goes."""
    up = labctl_up(4)
    command = [LABCTL, "--progress", "none", "exercise", "voting-app", "--auto", "--lab", LAB, "-o", "json"]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = time.monotonic() - began
    steps = json.loads(done.stdout)["steps"]
    print("\n### The voting app\n\n| phase | s |\n|---|---|")
    print(f"| labctl up --nodes 4, verified | {up:.1f} |")
    for step in steps:
        print(f"| {step['id']} | {step['took']:.1f} |")
    print(f"| the exercise, all of it | {whole:.1f} |")
    first = up + sum(step["took"] for step in steps[:2])
    print(f"\nFrom nothing to the first vote that the database holds and the result page shows: {first:.1f} s.")
    labctl_down()


def show(title: str, seconds: dict[str, list[float]], *, against: str) -> None:
    """Print medians, and their ratio to one of them."""
    base = median(seconds[against])
    print(f"\n### {title}\n\n| what | median s | lowest | highest | ratio to {against} |\n|---|---|---|---|---|")
    for name, values in seconds.items():
        row = (median(values), min(values), max(values), median(values) / base)
        print(f"| {name} | {row[0]:.2f} | {row[1]:.2f} | {row[2]:.2f} | {row[3]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
