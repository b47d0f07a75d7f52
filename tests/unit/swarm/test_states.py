"""What nodes' engines say of their swarm: each state that keeps a node out of it has a line and a way out."""

from __future__ import annotations

import pytest

from labctl.errors import EngineUnreachable
from labctl.swarm.cluster import Membership
from labctl.swarm.state import SwarmNode
from labctl.swarm.states import is_orphaned, leavers_of, memberships, state_problems, trouble_of

from ..nodes import fake_node, raw_info, raw_node


def member(state: str = "active", *, manager: bool = False, cluster: str = "", error: str = "") -> Membership:
    return Membership(state, "n1", manager, cluster, error)


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ("locked", "Swarm is encrypted", "m1 is locked: `labctl ssh m1 docker swarm unlock` asks for the key"),
        (
            "error",
            "rpc error: code = Unavailable desc = certificate has expired.",
            "m1 cannot take part in its swarm (certificate has expired): "
            "`labctl ssh m1 docker swarm leave --force` and `labctl up` let it join again",
        ),
        ("pending", "", "m1 waits for a manager to let it into the swarm: `labctl restart m1` lets it ask again"),
        ("active", "", None),
        ("inactive", "", None),
    ],
)
def test_each_state_has_one_line_with_what_helps(state: str, error: str, words: str | None) -> None:
    assert trouble_of("m1", member(state, error=error)) == words


def test_only_nodes_that_answer_are_listed() -> None:
    locked = fake_node("manager1", api={"GET /info": raw_info("locked")})
    silent = fake_node("manager2", api={"GET /info": EngineUnreachable("no")})

    seen = memberships([locked, silent])

    assert list(seen) == ["manager1"]
    assert list(state_problems(seen)) == ["manager1"]


def test_a_node_that_has_left_is_known_before_its_managers_miss_it() -> None:
    out = fake_node("worker1", api={"GET /info": raw_info("inactive")})
    back = fake_node("worker2", api={"GET /info": raw_info("active")})
    seen = {"worker1": member("inactive"), "worker2": member("inactive"), "worker3": member()}
    known = [
        SwarmNode.of(raw_node(name, state=state))
        for name, state in (("worker1", "ready"), ("worker2", "ready"), ("worker3", "ready"), ("worker4", "down"))
    ]

    assert leavers_of([out, back], seen, known) == {"worker1"}, "worker2 has joined meanwhile"
    assert leavers_of([out], {"worker1": member("inactive")}, known[1:]) == frozenset()


def test_a_swarm_is_orphaned_when_no_manager_of_it_can_be_left() -> None:
    nodes = [fake_node("manager1"), fake_node("worker1")]

    assert is_orphaned(nodes, {"manager1": member("inactive"), "worker1": member()})
    assert not is_orphaned(nodes, {"manager1": member("locked"), "worker1": member()})
    assert not is_orphaned(nodes, {"manager1": member("inactive"), "worker1": member(manager=True)}), "promoted"
    assert not is_orphaned(nodes, {"worker1": member()}), "one that does not answer may have it"
