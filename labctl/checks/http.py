"""Pages as a node gets them: asked by curl on a node, since not every host reaches the nodes' addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from labctl.checks.deadline import seconds_left
from labctl.waiting import stretched

if TYPE_CHECKING:
    from labctl.node import Node

__all__ = ["REQUEST_LIMIT", "Answer", "request"]

REQUEST_LIMIT = 5.0  # seconds; a published port answers in milliseconds, or not at all


@dataclass(frozen=True)
class Answer:
    """What came back. `status` is 0, and `error` says why, where nobody answered."""

    url: str
    status: int
    body: str
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a page, not an error."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body, read as JSON. Raises ValueError when it is none."""
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.url}: {f'HTTP {self.status}' if self.status else self.error}"


def request(
    via: Node, url: str, *, form: Mapping[str, str] | None = None, cookie: str = "", limit: float | None = None
) -> Answer:
    """Get a page with curl on the node `via`, or post a form, within `limit` seconds (a few where not said).

    Raises NodeDown when that node is down.
    """
    limit = seconds_left(stretched(REQUEST_LIMIT)) if limit is None else limit
    command = ["curl", "-sS", "-m", f"{limit:g}", "-w", r"\n%{http_code}"]
    if form is not None:
        command += ["--data", urlencode(form)]
    if cookie:
        command += ["--cookie", cookie]
    result = via.run([*command, url], limit=limit + 1)
    body, _, status = result.stdout.rpartition("\n")
    error = result.stderr.strip().splitlines()[-1:] or [f"curl exited {result.code}"]
    return Answer(url, int(status) if status.isdigit() else 0, body, "" if result.ok else error[0])
