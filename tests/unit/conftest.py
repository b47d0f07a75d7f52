"""What the unit tests share. None of them needs an engine, a network, or time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from labctl.events import Event
from labctl.waiting import allow_for

from .tiny_engine import Reply, Server

# The same examples in each run; `HYPOTHESIS_PROFILE=explore pytest tests/unit` looks for new ones.
settings.register_profile("same", max_examples=50, derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=5000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(autouse=True)
def _no_slow_lab() -> Iterator[None]:
    """A test that met an emulated lab leaves the others their limits."""
    yield
    allow_for(1)


@pytest.fixture(autouse=True)
def _a_quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are what a test says, however busy this machine is."""
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)


@pytest.fixture
def heard() -> list[Event]:
    """A list whose `append` hears events."""
    return []


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder for this test alone; it is not there yet."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LABCTL_STATE", str(folder))
    return folder


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of whom nothing tells the home: as a container's, without HOME and without an entry in passwd."""

    def nobody(_: object) -> None:
        raise KeyError

    for name in ("HOME", "DOCKER_CONFIG", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)


@pytest.fixture
def tiny_engine() -> Iterator[Callable[[Mapping[str, Reply]], Server]]:
    """Start HTTP servers in the place of engines; they answer the replies given by "GET /path"."""
    folder = Path(tempfile.mkdtemp(prefix="labctl-"))  # a socket's path must be short
    servers: list[Server] = []

    def start(replies: Mapping[str, Reply]) -> Server:
        servers.append(Server(folder / f"{len(servers)}.sock", replies))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    shutil.rmtree(folder)
