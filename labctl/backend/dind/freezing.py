"""A node's container that shall stand still: while programs start in it, the kernel may not get hold of all of them."""

from __future__ import annotations

from collections.abc import Callable

from labctl.engine import Engine
from labctl.errors import EngineRefused, LabError, WaitTimeout
from labctl.node import Node
from labctl.waiting import Clock, Pending, wait_until

__all__ = ["freeze"]

FREEZE_LIMIT = 15.0  # seconds; the runtime tries for a second or two each time
BUSY = "unable to freeze"  # runc's word, which has thawed what it had by then


def freeze(engine: Engine, node: Node, is_running: Callable[[], bool], *, clock: Clock | None = None) -> None:
    """Freeze the container, which may be refused for a while. Raises LabError where it stays so."""

    def look() -> None:
        try:
            if is_running():
                engine.pause(node.machine)
        except EngineRefused as refused:
            if BUSY not in refused.message:
                raise
            raise Pending(refused.message) from None

    try:
        wait_until(f"{node.name} standing still", look, limit=FREEZE_LIMIT, pause=0.5, clock=clock)
    except WaitTimeout:
        raise LabError(
            f"{node.name} does not stand still: its kernel cannot freeze all that starts on it just now",
            hint=f"Try again in half a minute: `labctl suspend {node.name}`; `labctl stop {node.name}` ends what runs.",
        ) from None
