"""The proxy of a lab: published ports on this host's 127.0.0.1, opened and closed by what the swarm does."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import socket
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

import labctl.edge.proxy
from labctl import images
from labctl.edge import ForwardedPort, edges, ensure_edge, ensure_proxy, published, reach, refresh, remove_edge
from labctl.engine import Engine
from labctl.events import Event, Warned
from labctl.lab import Context, Lab
from labctl.spec import PortSpec
from labctl.waiting import Pending, wait_until

pytestmark = pytest.mark.lab

LIMIT = 30.0  # a guard against hanging: a port opens and closes within a second
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
    """Make services on a node, without a word to labctl, and remove them again."""
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
        lab.manager().run(f"docker service rm {name}")


def get(port: int) -> str:
    """Ask 127.0.0.1 over HTTP."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode().strip())


def eventually(port: int) -> str:
    """Ask until there is an answer."""

    def ask() -> str:
        try:
            return get(port)
        except OSError as problem:
            raise Pending(str(problem)) from None

    return wait_until(f"port {port}", ask, limit=LIMIT, pause=0.1)


def opened(engine: Engine, lab: Lab, target: int) -> ForwardedPort:
    """Wait until this host reaches a port of the swarm."""

    def look() -> ForwardedPort:
        found = [edge for edge in edges(engine, lab.name) if edge.target == target]
        if not found:
            raise Pending("it is not open")
        return found[0]

    return wait_until(f"a way to {target}", look, limit=LIMIT)


def closed(engine: Engine, lab: Lab, target: int) -> None:
    """Wait until this host reaches it no more."""

    def look() -> None:
        if any(edge.target == target for edge in edges(engine, lab.name)):
            raise Pending("it is open")

    wait_until(f"the end of the way to {target}", look, limit=LIMIT)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def one_proxy(engine: Engine, lab: Lab) -> dict[str, object]:
    """The lab's one proxy, inspected."""
    found = engine.containers([f"labctl.lab={lab.name}", "labctl.kind=edge"])
    assert [one["Names"] for one in found] == [[f"/{lab.name}-edge"]]
    return dict(engine.container(found[0]["Id"]) or {})


def test_what_a_service_publishes_opens_and_closes_by_itself(
    lab: Lab, engine: Engine, service: Callable[..., str]
) -> None:
    port = free_port()

    name = service("--replicas 3", f"--publish {port}:8080")

    assert eventually(port)
    assert len({get(port) for _ in range(20)}) == 3  # the mesh goes round all tasks
    lab.manager().expect(f"docker service rm {name}")
    closed(engine, lab, port)
    with pytest.raises(OSError, match=r"refused"):
        get(port)


def test_a_range_of_udp_ports_is_one_proxy_and_leaves_nothing(
    lab: Lab, engine: Engine, service: Callable[..., str]
) -> None:
    name = service("--publish 21000-21061:21000-21061/udp")

    urls = reach(engine, lab.name, lab.nodes, [(port, "udp") for port in range(21000, 21062)], limit=LIMIT)

    assert len(urls) == 62
    one_proxy(engine, lab)
    lab.manager().expect(f"docker service rm {name}")
    closed(engine, lab, 21000)
    assert not [edge for edge in edges(engine, lab.name) if 21000 <= edge.target <= 21061]


def test_a_pin_comes_before_its_service_and_answers_once_that_is_published(
    lab: Lab, engine: Engine, service: Callable[..., str]
) -> None:
    wanted = PortSpec(target=30080, host=free_port())
    edge = ensure_edge(engine, lab.name, lab.nodes, wanted)
    with pytest.raises(OSError, match=r".+"):
        get(edge.host_port)

    service("--publish 30080:8080")

    assert eventually(edge.host_port)
    assert ensure_edge(engine, lab.name, lab.nodes, wanted) == edge
    assert [gone.host_port for gone in remove_edge(engine, lab.name, wanted, exact=True)] == [edge.host_port]
    with pytest.raises(OSError, match=r"refused"):
        get(edge.host_port)


def test_run_again_it_changes_nothing(lab: Lab, engine: Engine) -> None:
    before = one_proxy(engine, lab)

    ensure_proxy(engine, lab.name, lab.nodes)

    assert one_proxy(engine, lab)["Id"] == before["Id"]


def test_a_taken_port_gets_another_that_stays(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    heard: list[Event] = []
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        name = service(f"--publish {taken}:8080")
        followed = opened(engine, lab, taken)
        pinned = ensure_edge(engine, lab.name, lab.nodes, PortSpec(target=taken, host=taken), heard.append)

    assert followed.moved and pinned.host_port == followed.host_port != taken
    assert [event.text for event in heard if isinstance(event, Warned)] == [
        f"port {taken} of 127.0.0.1 is taken: the lab's port {taken} is at 127.0.0.1:{pinned.host_port} instead"
    ]
    assert eventually(followed.host_port)
    remove_edge(engine, lab.name, PortSpec(target=taken, host=taken))
    lab.manager().expect(f"docker service rm {name}")
    closed(engine, lab, taken)
    engine.remove(f"{lab.name}-edge")
    ensure_proxy(engine, lab.name, lab.nodes)  # another container, and the port that asked is free now
    service(f"--publish {taken}:8080")
    assert opened(engine, lab, taken).host_port == followed.host_port


def test_a_connection_lives_while_ports_come_and_go(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    images.ensure(engine, ["nginx:latest"])
    port, other = free_port(), free_port()
    service(f"--publish {port}:80", image="nginx:latest")
    eventually(port)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        service(f"--publish {other}:8080")
        eventually(other)
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert link.recv(15).startswith(b"HTTP/1.")


def test_udp_is_carried_too(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    images.ensure(engine, ["labctl/vote:1"])
    port = free_port()
    service(f"--publish {port}:5353/udp", "--no-healthcheck", image="labctl/vote:1", command=["python3", "-c", ECHO])
    edge = opened(engine, lab, port)

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(b"hello", ("127.0.0.1", edge.host_port))
            try:
                return client.recv(100)
            except OSError as problem:
                raise Pending(str(problem)) from None

    assert wait_until("an echo", ask, limit=LIMIT) == b"hello"


def test_nodes_are_not_touched_and_nothing_of_the_host_is_mounted(lab: Lab, engine: Engine) -> None:
    found = one_proxy(engine, lab)

    host, mounts = found["HostConfig"], found["Mounts"]
    assert isinstance(host, dict) and isinstance(mounts, list)
    assert [mount["Type"] for mount in mounts] == ["volume"]
    assert not host["Privileged"] and host["ReadonlyRootfs"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_BIND_SERVICE"])


def test_where_the_engine_has_another_network_it_publishes_the_ports(
    lab: Lab, engine: Engine, service: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labctl.edge.proxy, "shares_network", lambda _: False)
    engine.remove(f"{lab.name}-edge")
    port, pin = free_port(), PortSpec(target=30085, host=free_port())
    name = service(f"--publish {port}:8080")
    try:
        assert [edge.host_port for edge in reach(engine, lab.name, lab.nodes, [(port, "tcp")])] == [port]
        assert eventually(port)
        assert ensure_edge(engine, lab.name, lab.nodes, pin).host_port == pin.host
        host = one_proxy(engine, lab)["HostConfig"]
        assert isinstance(host, dict)
        assert {binding["HostIp"] for found in host["PortBindings"].values() for binding in found} == {"127.0.0.1"}
        lab.manager().expect(f"docker service rm {name}")
        refresh(engine, lab.name, lab.nodes)
        assert [edge.target for edge in edges(engine, lab.name)] == [30085]
    finally:
        monkeypatch.undo()
        engine.remove(f"{lab.name}-edge")
        ensure_proxy(engine, lab.name, lab.nodes)


def test_what_is_published_is_listed(lab: Lab, service: Callable[..., str]) -> None:
    name = service(
        "--publish 30082:8080",
        "--publish mode=host,published=30083,target=8080",
        "--constraint node.hostname==worker1",
    )

    found = [each for each in published(lab.manager().engine) if each.service == name]

    assert [place for each in found for place in each.places] == ["*:30082->8080/tcp", "worker1:30083->8080/tcp"]


def test_a_proxy_that_was_killed_comes_back_with_its_ports(
    lab: Lab, engine: Engine, service: Callable[..., str]
) -> None:
    port = free_port()
    service(f"--publish {port}:8080")
    eventually(port)
    engine.kill(f"{lab.name}-edge")

    assert [edge.host_port for edge in reach(engine, lab.name, lab.nodes, [(port, "tcp")])] == [port]
    assert eventually(port)


def test_a_node_that_dies_costs_no_request_for_long(lab: Lab, engine: Engine, service: Callable[..., str]) -> None:
    port = free_port()
    service(f"--publish {port}:8080", "--constraint node.role==manager")
    eventually(port)
    worker = lab.node("worker2")

    lab.backend.kill(worker)

    answered = 0
    for _ in range(12):
        with contextlib.suppress(OSError):
            answered += bool(get(port))
    assert answered == 12
    lab.backend.start(worker)
