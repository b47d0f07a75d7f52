"""A client for the tiny engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from labctl.engine import Endpoint, Engine

from ..tiny_engine import Reply, Server

Serve = Callable[..., Engine]


@pytest.fixture
def serve(tiny_engine: Callable[[Mapping[str, Reply]], Server]) -> Iterator[Serve]:
    """Serve the replies given by "GET /path", and return an Engine that asks there."""
    engines: list[Engine] = []

    def start(replies: Mapping[str, Reply] | None = None, *, limit: float = 10) -> Engine:
        engines.append(Engine(Endpoint(tiny_engine(replies or {}).url), where="the engine of w1", limit=limit))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()
