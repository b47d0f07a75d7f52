"""`python -m bench.mesh`: what the routing mesh and VIPs cost, against a task's own address.

A service with one task on the last worker is asked by a client on its own node and by one on another node,
each in a task's network namespace, at the task's own address and at the service's VIP; and from outside, at a
port published on the node that has the task and on one that has not, against a server on that node itself.
Prints a Markdown table of medians. Needs a lab of three nodes or more, and leaves it as it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.common import median

NAME = "bench-mesh"
IMAGE = "labctl/probe:1"
PORT, PUBLISHED, PLAIN = 7000, 17000, 17001
ENDS = Path(__file__).with_name("mesh_ends.py").read_text()
LIMIT = 60.0

Figures = dict[str, float]


class Comparison(NamedTuple):
    """A place to ask from, and the two addresses to compare there."""

    ask: Callable[[str], Figures]
    mesh: str
    own: str


class Lab:
    """The nodes of a lab, spoken to with the docker command."""

    def __init__(self, lab: str) -> None:
        listed = docker("ps", "--filter", f"label=labctl.lab={lab}", "--filter", "label=labctl.kind=node",
                        "--format", '{{.Label "labctl.node"}} {{.Names}} {{.Label "labctl.address"}}')  # fmt: skip
        rows = sorted(line.split() for line in listed.splitlines())
        if len(rows) < 3:
            raise SystemExit(f"the lab {lab} needs three nodes that run, not {len(rows)}: labctl up --nodes 3")
        self.container = {name: container for name, container, _ in rows}
        self.address = {name: address for name, _, address in rows}
        self.manager, self.outside, *_, self.server = list(self.container)

    def run(self, node: str, *command: str, script: str = "") -> str:
        """Run a command on a node and return what it prints."""
        return docker("exec", "-i", self.container[node], *command, script=script)

    def serve(self, node: str, inside: str, port: int) -> None:
        """Start the server on a node, in the network namespace of the process `inside`."""
        self.run(node, "sh", "-c", f"cat > /run/{NAME}.py", script=ENDS)
        docker("exec", "-d", self.container[node], "nsenter", f"--net=/proc/{inside}/ns/net",
               "python3", f"/run/{NAME}.py", "serve", str(port))  # fmt: skip

    def asker(self, node: str, inside: str, seconds: float) -> Callable[[str], Figures]:
        """Return what measures an address from a node, in the network namespace of the process `inside`."""

        def ask(address: str) -> Figures:
            words = ("nsenter", f"--net=/proc/{inside}/ns/net", "python3", "-", "ask", address, str(seconds))
            measured: Figures = json.loads(self.run(node, *words, script=ENDS))
            return measured

        return ask

    def task(self, node: str, service: str) -> dict[str, Any]:
        """Wait for a service's task on a node, and return its container."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            found = self.run(node, "docker", "ps", "-q", "-f", f"label=com.docker.swarm.service.name={service}")
            if found:
                described: dict[str, Any] = json.loads(self.run(node, "docker", "inspect", found.split()[0]))[0]
                return described
            time.sleep(0.2)
        raise SystemExit(f"{service} has no task on {node} after {LIMIT:.0f} s")


def docker(*words: str, script: str = "") -> str:
    """Run the docker command on the host."""
    done = subprocess.run(["docker", *words], input=script, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def build(lab: Lab, seconds: float) -> dict[str, Comparison]:
    """Make the services and servers, and return what to compare."""
    create = ("docker", "service", "create", "--detach", "--quiet", "--network", NAME)
    lab.run(lab.manager, "docker", "network", "create", "--driver", "overlay", NAME)
    lab.run(lab.manager, *create, "--name", NAME, "--publish", f"{PUBLISHED}:{PORT}",
            "--constraint", f"node.hostname=={lab.server}", IMAGE)  # fmt: skip
    lab.run(lab.manager, *create, "--name", f"{NAME}-client", "--mode", "global", IMAGE)
    task = lab.task(lab.server, NAME)
    lab.serve(lab.server, str(task["State"]["Pid"]), PORT)
    lab.serve(lab.server, "1", PLAIN)
    near, far = (lab.task(node, f"{NAME}-client")["State"]["Pid"] for node in (lab.server, lab.outside))
    own = f"{task['NetworkSettings']['Networks'][NAME]['IPAddress']}:{PORT}"
    service = json.loads(lab.run(lab.manager, "docker", "service", "inspect", NAME))[0]
    network = lab.run(lab.manager, "docker", "network", "inspect", "--format", "{{.Id}}", NAME)
    vip = next(one["Addr"] for one in service["Endpoint"]["VirtualIPs"] if one["NetworkID"] == network)
    virtual = f"{vip.partition('/')[0]}:{PORT}"
    here, there = lab.address[lab.server], lab.address[lab.manager]
    from_near, from_far = lab.asker(lab.server, near, seconds), lab.asker(lab.outside, far, seconds)
    outside = lab.asker(lab.outside, "1", seconds)
    time.sleep(1.5)  # the mesh follows within a second
    return {
        "VIP, client on the task's node": Comparison(from_near, virtual, own),
        "VIP, client on another node": Comparison(from_far, virtual, own),
        "published port, on the task's node": Comparison(outside, f"{here}:{PUBLISHED}", f"{here}:{PLAIN}"),
        "published port, on another node": Comparison(outside, f"{there}:{PUBLISHED}", f"{here}:{PLAIN}"),
    }


def remove(lab: Lab) -> None:
    """Remove what `build` made."""
    script = (
        f"docker service rm {NAME} {NAME}-client; for try in $(seq 40); do docker network rm {NAME} && break; "
        f"sleep 0.5; done"
    )
    docker("exec", lab.container[lab.manager], "sh", "-c", f"({script}) >/dev/null 2>&1; true")
    stop = f'kill $(ps -eo pid,args | awk \'$2 == "python3" && $3 == "/run/{NAME}.py" {{print $1}}\') 2>/dev/null; true'
    lab.run(lab.server, "sh", "-c", stop)


def measure(paths: Mapping[str, Comparison], runs: int) -> None:
    """Ask all in turns, and print medians and ratios."""
    found: dict[str, tuple[list[Figures], list[Figures]]] = {name: ([], []) for name in paths}
    for _ in range(runs):
        for name, (ask, mesh, own) in paths.items():
            found[name][0].append(ask(mesh))
            found[name][1].append(ask(own))
    print("\n### The mesh against a task's own address\n")
    print("| path | round trip, µs | ratio | connections/s | ratio | MiB/s | ratio |\n|---|---|---|---|---|---|---|")
    for name, (mesh_runs, own_runs) in found.items():
        cells = []
        for key in ("us", "per_s", "mib"):
            value, base = (median([run[key] for run in results]) for results in (mesh_runs, own_runs))
            cells += [f"{value:.0f} ({base:.0f})", f"{value / base:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("\nIn brackets: the task's own address; for published ports, a server on the node itself.")


def main() -> None:
    """Measure on the lab that is named."""
    parser = argparse.ArgumentParser(prog="python -m bench.mesh", description=__doc__)
    parser.add_argument("--lab", default="lab", help="a lab of three nodes or more that runs")
    parser.add_argument("--runs", type=int, default=3, help="how often, in turns; the median is told")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each figure is measured")
    given = parser.parse_args()
    lab = Lab(given.lab)
    remove(lab)
    try:
        measure(build(lab, given.seconds), given.runs)
    finally:
        remove(lab)


if __name__ == "__main__":
    main()
