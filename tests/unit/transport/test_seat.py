"""A terminal that a program holds: whoever reads is let go when another one closes it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from labctl.errors import EngineUnreachable, LabError, NodeDown
from labctl.transport import FakeTransport, Terminal
from labctl.transport.running import STDOUT
from tests.guard import HANGING

from ..nodes import fake_node


class Wire:
    """A command that shows what it is told to, until its wire is cut."""

    def __init__(self) -> None:
        self.shown: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.typed: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self.closed = 0

    def send(self, data: bytes) -> None:
        self.typed.append(data)

    def end_input(self) -> None:
        raise AssertionError("a terminal has no end of its input")

    def output(self) -> Iterator[tuple[int, bytes]]:
        while (data := self.shown.get()) is not None:
            if data == b"no descriptor":
                raise OSError(9, "Bad file descriptor")
            if data == b"broken":
                raise EngineUnreachable("the engine does not answer: closed")
            yield STDOUT, data

    def resize(self, lines: int, columns: int) -> None:
        self.sizes.append((lines, columns))

    def exit_code(self) -> int:
        return 7

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def wire() -> Wire:
    return Wire()


def held(wire: Wire, ended: list[str] | None = None) -> Terminal:
    noted = [] if ended is None else ended
    return Terminal(wire, cut=lambda: wire.shown.put(b"broken"), end=lambda: noted.append("ended"))


def test_bytes_go_both_ways_until_the_commands_end(wire: Wire) -> None:
    terminal = held(wire)
    wire.shown.put(b"$ ")
    wire.shown.put(None)

    terminal.send(b"exit 7\n")
    terminal.resize(41, 123)

    assert (terminal.read(), terminal.read(), terminal.read()) == (b"$ ", b"", b"")
    assert (wire.typed, wire.sizes, terminal.exit_code()) == ([b"exit 7\n"], [(41, 123)], 7)


def test_a_read_returns_when_another_thread_closes(wire: Wire) -> None:
    ended: list[str] = []
    terminal = held(wire, ended)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(terminal.read)
        terminal.close()
        assert reading.result(HANGING) == b""

    terminal.close()
    assert (ended, wire.closed, terminal.read()) == (["ended"], 1, b"")
    with pytest.raises(LabError, match="the terminal is closed"):
        terminal.send(b"x")
    with pytest.raises(LabError, match="the terminal is closed"):
        terminal.exit_code()


def test_a_read_that_begins_while_its_descriptor_goes_returns_too(wire: Wire) -> None:
    terminal = Terminal(wire, cut=lambda: wire.shown.put(b"no descriptor"), end=lambda: None)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(terminal.read)
        terminal.close()
        assert reading.result(HANGING) == b""


def test_a_command_that_is_over_is_not_ended_again(wire: Wire) -> None:
    ended: list[str] = []
    with held(wire, ended) as terminal:
        wire.shown.put(None)
        assert terminal.read() == b""

    assert (ended, wire.closed) == ([], 1)


def test_an_engine_that_is_lost_is_told(wire: Wire) -> None:
    wire.shown.put(b"broken")

    with pytest.raises(EngineUnreachable):
        held(wire).read()


def test_two_that_read_at_once_take_turns(wire: Wire) -> None:
    terminal = held(wire)
    start = threading.Barrier(2)

    def read() -> bytes:
        start.wait()
        return terminal.read()

    with ThreadPoolExecutor(2) as pool:
        reads = [pool.submit(read) for _ in range(2)]
        wire.shown.put(b"a")
        wire.shown.put(b"b")
        assert {one.result(HANGING) for one in reads} == {b"a", b"b"}


def test_a_node_gives_a_login_shell_to_its_user_and_none_when_it_is_down() -> None:
    node = fake_node("worker1")
    node.shell.answers["/bin/bash -c 'cd; exec bash -l'"] = "$ "

    with node.terminal(rows=30, columns=100) as terminal:
        terminal.send(b"ls\n")
        assert (terminal.read(), terminal.read()) == (b"$ ", b"")

    assert isinstance(node.transport, FakeTransport)
    assert (node.transport.users, node.transport.sizes, node.transport.typed) == (["docker"], [(30, 100)], [b"ls\n"])
    with pytest.raises(NodeDown):
        fake_node("worker1", state="exited").terminal()
