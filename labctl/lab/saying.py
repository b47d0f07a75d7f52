"""What the tasks of a service have said, on whatever nodes they run or ran."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from labctl.errors import CommandFailed
from labctl.kept import read_bytes
from labctl.lab.ways import whole_name
from labctl.swarm import SwarmView

if TYPE_CHECKING:
    from labctl.lab.core import LabCore

__all__ = ["service_logs"]

STAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def service_logs(lab: LabCore, service: str, tail: int | None, limit: float) -> str:
    """What the manager's docker has of it, in the order of time; see `Lab.service_logs`."""
    manager = lab.manager()
    view = SwarmView(manager.engine)
    service = whole_name(service, [one.name for one in view.services()])
    last = [] if tail is None else ["--tail", str(tail)]
    result = manager.run(["docker", "service", "logs", "--timestamps", *last, service], limit=limit)
    if not result.ok:
        raise CommandFailed(manager.name, result)
    # A task's stderr comes on stderr, so the two are one log again. What docker itself complains of has no time.
    lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
    told = sorted((line for line in lines if STAMP.match(line)), key=lambda line: line.partition(" ")[0])
    cut = [f"[{read_bytes(result.dropped)} before this were left out]"] if result.dropped else []
    return "".join(f"{line}\n" for line in [*cut, *told, *(line for line in lines if not STAMP.match(line))])
