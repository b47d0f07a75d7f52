"""Observers: a loop on a node that asks for pages from the start of a step, so that a check can count what was lost.

It lives on the node, in the folder below, and outlives the command that started it. Its record stays until the
exercise is reset; it ends by itself after half an hour.

    pid      of the loop, while it runs
    samples  one line a request: the HTTP status, 000 where nobody answered
    sealed   there once the step is done: nothing that comes later is counted
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["FOLDER", "Observer"]

FOLDER = "/var/lib/labctl/observers"
LONGEST = 1800  # seconds
PAUSE = 0.05  # seconds between two requests
REQUEST_LIMIT = 3  # seconds; a request that takes longer is lost to the one who waits for it


@dataclass
class Observer:
    """The observer of one step: asks `urls` in turn, on `node`."""

    node: Node
    name: str
    urls: Sequence[str]

    def start(self, *, fresh: bool) -> None:
        """Let it run unless it does, or its record is sealed; `fresh` forgets what was recorded before."""
        place = self._place
        ask = f"curl -s -o /dev/null -m {REQUEST_LIMIT} -w '%{{http_code}}\\n' $url >> {place}/samples"
        loop = (
            f"end=$(($(date +%s)+{LONGEST})); while [ $(date +%s) -lt $end ]; do "
            f"for url in {shlex.join(self.urls)}; do {ask}; sleep {PAUSE}; done; done"
        )
        forget = f"{self._stop}; rm -rf {place}; " if fresh else ""
        self.node.expect(
            f"{forget}mkdir -p {place}; [ -e {place}/sealed ] && exit 0; "
            f"[ -e {place}/pid ] && kill -0 $(cat {place}/pid) 2>/dev/null && exit 0; "
            f"setsid sh -c {shlex.quote(loop)} >/dev/null 2>&1 & echo $! > {place}/pid"
        )

    def seal(self) -> None:
        """End the loop and keep the record."""
        self.node.expect(f"[ -d {self._place} ] || exit 0; {self._stop}; touch {self._place}/sealed")

    def forget(self) -> None:
        """Begin a new record; the loop goes on."""
        self.node.expect(f"[ -d {self._place} ] && : > {self._place}/samples; true")

    @property
    def counts(self) -> dict[str, int]:
        """How many requests got which HTTP status; "000" are those that nobody answered."""
        said = self.node.expect(f"sort {self._place}/samples 2>/dev/null | uniq -c").stdout
        pairs = (line.split() for line in said.splitlines())
        return {status: int(count) for count, status in pairs}

    @property
    def total(self) -> int:
        """How many requests were sent."""
        return sum(self.counts.values())

    @property
    def lost(self) -> int:
        """How many got no page: no answer, or an error of the server."""
        return sum(count for status, count in self.counts.items() if status == "000" or status.startswith("5"))

    @property
    def _place(self) -> str:
        return f"{FOLDER}/{self.name}"

    @property
    def _stop(self) -> str:
        return f"[ -e {self._place}/pid ] && kill -- -$(cat {self._place}/pid) 2>/dev/null; rm -f {self._place}/pid"
