"""The lab under trial: commands on it, what is left of it, and a stack that shows whether it serves."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from bench.common import engine
from bench.reliability.counting import Ground, Traces, left, noted, settled
from labctl import Lab
from labctl.errors import LabctlError

__all__ = ["Bad", "Tried"]

LABCTL = [sys.executable, "-m", "labctl", "--progress", "plain"]
LIMIT = 420.0  # seconds; a command that takes longer hangs
SERVES_WITHIN = 30.0
STACK, PORT = "trial", 18080
STACK_FILE = f"""version: "3.8"
services:
  web:
    image: labctl/probe:1
    networks: [inner]
    ports: ["{PORT}:8080"]
    deploy: {{mode: global}}
  back:
    image: labctl/probe:1
    networks: [inner]
    deploy: {{replicas: 2}}
networks:
  inner: {{driver: overlay}}
"""


class Bad(Exception):
    """A trial has shown what should not be; it may have measured something all the same."""

    def __init__(self, why: str, figures: dict[str, float | str] | None = None) -> None:
        super().__init__(why)
        self.figures = figures or {}


@dataclass
class Tried:
    """A lab of so many nodes, which commands in processes of their own change."""

    name: str
    nodes: int
    managers: int
    ground: Ground
    client: Any = field(default_factory=engine)
    traces: Traces = field(default_factory=Traces)
    before: tuple[set[str], set[str]] = (set(), set())
    usual: float = 0.0  # seconds of a whole `up`

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a labctl command."""
        return subprocess.Popen(
            [*LABCTL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str) -> float:
        """Run a labctl command that must succeed, and return its seconds. Raises Bad with its last words."""
        began = time.monotonic()
        process = self.begin(*words)
        try:
            said, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            raise Bad(f"labctl {' '.join(words)} took more than {LIMIT:.0f} s: {_end(said)}") from None
        if process.returncode != 0:
            raise Bad(f"labctl {' '.join(words)} exited {process.returncode}: {_end(said)}")
        return time.monotonic() - began

    def up(self) -> float:
        """Bring it up, tried, and return the seconds."""
        return self.run(*self.up_words)

    @property
    def up_words(self) -> list[str]:
        """The command that brings it up."""
        size = ["--managers", str(self.managers), "--workers", str(self.nodes - self.managers)]
        return ["up", "--name", self.name, *size]

    def down(self) -> float:
        """Take it down and return the seconds."""
        self.note()
        return self.run("down", "-l", self.name, "--yes")

    def note(self) -> None:
        """Note what there is of it, for the count at the end."""
        self.traces.add(noted(self.client, self.name))

    def begin_count(self) -> None:
        """What is there from now on is counted."""
        self.traces = Traces()
        self.before = (self.ground.files(self.name), self.ground.contexts())

    def refuse_left(self) -> None:
        """Raise Bad when anything is left of the lab that is gone."""
        found = settled(lambda: left(self.client, self.name, self.traces, self.ground, self.before))
        if found:
            raise Bad("left: " + "; ".join(f"{kind}: {', '.join(names[:3])}" for kind, names in found.items()))

    def deploy(self) -> None:
        """Deploy the stack that shows whether the lab serves."""
        file = self.ground.root / "tmp" / "trial.yml"
        file.write_text(STACK_FILE)
        try:
            self.run("stack", "deploy", "-l", self.name, str(file), STACK)
        finally:
            file.unlink()
        self.serves()

    def serves(self) -> float:
        """Wait until the stack serves on every node, and return the seconds. Raises Bad after half a minute.

        A published port answers on each node, and on this host; names and a VIP lead from each node's task to others.
        """
        began = time.monotonic()
        while True:
            problem = self._problem()
            if not problem:
                return time.monotonic() - began
            if time.monotonic() - began > SERVES_WITHIN:
                raise Bad(f"the stack does not serve after {SERVES_WITHIN:.0f} s: {problem}")
            time.sleep(0.5)

    def _problem(self) -> str:
        try:
            lab = Lab.find(self.name)
            return next(filter(None, (part(lab) for part in (_ports, _names, _outside))), "")
        except LabctlError as problem:
            return problem.message


def _end(said: str) -> str:
    return " / ".join(line.strip() for line in said.strip().splitlines()[-4:])


def _ports(lab: Lab) -> str:
    """What is wrong with the published port on a node, empty for nothing."""
    for node in lab.nodes:
        heard = {_page(f"http://{node.address}:{PORT}/") for _ in range(2 * len(lab.nodes) + 1)}
        if "" in heard or len(heard) != len(lab.nodes):
            return f"{node.name}: port {PORT}: {len(heard - {''})} of {len(lab.nodes)} tasks answer"
    return ""


def _names(lab: Lab) -> str:
    """What is wrong with names and VIPs within the stack, as a node's task sees them."""
    script = "nslookup tasks.back 2>&1 | grep -c '^Address.*10[.]'; wget -q -T 2 -O - http://back:8080/"
    for node in lab.nodes:
        here = f"docker exec $(docker ps -q -f label=com.docker.swarm.service.name={STACK}_web | head -1)"
        said = node.run(f"{here} sh -c {_quoted(script)}")
        lines = said.stdout.split()
        if not said.ok or len(lines) != 2 or lines[0] != "2":
            return f"{node.name}: tasks.back and back: {' '.join([*lines, said.stderr.strip()[-80:]])}"
    return ""


def _outside(lab: Lab) -> str:
    """What is wrong with the way from this host."""
    urls = lab.urls(f"{STACK}_web")
    return "" if _page(urls[0]) else f"{urls[0]} does not answer"


def _page(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode().strip())
    except OSError:
        return ""


def _quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"
