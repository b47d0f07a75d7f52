"""Processor time of a swarm that was made: what its containers used, and whoever made them, and the host's engine.

Wall clocks tell of a machine what else ran on it; processor time hardly does. The host's engine is shared with
whatever else runs there, so its part counts only on a machine that is otherwise quiet.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Spent", "spending"]

ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Spent:
    """Seconds of processor time."""

    maker: float = 0.0  # the process that made the swarm: labctl, or the floor's threads
    nodes: float = 0.0  # its containers, all that runs in them
    engine: float = 0.0  # the host's engine meanwhile

    @property
    def total(self) -> float:
        """All three."""
        return self.maker + self.nodes + self.engine


class spending:  # noqa: N801  read as `with spending(...)`
    """Measures the block; `label` is what the containers bear that count."""

    def __init__(self, client: Any, label: str) -> None:
        self._client, self._label = client, label
        self.spent = Spent()

    def __enter__(self) -> Spent:
        """Begin."""
        self._maker, self._engine = _own(), _of_engine()
        return self.spent

    def __exit__(self, *_: object) -> None:
        """Fill in what was spent."""
        self.spent.maker = _own() - self._maker
        self.spent.engine = _of_engine() - self._engine
        found = self._client.containers(filters={"label": self._label})
        with ThreadPoolExecutor(16) as threads:
            self.spent.nodes = sum(threads.map(self._of_container, [one["Id"] for one in found]))

    def _of_container(self, container: str) -> float:
        url = self._client._url("/containers/{0}/stats", container)
        answer = self._client._get(url, params={"stream": "false", "one-shot": "true"}).json()
        return float(answer["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def _own() -> float:
    """This process and those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _of_engine() -> float:
    """The host's engine and what it has started and waited for; of a node's own engine, the node's container tells."""
    return sum(_ticks(folder) for folder in _engine_processes()) / TICKS


def _engine_processes() -> Iterator[Path]:
    own = Path("/proc/self/ns/pid").readlink()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name = (folder / "comm").read_text().strip()
            if name.startswith(ENGINE) and (folder / "ns" / "pid").readlink() == own:
                yield folder
        except OSError:
            continue


def _ticks(folder: Path) -> int:
    try:
        words = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, words[11:15]))
