"""A node's terminal without a page: what is kept, who has to wait, what is too large to be believed."""

from __future__ import annotations

import threading

from labctl.errors import NodeDown
from labctl.transport.seat import Terminal
from labctl.web.console import AHEAD, Console
from labctl.web.scroll import Scroll
from tests.guard import HANGING, no_hang

from .conftest import FakeShell


class Wakes:
    """A page that counts how often it was woken."""

    def __init__(self) -> None:
        self.news = threading.Event()

    def wake(self) -> None:
        self.news.set()


def test_a_scroll_keeps_the_last_bytes_and_knows_where_they_stand() -> None:
    scroll = Scroll(kept=4)
    for piece in (b"abc", b"def", b"ghi"):
        scroll.add(piece)

    assert scroll.end == 9
    assert scroll.since(0, 100) == (5, b"fghi")
    assert scroll.since(7, 1) == (7, b"h")
    assert scroll.since(9, 100) == (9, b"")
    assert scroll.since(999, 100) == (5, b"fghi")


def test_a_node_that_is_down_is_tried_again_when_it_is_back() -> None:
    shell, is_up, states = FakeShell(), threading.Event(), list[str]()

    def open_shell(_rows: int, _columns: int) -> Terminal:
        if not is_up.is_set():
            raise NodeDown("worker1", "exited")
        return shell.terminal()

    opened = threading.Event()

    def told(console: Console) -> None:
        states.append(console.state)
        if console.state == "open":
            opened.set()

    console = Console("worker1", open_shell, told)
    console.start()
    is_up.set()
    console.nudge()
    assert opened.wait(HANGING)
    console.send(b"x")
    shell.wait_typed(b"x")
    console.close()
    assert states[-1] == "open"


def test_a_shell_waits_for_a_page_and_not_for_one_that_is_gone() -> None:
    shell, page = FakeShell(), Wakes()
    console = Console("worker1", lambda _rows, _columns: shell.terminal())
    console.attach(page, 0)
    console.start()
    shell.show(b"x" * (AHEAD + 1))
    assert page.news.wait(HANGING)
    shell.show(b"y")
    with no_hang():  # the page takes nothing, and the shell goes on
        while console.scroll.end < AHEAD + 2:
            page.news.wait(0.05)
    console.detach(page)
    console.close()


def test_a_size_that_cannot_be_is_one_that_can() -> None:
    opened, sizes = threading.Event(), list[tuple[int, int]]()

    def open_shell(rows: int, columns: int) -> Terminal:
        sizes.append((rows, columns))
        opened.set()
        return FakeShell().terminal()

    console = Console("worker1", open_shell)
    console.resize(1, 10**9)
    console.start()
    assert opened.wait(HANGING)
    console.close()
    assert sizes == [(2, 1000)]
