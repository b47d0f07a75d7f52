"""A page's server over a desk of fakes, and the page's built files in few lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from labctl.transport.seat import Terminal
from labctl.web.app import guarded
from labctl.web.desk import Desk
from labctl.web.safety import Guard
from tests.unit.exercise.conftest import begin, demo, lab, lab_with, place

__all__ = ["HERE", "SOCKET", "FakeShell", "Talk", "begin", "demo", "lab", "place"]  # fixtures among them

PORT = 7070
HERE = f"http://localhost:{PORT}"
SOCKET = f"ws://localhost:{PORT}/ws"


class FakeShell:
    """A shell that a test plays: `show` is what it shows, `typed` what it was sent."""

    def __init__(self) -> None:
        self.typed: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self._shown: list[bytes] = []
        self._news = threading.Condition()
        self.is_over = False

    def show(self, data: bytes) -> None:
        with self._news:
            self._shown.append(data)
            self._news.notify_all()

    def end(self) -> None:
        with self._news:
            self.is_over = True
            self._news.notify_all()

    # -- as labctl.transport.running has it

    def send(self, data: bytes) -> None:
        with self._news:
            self.typed.append(data)
            self._news.notify_all()

    def wait_typed(self, wanted: bytes, limit: float = 60.0) -> None:
        with self._news:
            assert self._news.wait_for(lambda: b"".join(self.typed) == wanted, limit), self.typed

    def end_input(self) -> None:
        pass

    def output(self) -> Iterator[tuple[int, bytes]]:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._shown or self.is_over)
                if not self._shown:
                    return
                data = self._shown.pop(0)
            yield 1, data

    def resize(self, lines: int, columns: int) -> None:
        self.sizes.append((lines, columns))

    def exit_code(self) -> int:
        return 0

    def close(self) -> None:
        self.end()

    def terminal(self) -> Terminal:
        return Terminal(self, cut=self.end, end=self.end)


@pytest.fixture
def shells() -> dict[str, list[FakeShell]]:
    """The shells that were opened, by node."""
    return {}


@pytest.fixture
def desk(state: Path, shells: dict[str, list[FakeShell]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk over a lab of two nodes, whose shells are fakes."""
    made = Desk(lab_with("manager1", "worker1", manager1="exited", worker1="exited"), None)

    def open_shell(name: str, rows: int, columns: int) -> Terminal:
        shell = FakeShell()
        shell.sizes.append((rows, columns))
        shells.setdefault(name, []).append(shell)
        return shell.terminal()

    monkeypatch.setattr(made, "_open", open_shell)
    made.hub.tell({"type": "hello", "lab": "demo", "exercise": False}, keep=True)
    yield made
    made.close()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The page as it is built, or nearly."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>labctl</title>")
    (tmp_path / "secret.txt").write_text("not of the page")
    return folder


@pytest.fixture
def guard(desk: Desk, page: Path) -> Guard:
    """The server's door."""
    return guarded(desk, PORT, "k" * 43, page)


@pytest.fixture
def client(guard: Guard) -> Iterator[TestClient]:
    """A browser that was not let in yet."""
    with TestClient(guard, base_url=HERE, follow_redirects=False) as made:
        yield made


@pytest.fixture
def inside(client: TestClient, guard: Guard) -> TestClient:
    """A browser that was."""
    client.get("/", params={"token": guard.token})
    return client


Talk = Callable[[], Any]


@pytest.fixture
def talk(inside: TestClient) -> Talk:
    """Open the page's websocket."""
    return lambda: inside.websocket_connect(SOCKET, headers={"origin": HERE})
