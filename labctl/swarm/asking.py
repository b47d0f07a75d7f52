"""Which of several managers can change the swarm: asked one after the other, and none waited for while another can."""

from __future__ import annotations

import queue
import threading
import time

from labctl.errors import EngineRefused, EngineUnreachable, LabctlError
from labctl.node import Node

__all__ = ["Asked", "Asking"]


class Asked:
    """A node that was asked for its swarm (GET /swarm). A manager without a majority answers after 20 s only."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.over = False
        self._connected = False
        self.can_decide = False  # only a manager of a swarm that has a leader answers
        self.problem: LabctlError | None = None

    def ask(self) -> None:
        """Ask, and remember what came of it."""
        try:
            self.node.engine.connect()
            self._connected = True
            self.node.engine.get_json("/swarm")
            self.can_decide = True
        except LabctlError as problem:
            self.problem = problem
        finally:
            self.over = True

    def silent(self, seconds: float) -> LabctlError:
        """What its silence for so long means."""
        if self._connected:
            return EngineRefused(f"it reaches no majority of the managers within {seconds:g} s", status=503)
        return EngineUnreachable(
            f"the engine of {self.node.name} gives no answer within {seconds:g} s",
            hint=f"`labctl restart {self.node.name}` starts it over.",
        )


class Asking:
    """The nodes that were asked so far, and the wait for their answers."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: queue.SimpleQueue[Asked] = queue.SimpleQueue()

    def ask(self, node: Node) -> None:
        """Ask one more."""
        asked = Asked(node)
        self.asked.append(asked)

        def work() -> None:
            try:
                asked.ask()
            finally:
                self._answers.put(asked)

        threading.Thread(target=work, daemon=True).start()

    def wait(self, seconds: float, *, for_last: bool = False) -> Node | None:
        """Wait until one can decide, and return it; None when none can, or the time is over.

        With `for_last` the wait ends with the answer of the node that was asked last, whatever it is.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = next((one.node for one in self.asked if one.can_decide), None)
            if found is not None:
                return found
            waited_for = self.asked[-1:] if for_last else self.asked
            if all(one.over for one in waited_for):
                return None
            try:
                self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None

    @property
    def is_over(self) -> bool:
        """Whether all have answered."""
        return all(one.over for one in self.asked)

    def problems(self, seconds: float) -> list[tuple[Node, LabctlError]]:
        """Why each of them cannot decide; they were waited for that long."""
        found = [(one.node, one.problem if one.over else one.silent(seconds)) for one in self.asked]
        return [(node, problem) for node, problem in found if problem is not None]
