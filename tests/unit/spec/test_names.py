"""Short names and filters mean the nodes that a person means, or are refused with the nearest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import NotFoundError, UsageError
from labctl.spec import expand, select
from labctl.spec.names import short

ROLES = {"manager1": "manager", "manager2": "manager", "worker1": "worker", "worker2": "worker", "worker3": "worker"}


@pytest.mark.parametrize(
    ("name", "node"), [("worker1", "worker1"), ("w1", "worker1"), ("m2", "manager2"), ("manager1", "manager1")]
)
def test_a_node_answers_to_its_name_and_its_short_name(name: str, node: str) -> None:
    assert expand(name, ROLES) == node


def test_the_first_manager_is_called_manager_where_no_node_has_that_name() -> None:
    assert expand("manager", ROLES, manager="manager1") == "manager1"
    assert expand("manager", ["manager1", "manager"], manager="manager1") == "manager"
    assert select("w1,manager", {"a": "worker", "worker1": "worker", "boss": "manager"}) == ["worker1", "boss"]
    assert select("manager", ROLES, manager="manager2") == ["manager2"]
    with pytest.raises(NotFoundError, match="no node named 'manager'"):
        select("manager", {"worker1": "worker"})


def test_a_node_that_is_called_like_a_short_name_is_meant_first() -> None:
    assert expand("w1", ["worker1", "w1"]) == "w1"


@pytest.mark.parametrize(
    ("name", "known", "called"),
    [
        ("manager1", ["manager1"], ["m1"]),
        ("worker12", ["worker12"], ["w12"]),
        ("worker1", ["worker1", "w1"], []),
        ("manager", ["manager"], []),
        ("myvm1", ["myvm1"], []),
    ],
)
def test_what_a_node_may_be_called_instead(name: str, known: list[str], called: list[str]) -> None:
    assert short(name, known) == called
    assert all(expand(one, known) == name for one in called)


def test_a_name_that_is_none_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean worker3"):
        expand("worker33", ROLES)


def test_a_short_name_of_a_node_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no node named 'w9'"):
        expand("w9", ROLES)


@pytest.mark.parametrize(
    ("pattern", "nodes"),
    [
        ("@all", list(ROLES)),
        ("@manager", ["manager1", "manager2"]),
        ("@managers", ["manager1", "manager2"]),
        ("@worker:0", ["worker1"]),
        ("@workers:1-2", ["worker2", "worker3"]),
        ("@worker:1-9", ["worker2", "worker3"]),
        ("@all:0", ["manager1"]),
        ("worker2,m1", ["worker2", "manager1"]),
        (" worker2 , m1 ,", ["worker2", "manager1"]),
        ("w1,@worker,w1", ["worker1", "worker2", "worker3"]),
    ],
)
def test_a_filter_means_nodes_in_order_and_each_once(pattern: str, nodes: list[str]) -> None:
    assert select(pattern, ROLES) == nodes


@pytest.mark.parametrize("pattern", ["", ",", " ", "@", "@nope", "@worker:", "@worker:x", "@worker:9", "@worker:2-1"])
def test_a_filter_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError):
        select(pattern, ROLES)


def test_a_group_without_nodes_is_refused() -> None:
    with pytest.raises(UsageError, match="'@worker' means no node"):
        select("@worker", {"manager1": "manager"})


def test_a_filter_that_is_none_is_told_what_filters_there_are() -> None:
    with pytest.raises(UsageError, match="'@nope' is no filter") as caught:
        select("@nope", ROLES)

    assert "@worker:0-2" in (caught.value.hint or "")


def test_an_index_without_end_is_refused() -> None:
    with pytest.raises(UsageError):
        select("@worker:" + "9" * 5000, ROLES)


@given(st.one_of(st.text(), st.from_regex(r"@(all|managers?|workers?)(:\d+(-\d+)?)?(,[mw]\d)*", fullmatch=True)))
def test_any_text_selects_nodes_or_is_refused(pattern: str) -> None:
    try:
        nodes = select(pattern, ROLES)
    except UsageError:
        return
    assert nodes
    assert len(set(nodes)) == len(nodes)
    assert set(nodes) <= set(ROLES)


@given(st.sampled_from(list(ROLES)))
def test_every_node_can_be_selected_by_its_name(name: str) -> None:
    assert select(name, ROLES) == [name]
