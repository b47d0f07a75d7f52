"""Managers, asked over mutual TLS: what they publish, and which of them is asked."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.follower import managers
from labctl.follower.files import Hosted, Wish
from labctl.follower.managers import Managers, ManagersError, Seen, read_swarm
from labctl.pki import Authority

from ..nodes import raw_node

SERVICES = [
    {
        "Spec": {"Name": "web"},
        "Endpoint": {
            "Ports": [
                {"Protocol": "tcp", "PublishedPort": 8080, "PublishMode": "ingress"},
                {"Protocol": "udp", "PublishedPort": 30001},
                {"Protocol": "tcp", "PublishedPort": 8202, "PublishMode": "host"},
                {"Protocol": "sctp", "PublishedPort": 8203, "PublishMode": "ingress"},
                {"Protocol": "tcp", "PublishMode": "ingress"},
            ]
        },
    },
    {"Spec": {"Name": "db"}},
    {
        "Spec": {"Name": "labctl-probe", "Labels": {"labctl.probe": "1"}},
        "Endpoint": {"Ports": [{"Protocol": "tcp", "PublishedPort": 30000}]},
    },
]


def test_what_is_published_on_every_node_is_read() -> None:
    worker, down = raw_node("worker1"), raw_node("worker2", state="down")
    worker["Status"]["Addr"], down["Status"]["Addr"] = "10.0.0.12", "10.0.0.13"

    seen = read_swarm(SERVICES, [raw_node("manager1"), worker, down])

    assert seen.published == (Wish(8080, 8080, "tcp"), Wish(30001, 30001, "udp"))
    assert seen.nodes == ("10.0.0.12", "10.0.0.11"), "workers first, and no dead ones"
    assert seen.managers == ("10.0.0.11",)


def test_what_is_published_on_the_nodes_of_its_tasks_is_read_as_it_shall_be() -> None:
    ports = [
        {"Protocol": "tcp", "TargetPort": 82, "PublishedPort": 8202, "PublishMode": "host"},
        {"Protocol": "udp", "TargetPort": 53, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
    ]
    web = {"ID": "s1", "Spec": {"Name": "web", "EndpointSpec": {"Ports": ports}}}

    assert read_swarm([web, *SERVICES], []).hosted == (Hosted("s1", 8202, 82, "tcp"), Hosted("s1", 0, 53, "udp"))


def test_a_manager_is_known_by_the_address_that_it_has_for_the_others() -> None:
    manager = raw_node("manager1")
    manager["Status"]["Addr"] = "0.0.0.0"

    assert read_swarm([], [manager]).nodes == ("10.0.0.11",)


def test_not_more_than_eight_nodes_carry() -> None:
    nodes = [raw_node(f"worker{number}") for number in range(20)]
    for number, node in enumerate(nodes):
        node["Status"]["Addr"] = f"10.0.0.{number + 20}"

    assert len(read_swarm([], nodes).nodes) == 8


class Manager:
    """An engine's API on 127.0.0.1, over mutual TLS."""

    def __init__(self, folder: Path) -> None:
        authority = Authority.load_or_create(folder, "blue")
        server = authority.server("manager1", ["127.0.0.1"])
        (folder / "server.pem").write_bytes(server.certificate + server.key)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.tls.load_cert_chain(folder / "server.pem")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.refuses = False
        self.happens = threading.Event()
        self.ends = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(link,), daemon=True).start()

    def _answer(self, link: socket.socket) -> None:
        # Whoever asked may be gone by now: a test that is over waits for no event.
        with (
            contextlib.suppress(OSError),
            self.tls.wrap_socket(link, server_side=True) as secure,
            secure.makefile("rb") as reader,
        ):
            path = reader.readline().split()[1].decode()
            if self.refuses:
                secure.sendall(b'HTTP/1.0 503 No\r\n\r\n{"message": "This node is not a swarm manager"}')
                return
            secure.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n")
            if path == "/services":
                secure.sendall(json.dumps(SERVICES).encode())
            elif path == "/nodes":
                secure.sendall(json.dumps([raw_node("manager1")]).encode())
            else:
                self.happens.wait(30)
                secure.sendall(b'{"Type": "service"}\n')
                self.ends.wait(30)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A manager, and the follower's keys beside its own."""
    made = Manager(tmp_path)
    monkeypatch.setattr(managers, "API_PORT", made.listener.getsockname()[1])
    yield made
    made.happens.set()
    made.ends.set()
    made.listener.close()


def bell() -> tuple[threading.Semaphore, Callable[[], None]]:
    """Something to ring, and its rope."""
    rung = threading.Semaphore(0)
    return rung, rung.release


def test_a_manager_is_asked_and_its_events_are_heard(manager: Manager, tmp_path: Path) -> None:
    rung, ring = bell()
    asks = Managers(str(tmp_path), ring)

    seen = asks.look(["127.0.0.1"])

    assert (seen.source, len(seen.published)) == ("127.0.0.1", 2)
    assert not rung.acquire(blocking=False)
    manager.happens.set()
    assert rung.acquire(timeout=30)
    manager.ends.set()
    assert rung.acquire(timeout=30), "the end of the events is heard too"


def test_one_that_does_not_answer_is_passed_over(manager: Manager, tmp_path: Path) -> None:
    assert Managers(str(tmp_path), lambda: None).look(["127.0.0.2", "127.0.0.1"]).source == "127.0.0.1"


def test_what_each_one_said_is_told(manager: Manager, tmp_path: Path) -> None:
    asks = Managers(str(tmp_path), lambda: None)
    assert isinstance(asks.look(["127.0.0.1"]), Seen)
    manager.refuses = True

    with pytest.raises(ManagersError, match=r"127\.0\.0\.1: .*not a swarm manager.*; 127\.0\.0\.2: "):
        asks.look(["127.0.0.1", "127.0.0.2"])
    with pytest.raises(ManagersError, match="no node is known"):
        Managers(str(tmp_path), lambda: None).look([])
