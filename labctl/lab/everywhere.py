"""One command on many nodes at once; a node that cannot run it is an answer, not the end of the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from labctl.concurrent import Stop, each
from labctl.engine.errors import PRIVILEGED_HINT, wants_devices
from labctl.errors import Abandoned, LabctlError
from labctl.kept import read_bytes
from labctl.node import Node
from labctl.waiting import stretched

__all__ = ["NodeResult", "highest", "run_everywhere"]

LAB_BROKEN = 3  # labctl's exit code for a node that is down


@dataclass(frozen=True)
class NodeResult:
    """How the command ended on a node. `code` is None where it could not run; `stderr` then says why.

    What of the outputs is no UTF-8 stands as Python's "surrogateescape" has it.
    """

    node: str
    code: int | None
    stdout: str
    stderr: str
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """The answer as JSON can carry it: text alone."""
        told = {"stdout": _text(self.stdout), "stderr": _text(self.stderr), "seconds": round(self.seconds, 3)}
        return {**asdict(self), **told}


def run_everywhere(
    nodes: Sequence[Node], command: str | Sequence[str], *, limit: float, heard: Callable[[NodeResult], None]
) -> list[NodeResult]:
    """Run the command on all nodes at once, for at most `limit` seconds each, and return the answers in order.

    `heard` gets each answer as it comes, from any thread. Ctrl-C ends the command on all nodes.
    """
    stop = Stop()

    def ask(node: Node) -> NodeResult:
        began = time.monotonic()
        try:
            result = node.run(command, limit=limit, stop=stop)
        except LabctlError as problem:
            said = f"{problem.message}; {problem.hint}" if problem.hint else problem.message
            answer = NodeResult(node.name, None, "", f"{said}\n", time.monotonic() - began)
        else:
            late = result.timed_out and result.seconds >= stretched(limit)
            note = f"ended after {stretched(limit):g} s, the limit\n" if late else ""
            note += f"{PRIVILEGED_HINT}\n" if result.code and wants_devices(result.stderr) else ""
            if result.dropped:
                note += f"output cut: {read_bytes(result.dropped)} more were written before what is shown\n"
            stdout, stderr = result.exact
            said = f"{stderr}\n" if note and stderr and stderr[-1] != "\n" else stderr
            answer = NodeResult(node.name, result.code, stdout, said + note, result.seconds)
        if stop.called:
            raise Abandoned(f"{node.name}: ended by Ctrl-C")
        heard(answer)
        return answer

    return each(nodes, ask, at_once=max(1, len(nodes)), stop=stop)


def _text(said: str) -> str:
    return said.encode(errors="surrogateescape").decode(errors="replace")


def highest(answers: Sequence[NodeResult]) -> int:
    """The exit code for all: the highest of them; a node that could not run the command counts as 3."""
    return max((LAB_BROKEN if answer.code is None else answer.code for answer in answers), default=0)
