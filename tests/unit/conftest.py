"""What the unit tests share. None of them needs an engine, a network or time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from labctl.engine import Endpoint
from labctl.engine.fake import Answer, FakeEngine
from labctl.events import Event
from labctl.node import Node
from labctl.spec import Role
from labctl.transport import FakeTransport

# The same examples in each run; `pytest --hypothesis-profile=explore tests/unit` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", max_examples=5000, deadline=None, database=None)
settings.load_profile("same")

MakeNode = Callable[..., "FakeNode"]


class FakeNode(Node):
    """A node whose engine and transport are scripted, and at hand."""

    script: dict[str, Answer]
    fake_engine: FakeEngine
    fake_transport: FakeTransport


@pytest.fixture
def make_node() -> MakeNode:
    """Nodes by name; each has an engine and a transport that answer only what a test scripts."""

    def make(
        name: str = "manager1", role: Role | None = None, state: str = "running", address: str = "10.0.0.11"
    ) -> FakeNode:
        engine, transport = FakeEngine(where=f"the engine of {name}"), FakeTransport()
        node = FakeNode(
            lab="lab",
            name=name,
            role=role or ("manager" if name.startswith("manager") else "worker"),
            address=address,
            state=state,
            endpoint=Endpoint("tcp://127.0.0.1:1"),
            transport=transport,
            open_engine=lambda _endpoint, _where: engine,
        )
        node.fake_engine, node.fake_transport, node.script = engine, transport, engine.script
        return node

    return make


@pytest.fixture
def heard() -> list[Event]:
    """A list whose `append` hears events."""
    return []


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder for this test alone."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LABCTL_STATE", str(folder))
    return folder
