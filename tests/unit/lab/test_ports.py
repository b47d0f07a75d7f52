"""Ports of a lab from Python and from the command line: listed, added and taken away in one place."""

from __future__ import annotations

from typing import Any

import pytest

from labctl import edge
from labctl.backend import FakeBackend, LabRecord
from labctl.edge import ForwardedPort, PublishedPort
from labctl.engine.fake import FakeEngine
from labctl.errors import NotFoundError, UsageError
from labctl.events import Event, Warned
from labctl.lab import Context, Lab
from labctl.lab.ports import PortLike
from labctl.owner import YOU, Owner
from labctl.spec import LabSpec, PortSpec

from ..nodes import fake_node


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, heard: list[Event]) -> Lab:
    return lab_of(monkeypatch, heard, YOU)


def lab_of(monkeypatch: pytest.MonkeyPatch, heard: list[Event], owner: Owner) -> Lab:
    record = LabRecord("demo", lambda: LabSpec(), "10.0.0.0/24", "labctl-demo", (fake_node("manager1"),), owner)
    backend = FakeBackend()
    backend.hold(record)
    found = Lab(Context(FakeEngine({"GET /volumes": {"Volumes": []}}), emit=heard.append), backend, record)
    monkeypatch.setattr("labctl.lab.finding.find_lab", lambda *_: found)
    monkeypatch.setattr(edge, "proxy_state", lambda *_: None)
    return found


@pytest.mark.usefixtures("state")
def test_ports_are_read_refused_and_opened_together(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def ensure(
        _engine: object, _name: str, _nodes: object, ports: list[PortSpec], _emit: object
    ) -> list[ForwardedPort]:
        asked.append([str(port) for port in ports])
        return [ForwardedPort("e", port.target, port.protocol, port.host) for port in ports]

    monkeypatch.setattr(edge, "ensure_edges", ensure)
    monkeypatch.setattr(edge, "refuse_taken", lambda *_: None)

    opened = lab.add_ports(8080, "9000:80", PortSpec.parse("53/udp"))

    assert asked == [["8080:8080/tcp", "9000:80/tcp", "53:53/udp"]]
    assert [way.url for way in opened] == ["http://127.0.0.1:8080", "http://127.0.0.1:9000", "127.0.0.1:53/udp"]
    assert lab.add_ports() == [] and len(asked) == 1


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (("8080", "eighty"), "eighty"),
        ((0,), "0"),
        ((True,), "True"),
        (("9000:80", "9000:81"), "127.0.0.1:9000 cannot lead to 80 and 81"),
    ],
)
def test_a_slip_in_one_port_opens_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, ports: tuple[PortLike, ...], said: str
) -> None:
    monkeypatch.setattr(edge, "ensure_edges", lambda *_: pytest.fail("something was opened"))

    with pytest.raises(UsageError, match=said):
        lab.add_ports(*ports)


@pytest.mark.usefixtures("state")
def test_a_port_that_nothing_leads_to_is_told_when_the_others_are_gone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []

    def remove(_engine: object, _name: str, port: PortSpec, *, exact: bool) -> list[ForwardedPort]:
        asked.append((str(port), exact))
        if port.target == 81:
            raise NotFoundError("way to a port", "81", None)
        return [ForwardedPort("e", port.target, port.protocol, port.host)]

    monkeypatch.setattr(edge, "remove_edge", remove)

    with pytest.raises(NotFoundError, match="81"):
        lab.remove_ports(81, "9000:80")
    assert [way.target for way in lab.remove_ports(80, PortSpec.parse("9001:80"))] == [80, 80]
    assert asked == [("81:81/tcp", False), ("9000:80/tcp", True), ("80:80/tcp", False), ("9001:80/tcp", True)]


@pytest.mark.usefixtures("state")
def test_what_is_published_is_told_with_the_way_to_it_and_what_is_wrong_with_the_proxy(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, heard: list[Event]
) -> None:
    listed = [PublishedPort("web", 80, "tcp", "ingress", 8080), PublishedPort("dns", 53, "udp", "ingress", 53)]
    ways = [ForwardedPort("e", 80, "tcp", 9000), ForwardedPort("e", 53, "tcp", 53)]
    monkeypatch.setattr(edge, "published", lambda _: listed)
    monkeypatch.setattr(edge, "edges", lambda *_: ways)
    monkeypatch.setattr(Lab, "manager", lambda self, **_: self.nodes[0])

    assert [(port.service, port.urls) for port in lab.ports()] == [("web", ("http://127.0.0.1:9000",)), ("dns", ())]
    assert [type(event) for event in heard] == [Warned], "the proxy says nothing"


@pytest.mark.usefixtures("state")
def test_ways_to_somebody_elses_lab_are_shown_and_not_changed(
    monkeypatch: pytest.MonkeyPatch, heard: list[Event]
) -> None:
    theirs = lab_of(monkeypatch, heard, Owner("mallory", is_you=False))
    monkeypatch.setattr(edge, "edges", lambda *_: [])

    assert theirs.forwarded_ports() == []
    changes: list[Any] = [theirs.add_ports, theirs.remove_ports]
    for change in changes:
        with pytest.raises(UsageError, match="mallory"):
            change(8080)
