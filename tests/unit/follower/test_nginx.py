"""nginx's configuration, and what is made of what nginx says."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.follower.files import Way
from labctl.follower.nginx import Nginx, NginxError, configuration

WEB = Way(8081, 8080, "tcp", 8080)
# Says at each reload what the test wrote into a file.
FAKE = """
import signal, sys, time
def reload(*_):
    sys.stderr.write(open(sys.argv[1]).read())
    sys.stderr.flush()
signal.signal(signal.SIGHUP, reload)
sys.stderr.write("2026/01/01 [notice] 1#1: start worker process 2\\n")
sys.stderr.flush()
while True:
    time.sleep(60)
"""
TAKEN = """[emerg] 1#1: bind() to 127.0.0.1:8081 failed (98: Address already in use)
[emerg] 1#1: still could not bind()
"""
GOOD = "[notice] 1#1: start worker process 3\n[notice] 2#2: gracefully shutting down\n"


def test_a_way_leads_to_the_nodes_past_those_that_are_dead() -> None:
    text = configuration([WEB, Way(53, 53, "udp", 53)], ["10.0.0.12", "10.0.0.11"], "127.0.0.1")

    assert "listen 127.0.0.1:8081;" in text
    assert "listen 127.0.0.1:53 udp;" in text
    assert text.index("server 10.0.0.12:8080 max_fails=1") < text.index("server 10.0.0.11:8080 max_fails=1")
    assert text.count("proxy_next_upstream on;") == 2


def test_without_a_node_nothing_listens() -> None:
    assert "listen" not in configuration([WEB], [], "127.0.0.1")


Start = Callable[[str], Nginx]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an nginx that will say a text at each reload."""
    made: list[Nginx] = []

    def begin(says: str) -> Nginx:
        (tmp_path / "nginx").write_text(FAKE)
        (tmp_path / "says").write_text(says)
        program = (sys.executable, str(tmp_path / "nginx"), str(tmp_path / "says"))
        made.append(Nginx("127.0.0.1", lambda: None, program=program, config=str(tmp_path / "conf")))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def test_a_reload_is_known_to_have_worked(start: Start, tmp_path: Path) -> None:
    nginx = start(GOOD)

    assert nginx.serve([WEB], ["10.0.0.11"]) == set()
    assert "10.0.0.11:8080" in (tmp_path / "conf").read_text()

    (tmp_path / "says").write_text("[emerg] this is not asked for\n")
    assert nginx.serve([WEB], ["10.0.0.11"]) == set(), "nothing has changed"


def test_a_reload_is_over_when_the_worker_before_has_let_go_of_its_ports(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.follower.nginx.CLOSE_LIMIT", 0.3)
    nginx = start("[notice] 1#1: start worker process 3\n")
    began = time.monotonic()

    assert nginx.serve([WEB], ["10.0.0.11"]) == set()

    assert time.monotonic() - began >= 0.3, "it was given its time"


def test_a_port_that_somebody_took_meanwhile_is_told(start: Start, tmp_path: Path) -> None:
    nginx = start(TAKEN)
    assert nginx.serve([WEB], ["10.0.0.11"]) == {8081}

    (tmp_path / "says").write_text(GOOD)
    assert nginx.serve([WEB], ["10.0.0.11"]) == set(), "it is tried again"


def test_what_nginx_refuses_is_told(start: Start) -> None:
    with pytest.raises(NginxError, match="unknown directive"):
        start("[emerg] unknown directive\n").serve([WEB], ["10.0.0.11"])


def test_its_end_is_heard(tmp_path: Path) -> None:
    (tmp_path / "nginx").write_text("import sys; sys.stderr.write('nginx: no module\\n')")
    ended = threading.Event()

    with pytest.raises(NginxError, match="no module"):
        Nginx("127.0.0.1", ended.set, program=(sys.executable, str(tmp_path / "nginx")), config=str(tmp_path / "conf"))
    assert ended.wait(30)
