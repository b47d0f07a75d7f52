"""Edges: published ports on this host's 127.0.0.1, from the moment a node answers and past nodes that died."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

from labctl import images
from labctl.edge import edges, ensure_edge, published, remove_edge
from labctl.engine import Engine
from labctl.errors import LabError
from labctl.events import Event, Warned
from labctl.lab import Context, Lab
from labctl.spec import PortSpec
from labctl.waiting import Pending, wait_until

pytestmark = pytest.mark.lab

# Answers each datagram with itself.
ECHO = (
    "import socket; s = socket.socket(2, 2); s.bind(('', 5353)); "
    "[s.sendto(data, peer) for data, peer in iter(lambda: s.recvfrom(999), None)]"
)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and two workers, one of which will die."""
    return make_lab(workers=2)


@pytest.fixture
def engine(context: Context) -> Engine:
    """This host's engine."""
    return context.engine


@pytest.fixture
def service(lab: Lab) -> Iterator[Callable[..., str]]:
    """Make services, and remove them again."""
    made: list[str] = []

    def make(*options: str, image: str = "labctl/probe:1", command: Sequence[str] = ()) -> str:
        name = f"t{secrets.token_hex(3)}"
        made.append(name)
        lab.manager().expect(
            f"docker service create --quiet --name {name} {' '.join(options)} {image} {shlex.join(command)}", limit=60
        )
        return name

    yield make
    for name in made:
        lab.manager().expect(f"docker service rm {name}")


@pytest.fixture
def no_edges(lab: Lab, engine: Engine) -> Iterator[None]:
    """Leave no edge behind."""
    yield
    for edge in edges(engine, lab.name):
        engine.remove(edge.container)


def get(port: int) -> str:
    """Ask 127.0.0.1 over HTTP."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode().strip())


def eventually(port: int) -> str:
    """Ask until there is an answer; ten seconds at most."""

    def ask() -> str:
        try:
            return get(port)
        except OSError as problem:
            raise Pending(str(problem)) from None

    return wait_until(f"port {port}", ask, limit=10, pause=0.1)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("no_edges")
def test_an_edge_comes_before_its_service_and_answers_once_that_is_published(
    lab: Lab, engine: Engine, service: Callable[..., str]
) -> None:
    edge = ensure_edge(engine, lab.name, lab.nodes, PortSpec(target=30080, host=free_port()))
    with pytest.raises(OSError, match=r".+"):
        get(edge.host_port)

    service("--replicas 3", "--publish 30080:8080")

    assert eventually(edge.host_port)
    assert len({get(edge.host_port) for _ in range(20)}) == 3  # the mesh goes round all tasks
    assert edges(engine, lab.name) == [edge]


@pytest.mark.usefixtures("no_edges")
def test_run_again_it_changes_nothing(lab: Lab, engine: Engine) -> None:
    wanted = PortSpec(target=8080, host=free_port())
    first = ensure_edge(engine, lab.name, lab.nodes, wanted)
    before = engine.container(first.container)

    again = ensure_edge(engine, lab.name, lab.nodes, wanted)

    after = engine.container(first.container)
    assert again == first and not again.moved
    assert before is not None and after is not None and before["Id"] == after["Id"]


@pytest.mark.usefixtures("no_edges")
def test_a_taken_port_gets_another_and_it_is_said_once(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    service("--publish 30081:8080")
    heard: list[Event] = []
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        wanted = PortSpec(target=30081, host=taken)
        edge = ensure_edge(engine, lab.name, lab.nodes, wanted, heard.append)
        again = ensure_edge(engine, lab.name, lab.nodes, wanted, heard.append)

    assert edge.moved and again == edge and edge.host_port != taken
    assert [event.text for event in heard if isinstance(event, Warned)] == [
        f"port {taken} of 127.0.0.1 is taken: the lab's port 30081 is at 127.0.0.1:{edge.host_port} instead"
    ]
    assert eventually(edge.host_port)


@pytest.mark.usefixtures("no_edges")
def test_udp_is_carried_too(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    images.ensure(engine, ["labctl/vote:1"])
    service("--publish 30053:5353/udp", "--no-healthcheck", image="labctl/vote:1", command=["python3", "-c", ECHO])
    edge = ensure_edge(engine, lab.name, lab.nodes, PortSpec(target=30053, host=free_port(), protocol="udp"))

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(b"hello", ("127.0.0.1", edge.host_port))
            try:
                return client.recv(100)
            except OSError as problem:
                raise Pending(str(problem)) from None

    assert wait_until("an echo", ask, limit=20) == b"hello"


@pytest.mark.usefixtures("no_edges")
def test_nodes_are_not_touched_and_nothing_of_the_host_is_mounted(lab: Lab, engine: Engine) -> None:
    before = [engine.container(node.machine) for node in lab.nodes]

    edge = ensure_edge(engine, lab.name, lab.nodes, PortSpec(target=8081, host=free_port()))

    assert [(found or {})["State"] for found in before] == [
        (engine.container(node.machine) or {})["State"] for node in lab.nodes
    ]
    found = engine.container(edge.container)
    assert found is not None
    assert found["Mounts"] == [] and not found["HostConfig"]["Privileged"]
    assert found["HostConfig"]["PortBindings"]["8081/tcp"][0]["HostIp"] == "127.0.0.1"


@pytest.mark.usefixtures("no_edges")
def test_removed_is_removed(lab: Lab, engine: Engine) -> None:
    wanted = PortSpec(target=8082, host=free_port())
    ensure_edge(engine, lab.name, lab.nodes, wanted)

    assert [edge.target for edge in remove_edge(engine, lab.name, wanted)] == [8082]
    assert edges(engine, lab.name) == []


def test_what_is_published_is_listed(lab: Lab, service: Callable[..., str]) -> None:
    name = service("--publish 30082:8080", "--publish mode=host,published=30083,target=8080", "--mode global")

    found = [(each.port, each.mode) for each in published(lab.manager().engine) if each.service == name]

    assert found == [(30082, "ingress"), (30083, "host")]


@pytest.mark.usefixtures("no_edges")
def test_a_node_that_dies_costs_no_request_for_long(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    service("--publish 30084:8080", "--constraint node.role==manager")
    wanted = PortSpec(target=30084, host=free_port())
    edge = ensure_edge(engine, lab.name, lab.nodes, wanted)
    eventually(edge.host_port)
    worker = lab.node("worker2")

    lab.backend.kill(worker)

    answered = 0
    for _ in range(12):
        with contextlib.suppress(OSError):
            answered += bool(get(edge.host_port))
    assert answered == 12
    stands = lab.refresh()
    assert ensure_edge(engine, lab.name, stands.nodes, wanted) == edge  # two of three targets run: it stays

    lab.backend.start(worker)


def test_without_a_running_node_it_says_what_to_do(lab: Lab, engine: Engine) -> None:
    with pytest.raises(LabError, match="no node of lab") as caught:
        ensure_edge(engine, lab.name, [], PortSpec(target=8083, host=free_port()))

    assert "labctl start" in (caught.value.hint or "")
