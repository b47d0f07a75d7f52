"""Labs as faults see them, whose nodes answer what a test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from labctl.backend import FakeBackend, LabRecord
from labctl.errors import LabError
from labctl.faults import Scene
from labctl.faults.innode import LIST
from labctl.node import Node
from labctl.swarm import SwarmView
from labctl.transport import FakeTransport, Result

from ..nodes import fake_node

__all__ = ["Answering", "no_swarm", "node", "scene_of"]


def no_swarm() -> SwarmView:
    raise LabError("no manager answers")


def scene_of(*nodes: Node, memory: int | None = None) -> Scene:
    """A lab without a swarm; a test may give it one."""
    backend = FakeBackend()
    backend.hold(LabRecord("lab", lambda: None, "172.30.1.0/24", "labctl-lab", nodes))
    return Scene(
        "lab",
        "172.30.1.0/24",
        nodes,
        backend,
        no_swarm,
        lambda _names: None,
        lambda _node: memory,
        swarmed=False,
    )


def node(
    name: str,
    answer: Callable[[str], Result] | None = None,
    *,
    state: str = "running",
    traces: Sequence[str] | None = (),
) -> Node:
    """A node with these lines in its folder of faults (None: it cannot tell), which answers all else by `answer`."""
    return replace(fake_node(name, state=state), transport=Answering(answer or (lambda text: Result(text, 0)), traces))


class Answering(FakeTransport):
    """A transport whose commands are too long to be scripted one by one."""

    def __init__(self, answer: Callable[[str], Result], traces: Sequence[str] | None) -> None:
        super().__init__()
        self.answer = answer
        self.traces = traces

    def run(self, command, **_how):  # type: ignore[no-untyped-def]  # FakeTransport's own
        text = command if isinstance(command, str) else " ".join(command)
        self.commands.append(text)
        if text != LIST:
            return self.answer(text)
        return Result(text, 1, "", "gone") if self.traces is None else Result(text, 0, "\n".join(self.traces))
