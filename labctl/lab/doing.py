"""What several nodes are at, in one line: for a progress display while they are all on their way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Doing"]

MOST_NAMES = 3


class Doing:
    """Notes who is still at what, whenever that changes: "booting: worker2; joining: worker1". Safe from any thread."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._at: dict[str, str] = {}
        self._lock = threading.Lock()

    @contextmanager
    def at(self, node: str, verb: str) -> Iterator[None]:
        """A block in which the node is at it: booting, joining."""
        self._tell(lambda: self._at.update({node: verb}))
        try:
            yield
        finally:
            self._tell(lambda: self._at.pop(node, None))

    def _tell(self, change: Callable[[], object]) -> None:
        with self._lock:
            change()
            if self._at:
                self._note(str(self))

    def __str__(self) -> str:
        verbs: dict[str, list[str]] = {}
        for node, verb in sorted(self._at.items()):
            verbs.setdefault(verb, []).append(node)
        return "; ".join(f"{verb}: {_some(nodes)}" for verb, nodes in verbs.items())


def _some(nodes: list[str]) -> str:
    if len(nodes) <= MOST_NAMES:
        return ", ".join(nodes)
    return f"{', '.join(nodes[:MOST_NAMES])} and {len(nodes) - MOST_NAMES} more"
