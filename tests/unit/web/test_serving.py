"""Where the server listens: on this machine's loopback alone, and never beside somebody else."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl.errors import HostError, UsageError
from labctl.web import serving
from labctl.web.app import guarded, refuse_without_page
from labctl.web.desk import Desk


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield somebody.getsockname()[1]


def test_it_listens_on_loopback_alone() -> None:
    port, sockets = serving.bound(None)
    try:
        assert {one.getsockname()[0] for one in sockets} <= {"127.0.0.1", "::1"}
        assert {one.getsockname()[1] for one in sockets} == {port}
    finally:
        for one in sockets:
            one.close()


def test_a_port_that_was_asked_for_and_is_taken_is_refused(taken: int) -> None:
    with pytest.raises(UsageError, match=f"port {taken} is taken"):
        serving.bound(taken)


def test_a_port_that_was_not_asked_for_is_the_next_free_one(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "FIRST_PORT", taken)
    port, sockets = serving.bound(None)
    for one in sockets:
        one.close()
    assert taken < port <= taken + serving.TRIED

    monkeypatch.setattr(serving, "TRIED", 0)
    with pytest.raises(HostError, match="are all taken"):
        serving.bound(None)


def test_it_serves_while_the_block_runs(desk: Desk, page: Path) -> None:
    port, sockets = serving.bound(None)
    address = f"http://localhost:{port}"
    with serving.serving(guarded(desk, port, "k" * 43, page), sockets) as over:
        with urllib.request.urlopen(f"{address}/healthz", timeout=60) as answer:
            assert answer.read() == b"ok\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address, timeout=60)
        refused.value.close()
        assert refused.value.code == 403 and not over.is_set()
    assert over.is_set()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/healthz", timeout=60)


def test_a_checkout_without_the_page_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        refuse_without_page(tmp_path)
    assert "make web" in (refused.value.hint or "")
