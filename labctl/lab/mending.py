"""Trying a lab whose nodes were made or started, and mending it where it does not serve: the mildest step first.

A ladder; each step is told, and the lab is tried again before the next one:

1. the engines meet and announce endpoints that they no longer do, and those that were just started exchange with the
   others what they know of tasks
2. on the nodes found ill only: the same again, and the mesh agent looks at everything anew; no task notices
3. the engines of the nodes that are ill and were started in this run are started over, which ends their containers

A node that was not started in this run keeps its containers, unless none was, and all that fails points at that node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from labctl.backend import Backend
from labctl.concurrent import each
from labctl.errors import LabctlError, LabError
from labctl.events import Emit, Noted
from labctl.lab.announcing import announce_again
from labctl.lab.form import start_over
from labctl.lab.gossip import exchange, meet
from labctl.lab.preparing import await_prepared
from labctl.lab.restoring import restore_circle
from labctl.lab.verify import ANSWER_LIMIT, APART, paths_of, verify
from labctl.node import Node
from labctl.swarm import cluster

__all__ = ["Ladder", "ill_of"]

# Seconds that mesh and overlay may fail after a step: engines exchange what they know every 30 s by themselves.
SETTLING_LIMIT = 40.0
RESTARTS = 2  # rounds of starting engines over: what is ill behind another one shows only after that one is well
# The node's first program starts the agent again; one that hangs, or is stopped, heeds no milder signal.
LOOK_ANEW = "pkill -KILL -f 'python3 -S -m [m]esh'"


@dataclass
class Ladder:
    """Tries a lab until it serves. `fresh` are the names of the nodes that were started in this run.

    `manager` returns one that can change the swarm: asked again after each step. `emit` hears of each step, and
    `note` of what is seen meanwhile.
    """

    backend: Backend
    manager: Callable[[], Node]
    nodes: Sequence[Node]
    fresh: Collection[str]
    note: Callable[[str], None]
    emit: Emit

    def climb(self, *, is_new: bool = False) -> str:
        """Try the lab, mend what is ill, and return what was tried. Raises LabError that names the ill nodes.

        One that `is_new` has had no time to lose anything: the first step is left out until it is seen to fail.
        """
        if not is_new:
            self.restore_circle()
            self.settle([node for node in self.nodes if node.name in self.fresh] or self.nodes)
        problem = self._problem(ANSWER_LIMIT)
        done, before = "", list[str]()
        for step in (self._look_anew, *[self._start_over] * RESTARTS):
            if isinstance(problem, str):
                break
            ill = ill_of(paths_of(problem), self.fresh)
            if step == self._start_over and ill == before:
                break  # the same again helps no more
            before = ill if step == self._start_over else before
            done = step(ill, problem)
            problem = self._problem() if done else problem
        if not isinstance(problem, str):
            raise self._told(problem)
        if not is_new:
            await_prepared(self.manager().engine, self.note, self.emit)
        return f"{problem} (after {done})" if done else problem

    def restore_circle(self) -> None:
        """Let engines that have lost their own place in the swarm's circle start over."""
        if restore_circle(self.nodes, self.backend, self.emit):
            self._wait_ready()

    def settle(self, nodes: Sequence[Node]) -> None:
        """Let all engines know each other, and those of these nodes what the others know."""
        meet(self.manager(), self.nodes, self.note)
        if lost := announce_again(self.nodes):
            self.emit(Noted(f"{_all(lost)}: endpoints on overlay networks are announced again"))
        exchange(nodes)

    def _problem(self, limit: float = SETTLING_LIMIT) -> str | LabctlError:
        """What was tried; or why it failed, where a step of the ladder may help."""
        try:
            return verify(self.manager(), self.nodes, self.note, limit=limit)
        except LabctlError as problem:
            if not paths_of(problem):
                raise
            return problem

    def _look_anew(self, ill: Sequence[str], problem: LabctlError) -> str:
        """Let engines and mesh agents of the ill nodes look again. Returns what was done."""
        chosen = [node for node in self.nodes if node.name in ill]
        self.emit(Noted(f"{_first_line(problem)}; {_all(ill)}: looking at the others again"))
        self.settle(chosen)
        each(chosen, lambda node: node.transport.run(LOOK_ANEW))
        return f"another look at the others from {_all(ill)}"

    def _start_over(self, ill: Sequence[str], problem: LabctlError) -> str:
        """Start the engines of the ill nodes over that may be. Returns what was done, empty for nothing."""
        may = self._may_start_over(ill, problem)
        chosen = [node for node in self.nodes if node.name in may]
        if not chosen:
            return ""
        names = _all([node.name for node in chosen])
        self.emit(Noted(f"{_first_line(problem)}; {names}: the engine starts over"))
        each(chosen, lambda node: start_over(node, self.backend))
        self._wait_ready()
        self.settle(chosen)
        return f"a new start of the engine of {names}"

    def _wait_ready(self) -> None:
        cluster.wait_ready(self.manager(), [node.name for node in self.nodes], nodes=self.nodes, noted=self.note)

    def _may_start_over(self, ill: Sequence[str], problem: LabctlError) -> Collection[str]:
        if self.fresh:
            return [name for name in ill if name in self.fresh]
        # Nothing was started here: perhaps all were, behind labctl's back. Each failure must be that node's own.
        return [name for name in ill if (name, name) in paths_of(problem)]

    def _told(self, problem: LabctlError) -> LabctlError:
        ill = ill_of(paths_of(problem), self.fresh)
        if len(ill) == len(self.nodes):
            return problem  # no node is to blame
        if both := _either(paths_of(problem), self.fresh):
            return LabError(
                f"{' and '.join(both)} do not serve each other: {_first_line(problem)}",
                hint=f"Which of them is ill cannot be told: look at `labctl status` and `labctl logs`; `labctl restart "
                f"{both[-1]}` starts that one over, with its containers.",
            )
        return LabError(
            f"{_all(ill)} does not serve with the other nodes: {_first_line(problem)}",
            hint=f"`labctl restart {' '.join(ill)}` starts it over, with its containers; "
            f"`labctl verify` tries the lab again: {APART}.",
        )


def ill_of(paths: Collection[tuple[str, str]], fresh: Collection[str]) -> list[str]:
    """Return the fewest nodes that explain the paths that fail: the one that most of them touch, and so on.

    Of several that explain as much it is one that was just started, and then the one that asked.
    """
    left = set(paths)
    ill: list[str] = sorted({asker for asker, other in left if asker == other})
    left = {path for path in left if not set(path) & set(ill)}
    while left:
        touched = Counter(name for path in left for name in path)
        asked = Counter(asker for asker, _ in left)
        worst = max(sorted(touched), key=lambda name: (touched[name], name in fresh, asked[name]))
        ill.append(worst)
        left = {path for path in left if worst not in path}
    return ill


def _either(paths: Collection[tuple[str, str]], fresh: Collection[str]) -> list[str]:
    """The two nodes between which all fails, where nothing tells which of them is ill; managers' names first."""
    touched = {name for path in paths for name in path}
    alone = any(asker == other for asker, other in paths)
    known = sum(name in fresh for name in touched) == 1
    return sorted(touched) if len(touched) == 2 and not alone and not known else []


def _first_line(problem: LabctlError) -> str:
    return problem.message.splitlines()[0]


def _all(names: Sequence[str]) -> str:
    return ", ".join(names)
