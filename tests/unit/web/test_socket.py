"""What a page and the server say to each other: replies, terminals, and what comes later."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labctl.web.desk import Desk

from .conftest import FakeShell, Talk

Shells = dict[str, list[FakeShell]]


def frame_of(data: bytes) -> tuple[str, int, bool, bytes]:
    """Node, place, whether to begin anew, bytes."""
    end = 1 + data[0]
    return data[1:end].decode(), int.from_bytes(data[end : end + 8], "big"), data[end + 8] == 1, data[end + 9 :]


def until(socket: Any, kind: str, **wanted: object) -> dict[str, Any]:
    """The next message of that type, with those values; frames are left out."""
    while True:
        got = socket.receive()
        if got.get("text") is not None:
            message: dict[str, Any] = json.loads(got["text"])
            if message["type"] == kind and all(message.get(key) == value for key, value in wanted.items()):
                return message


def shown(socket: Any, wanted: bytes) -> int:
    """Take frames until so much was shown; where they began."""
    got, first = b"", -1
    while got != wanted:
        message = socket.receive()
        if message.get("bytes") is not None:
            _, at, _, data = frame_of(message["bytes"])
            first, got = at if first < 0 else first, got + data
            assert wanted.startswith(got), got
    return first


def open_terminal(socket: Any, **more: object) -> dict[str, Any]:
    socket.send_json({"do": "open", "node": "worker1", **more})
    session: dict[str, Any] = {}
    while True:
        message = until(socket, "terminal", node="worker1")
        session = session or (message if "session" in message else {})
        if session and message["state"] == "open":
            return session


def test_what_means_nothing_is_told_so_and_ends_nothing(talk: Talk) -> None:
    with talk() as socket:
        for nonsense in ("", "{", "[]", "7", '{"do": "keys"}', '{"do": "keys", "node": "worker1"}'):
            socket.send_text(nonsense)
        socket.send_json({"do": "no-such", "id": 1})
        told = until(socket, "reply", id=1)

    assert (told["id"], told["ok"]) == (1, False) and "no-such" in told["error"]


def test_what_is_asked_for_with_nonsense_is_told_so(talk: Talk, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "do", lambda _verb, said: int(said["number"]))
    with talk() as socket:
        socket.send_json({"do": "run-here", "number": "x", "id": 1})
        told = until(socket, "reply", id=1)

    assert (told["ok"], "run-here" in told["error"]) == (False, True)


def test_an_error_comes_with_what_to_do(talk: Talk) -> None:
    with talk() as socket:
        socket.send_json({"do": "read-file", "id": 2, "node": "worker9", "path": "/etc/hosts"})
        told = until(socket, "reply")

    assert not told["ok"] and "worker9" in told["error"]


def test_keys_go_to_the_shell_and_what_it_shows_comes_back(talk: Talk, shells: Shells) -> None:
    with talk() as socket:
        open_terminal(socket)
        socket.send_json({"do": "size", "node": "worker1", "rows": 40, "columns": 120})
        socket.send_json({"do": "keys", "node": "worker1", "data": "ls ü\r"})
        shell = shells["worker1"][0]
        shell.wait_typed("ls ü\r".encode())
        shell.show(b"one two\r\n")
        assert shown(socket, b"one two\r\n") == 0


def test_a_page_that_comes_back_goes_on_where_it_was(talk: Talk, shells: Shells) -> None:
    with talk() as socket:
        session = open_terminal(socket)["session"]
        shells["worker1"][0].show(b"one ")
        shown(socket, b"one ")
        socket.send_json({"do": "seen", "node": "worker1", "at": 4})
    with talk() as socket:
        shells["worker1"][0].show(b"two ")
        open_terminal(socket, session=session, at=4)
        assert shown(socket, b"two ") == 4


def test_a_page_that_is_new_gets_all_that_is_kept(talk: Talk, shells: Shells) -> None:
    with talk() as first:
        open_terminal(first)
        shells["worker1"][0].show(b"one ")
        shown(first, b"one ")
        with talk() as second:
            told = open_terminal(second, session="of another server", at=900)
            assert told["live"] == 4
            assert shown(second, b"one ") == 0
        shells["worker1"][0].show(b"two ")
        shown(first, b"two ")
    assert len(shells["worker1"]) == 1


def test_a_shell_that_ends_is_followed_by_another(talk: Talk, shells: Shells, desk: Desk) -> None:
    with talk() as socket:
        open_terminal(socket)
        shells["worker1"][0].end()
        until(socket, "terminal", node="worker1", state="starting")
        desk._nudge("worker1")
        until(socket, "terminal", node="worker1", state="open")
        socket.send_json({"do": "keys", "node": "worker1", "data": "x"})
        shells["worker1"][1].wait_typed(b"x")


def test_a_node_that_there_is_not_is_said_to_be_none(talk: Talk) -> None:
    with talk() as socket:
        socket.send_json({"do": "open", "node": "worker9"})
        told = until(socket, "terminal", node="worker9")

    assert told["state"] == "down" and "worker9" in told["why"]


def test_a_page_that_comes_later_hears_what_was_told(talk: Talk, desk: Desk) -> None:
    desk.hub.tell({"type": "lab", "name": "old"}, keep=True)
    desk.hub.tell({"type": "lab", "name": "demo"}, keep=True)
    desk.hub.log("timeline", {"type": "happened", "text": "one"})
    desk.hub.tell({"type": "gone"}, keep=True)
    with talk() as socket:
        kinds = [socket.receive_json() for _ in range(4)]

    assert [one["type"] for one in kinds] == ["hello", "lab", "gone", "happened"]
    assert kinds[1]["name"] == "demo"
