"""Edges: one proxy a lab, what it has open, and what services publish."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from labctl.edge import (
    ForwardedPort,
    PublishedPort,
    edges,
    ensure_edge,
    ensure_proxy,
    open_hosted,
    published,
    reach,
    refuse_taken,
    remove_edge,
)
from labctl.edge.proxy import shares_network
from labctl.engine.client import tar_of
from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused, LabError, NotFoundError, UsageError
from labctl.events import Event, Noted, Warned
from labctl.follower.files import FIXED, PORTS, State, Way
from labctl.pki import Authority
from labctl.spec import PortSpec
from labctl.state import lab_dir

from .nodes import fake_node, raw_node

NOT_THERE = EngineRefused("no such thing", status=404)
WAYS = (
    Way(9000, 80, "tcp", 9000, True),
    Way(41234, 53, "udp", 53, True),
    Way(8080, 8080, "tcp", 8080),
)


class Proxied(FakeEngine):
    """An engine with a lab's proxy on it. It opens at once the pins that are put into it."""

    def __init__(self, ways: tuple[Way, ...] = WAYS, *, state: str = "running", mode: str = "host") -> None:
        self.ways = list(ways)
        self.files: dict[str, bytes] = {}
        self.listed = [{"Names": ["/blue-edge"], "Labels": {"labctl.kind": "edge"}, "State": state}]
        self.inspected: dict[str, Any] = {
            "Config": {"Labels": {"labctl.lab": "blue", "labctl.edge": mode}},
            "State": {"Status": state},
        }
        super().__init__(
            {
                "GET /containers/json": lambda _: list(self.listed),
                "GET /containers/blue-edge/json": lambda _: dict(self.inspected),
                "GET /containers/blue-edge/archive": self.give,
                "PUT /containers/blue-edge/archive": self.take,
                "POST /containers/blue-edge/exec": {"Id": "e1"},
                "POST /exec/e1/start": b"",
                "GET /exec/e1/json": {"Running": False, "ExitCode": 0},
            }
        )

    def give(self, asked: Asked) -> Answer:
        """The state, or what was put."""
        name = asked.query["path"].rpartition("/")[2]
        if name == "state.json":
            self.files[name] = json.dumps(State(ways=tuple(self.ways), token="new").to_json()).encode()
        return tar_of({name: (self.files[name], 0o600)}) if name in self.files else NOT_THERE

    def take(self, asked: Asked) -> Answer:
        """Keep the files, and do what the pins among them say."""
        with tarfile.open(fileobj=io.BytesIO(asked.body)) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member) if member.isfile() else None
                self.files |= {member.name: content.read()} if content else {}
                if content and member.name.startswith("pins/"):
                    asked_port, target, protocol = member.name.removeprefix("pins/").split("-")
                    way = Way(int(asked_port), int(target), protocol, int(asked_port), True)
                    same = [one for one in self.ways if one.wish == way.wish]
                    for one in same if self.files[member.name] == b"0" else ():
                        self.ways.remove(one)
                    self.ways += [] if same or self.files[member.name] == b"0" else [way]
        return None


def test_edges_are_what_the_proxy_says() -> None:
    found = edges(Proxied(), "blue")

    assert found == [
        ForwardedPort("blue-edge", 53, "udp", 41234, "running", 53, True),
        ForwardedPort("blue-edge", 80, "tcp", 9000, "running", 9000, True),
        ForwardedPort("blue-edge", 8080, "tcp", 8080, "running", 8080),
    ]
    assert [edge.moved for edge in found] == [True, False, False]
    assert [edge.url for edge in found] == ["127.0.0.1:41234/udp", "http://127.0.0.1:9000", "http://127.0.0.1:8080"]


@pytest.mark.parametrize(
    ("way", "inside", "told"),
    [
        (ForwardedPort("e", 8080, "tcp", 8080), 80, "http://127.0.0.1:8080"),
        (ForwardedPort("e", 5432, "tcp", 5432), 0, "127.0.0.1:5432"),
        (ForwardedPort("e", 15432, "tcp", 15432), 5432, "127.0.0.1:15432"),
        (ForwardedPort("e", 5432, "tcp", 49153), 0, "127.0.0.1:49153"),
        (ForwardedPort("e", 5432, "tcp", 5432), 80, "http://127.0.0.1:5432"),
        (ForwardedPort("e", 8443, "tcp", 8443), 443, "https://127.0.0.1:8443"),
        (ForwardedPort("e", 5432, "tcp", 5432), 443, "https://127.0.0.1:5432"),
        (ForwardedPort("e", 8080, "udp", 8080), 80, "127.0.0.1:8080/udp"),
    ],
)
def test_a_browser_is_told_of_what_may_speak_http(way: ForwardedPort, inside: int, told: str) -> None:
    assert way.url_of(inside) == told
    if not inside:
        assert way.url == told


def test_without_a_proxy_or_before_it_spoke_there_is_no_edge() -> None:
    assert edges(FakeEngine({"GET /containers/json": []}), "blue") == []
    silent = Proxied()
    silent.script["GET /containers/blue-edge/archive"] = NOT_THERE
    assert edges(silent, "blue") == []


@pytest.mark.parametrize(("said", "host_port"), [("80", 9000), ("9000", 9000), ("53/udp", 41234)])
def test_a_pin_is_removed_by_either_of_its_ports(said: str, host_port: int) -> None:
    engine = Proxied()

    gone = remove_edge(engine, "blue", PortSpec.parse(said))

    assert [edge.host_port for edge in gone] == [host_port]
    assert host_port not in [edge.host_port for edge in edges(engine, "blue")]
    (bell,) = [asked.body["Cmd"] for asked in engine.asked if str(asked) == "POST /containers/blue-edge/exec"]
    assert bell == ["sh", "-c", "kill -HUP 1"], "from within: one that its engine signals is not started again"


def test_only_the_pin_that_was_named_is_removed() -> None:
    engine = Proxied((Way(8086, 8086, "tcp", 8086, True), Way(9001, 8086, "tcp", 9001, True)))

    gone = remove_edge(engine, "blue", PortSpec.parse("9001:8086"), exact=True)

    assert [edge.host_port for edge in gone] == [9001]
    with pytest.raises(NotFoundError, match="9000:8086"):
        remove_edge(engine, "blue", PortSpec.parse("9000:8086"), exact=True)


def test_what_a_service_keeps_open_is_no_pin() -> None:
    with pytest.raises(NotFoundError, match="no pinned way") as caught:
        remove_edge(Proxied(), "blue", PortSpec.parse("8080"))

    assert "closes when the service goes" in (caught.value.hint or "")


def test_where_the_engine_publishes_the_ports_a_pin_that_goes_leads_nowhere() -> None:
    engine = Proxied(WAYS[:2], mode="published")
    engine.files[FIXED] = json.dumps(WAYS[:2]).encode()

    def obey(asked: Asked) -> Answer:
        engine.take(asked)
        engine.ways = [Way(*way) for way in json.loads(engine.files[FIXED])]
        return None

    engine.script["PUT /containers/blue-edge/archive"] = obey
    remove_edge(engine, "blue", PortSpec.parse("80"))

    assert [edge.target for edge in edges(engine, "blue")] == [53]


def test_an_edge_is_not_led_elsewhere_behind_its_owners_back() -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:9000 leads to the lab's port 80 already"):
        refuse_taken(Proxied(), "blue", PortSpec.parse("9000:81"))
    refuse_taken(Proxied(), "blue", PortSpec.parse("9000:80"))
    refuse_taken(Proxied(), "blue", PortSpec.parse("9002:81"))


def test_without_a_running_node_it_says_what_to_do() -> None:
    with pytest.raises(LabError, match="no node of lab") as caught:
        ensure_edge(Proxied(), "blue", [fake_node("worker1", state="exited")], PortSpec(target=80, host=80))

    assert "labctl start" in (caught.value.hint or "")


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Proxied:
    """A proxy that is as it should be."""
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path))
    monkeypatch.setattr("labctl.edge.proxy.ensure_services", lambda _engine, _emit: "services:1")
    Authority.load_or_create(lab_dir("blue"), "blue")
    from labctl.edge.proxy import _wanted

    engine = Proxied()
    engine.inspected["Config"]["Labels"]["labctl.config"] = _wanted(engine, "blue", "host", lambda _: None).digest()
    return engine


NODES = [fake_node("worker1", address="10.0.0.12"), fake_node("manager1", address="10.0.0.11")]


def test_a_pin_is_added_to_the_proxy_that_stands(standing: Proxied) -> None:
    edge = ensure_edge(standing, "blue", NODES, PortSpec(target=81, host=9001))

    assert (edge.host_port, edge.pinned) == (9001, True)
    assert json.loads(standing.files["nodes.json"]) == ["10.0.0.11", "10.0.0.12"], "managers first"


HOSTED = PublishedPort("h_w", 8202, "tcp", "host", 82, ("worker1",), "s1")


def test_what_is_opened_for_a_service_in_host_mode_is_told_to_go_with_it(standing: Proxied) -> None:
    (edge,) = open_hosted(standing, "blue", NODES, [HOSTED])

    assert (edge.host_port, edge.pinned) == (8202, True)
    assert json.loads(standing.files["pins/8202-8202-tcp"]) == {"service": "s1", "target": 82}


def test_a_pin_that_was_asked_for_stays_one_when_the_service_is_opened(standing: Proxied) -> None:
    ensure_edge(standing, "blue", NODES, PortSpec(target=8202, host=8202))
    standing.files["8202-8202-tcp"] = standing.files["pins/8202-8202-tcp"]  # where the fake engine reads it

    open_hosted(standing, "blue", NODES, [HOSTED])

    assert standing.files["pins/8202-8202-tcp"] == b"1"


def test_where_the_engine_publishes_the_ports_it_is_told_what_closes_an_opened_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Proxied(WAYS[:1], mode="published")
    engine.files[FIXED] = json.dumps(WAYS[:1]).encode()
    way = Way(8202, 8202, "tcp", 8202, True)
    monkeypatch.setattr(
        "labctl.edge.pins.ensure_proxy",
        lambda _engine, _lab, _nodes, ports, _emit: engine.ways.extend(way for _ in ports if way not in engine.ways),
    )
    heard: list[Event] = []

    for _ in range(2):
        assert [edge.host_port for edge in open_hosted(engine, "blue", NODES, [HOSTED], heard.append)] == [8202]

    assert [event.text for event in heard if isinstance(event, Noted)] == [
        "on this engine the way stays when the service goes: `labctl port rm -l blue 8202/tcp` closes it"
    ]


def test_a_port_that_moved_is_warned_of_once(standing: Proxied) -> None:
    heard: list[Event] = []
    udp = PortSpec(target=54, host=54, protocol="udp")
    standing.ways.append(Way(41235, 54, "udp", 54))  # published, and moved

    def moved(asked: Asked) -> Answer:
        standing.ways = [way._replace(pinned=True) if way.target == 54 else way for way in standing.ways]
        return None

    standing.script["PUT /containers/blue-edge/archive"] = moved
    for _ in range(2):
        ensure_edge(standing, "blue", NODES, udp, heard.append)

    assert [event.text for event in heard if isinstance(event, Warned)] == [
        "port 54 of 127.0.0.1 is taken: the lab's port 54 is at 127.0.0.1:41235 instead"
    ]


def test_what_just_opens_is_waited_for_and_a_proxy_that_fails_is_a_warning(standing: Proxied) -> None:
    heard: list[Event] = []

    assert [e.url for e in reach(standing, "blue", NODES, [(8080, "tcp")], heard.append)] == ["http://127.0.0.1:8080"]
    assert heard == []

    assert reach(standing, "blue", NODES, [(7000, "tcp")], heard.append, limit=0) == []
    assert [type(event) for event in heard] == [Warned]
    assert reach(Proxied(), "blue", [], [(8080, "tcp")], heard.append) != []
    assert len(heard) == 2


def test_proxies_of_an_older_labctl_go_and_what_somebody_chose_stays(standing: Proxied) -> None:
    old = ("blue-edge-8080-8080", "blue-edge-9005-80", "blue-edge-9006-53-udp")
    standing.listed += [{"Names": [f"/{name}"], "Labels": {}, "State": "running"} for name in old]
    standing.script |= {f"DELETE /containers/{name}": None for name in old}

    ensure_proxy(standing, "blue", NODES)

    assert {"9005-80-tcp", "9006-53-udp"} == {name[5:] for name in standing.files if name.startswith("pins/")}
    assert sum(asked.method == "DELETE" for asked in standing.asked) == 3


def test_the_proxy_is_confined(standing: Proxied) -> None:
    from labctl.edge.proxy import _wanted

    host = _wanted(standing, "blue", "host", lambda _: None).body(0)["HostConfig"]

    assert host["NetworkMode"] == "host"
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["NET_BIND_SERVICE"])
    assert host["ReadonlyRootfs"] and "no-new-privileges" in host["SecurityOpt"]
    assert [mount["Type"] for mount in host["Mounts"]] == ["volume"], "nothing of the host"


def test_where_the_engine_publishes_they_are_published_on_127_0_0_1(standing: Proxied) -> None:
    from labctl.edge.proxy import _wanted

    body = _wanted(standing, "blue", "labctl-blue", lambda _: None, [(53, "udp"), (53, "tcp")]).body(0)

    at = [{"HostIp": "127.0.0.1", "HostPort": "53"}]
    assert body["HostConfig"]["PortBindings"] == {"53/udp": at, "53/tcp": at}
    assert PORTS != FIXED


@pytest.mark.parametrize(
    ("info", "shares"),
    [
        ({"OperatingSystem": "Debian GNU/Linux 12", "SecurityOptions": ["name=seccomp"]}, True),
        ({"OperatingSystem": "Docker Desktop", "SecurityOptions": []}, False),
        ({"OperatingSystem": "Debian GNU/Linux 12", "SecurityOptions": ["name=rootless"]}, False),
    ],
)
def test_the_engine_tells_whose_network_it_has(
    info: dict[str, Any], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labctl.engine import Endpoint

    monkeypatch.setattr("labctl.edge.proxy.sys.platform", "linux")
    engine = FakeEngine({"GET /info": info})
    assert not shares_network(engine), "an engine over TCP may be anywhere"
    engine.endpoint = Endpoint("unix:///var/run/docker.sock")
    assert shares_network(engine) is shares


def test_what_services_publish_is_listed_by_service_and_port() -> None:
    ports = [
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 30080, "PublishMode": "ingress"},
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 81, "PublishMode": "host"},
        {"Protocol": "tcp", "TargetPort": 82, "PublishedPort": 8202, "PublishMode": "host"},
    ]
    at = [
        {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53},
        {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 32768},
    ]
    services = [
        {"ID": "s1", "Spec": {"Name": "web"}, "Endpoint": {"Ports": ports}},
        {"ID": "s2", "Spec": {"Name": "db"}, "Endpoint": {}},
    ]
    task = {"ServiceID": "s1", "NodeID": "id-worker1", "Status": {"State": "running", "PortStatus": {"Ports": at}}}
    manager = FakeEngine(
        {
            "GET /services": services,
            "GET /nodes": [raw_node("worker1")],
            "GET /tasks": [task, {**task, "Status": {"State": "failed"}}],
        }
    )

    found = published(manager)

    assert found == [
        PublishedPort("web", 53, "udp", "host", 53, ("worker1",)),
        PublishedPort("web", 8202, "tcp", "host", 82),
        PublishedPort("web", 30080, "tcp", "ingress", 80),
        PublishedPort("web", 32768, "tcp", "host", 81, ("worker1",)),
    ]
    assert [each.places for each in found] == [
        ["worker1:53->53/udp"],
        [],
        ["*:30080->80/tcp"],
        ["worker1:32768->81/tcp"],
    ]
