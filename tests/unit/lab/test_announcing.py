"""An engine that has endpoints on an overlay network and no entry for them in the shared table announces them again."""

from __future__ import annotations

import pytest

from labctl.engine.fake import Answer
from labctl.errors import EngineUnreachable
from labctl.lab.announcing import announce_again, peer_record
from labctl.lab.gossip import WHERE
from labctl.transport import Result

from ..nodes import FakeNode, fake_node

TABLE = f"curl -s -m 5 '{WHERE}/gettable?nid=net1&tname=overlay_peer_table'"
VALUE = "CgsxMC4wLjAuMi8yNBIRMDI6NDI6MGE6MDA6MDA6MDIaCzE3Mi4zMC4yLjEx"
CREATE = (
    f"curl -s -G -m 5 '{WHERE}/createentry?nid=net1&tname=overlay_peer_table&key=aa1' --data-urlencode value={VALUE}"
)
HERE = {
    "ingress-sbox": {"EndpointID": "aa1", "IPv4Address": "10.0.0.2/24", "MacAddress": "02:42:0a:00:00:02"},
    "c1": {"EndpointID": "bb2", "IPv4Address": "10.0.0.5/24", "MacAddress": "02:42:0a:00:00:05"},
}


def listed(*keys: str) -> str:
    entries = "".join(f"{n}) k:`{key}` -> v:`Cg==` owner:`39d0`\n" for n, key in enumerate(keys))
    return f"OK\ntotal entries: {len(keys)}\n{entries}"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    monkeypatch.setattr("time.sleep", lambda _: None)
    networks = [
        {"Id": "net1", "Driver": "overlay", "Scope": "swarm"},
        {"Id": "net2", "Driver": "bridge", "Scope": "local"},
    ]
    api: dict[str, Answer] = {"GET /networks": networks, "GET /networks/net1": {"Containers": HERE}}
    return fake_node("manager1", address="172.30.2.11", api=api)


def test_an_entry_is_what_libnetwork_writes() -> None:
    """The value was read off an engine (26.1.5)."""
    assert peer_record("10.0.0.2/24", "02:42:0a:00:00:02", "172.30.2.11") == VALUE


def test_only_what_is_missing_is_announced(node: FakeNode) -> None:
    node.shell.answers |= {TABLE: listed("bb2", "cc3"), CREATE: "OK"}

    assert announce_again([node]) == ["manager1"]
    assert node.shell.commands == [TABLE, TABLE, CREATE]


def test_one_that_comes_within_a_moment_was_on_its_way(node: FakeNode) -> None:
    """Its engine refuses to start a task whose entry is there before its own."""
    said = [listed("bb2"), listed("aa1", "bb2")]
    node.shell.answers[TABLE] = lambda command: Result(command, 0, said.pop(0))

    assert announce_again([node]) == []


@pytest.mark.parametrize("said", [Result(TABLE, 7), Result(TABLE, 28), Result(TABLE, 0, "no such table")])
def test_an_engine_that_does_not_show_its_table_is_left_alone(node: FakeNode, said: Result) -> None:
    node.shell.answers[TABLE] = said

    assert announce_again([node]) == []


def test_an_engine_that_does_not_answer_is_left_alone(node: FakeNode) -> None:
    node.api["GET /networks"] = EngineUnreachable("gone")

    assert announce_again([node]) == []
