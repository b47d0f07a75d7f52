"""Who gets which address: each node its own, never one that is somebody else's."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import LabError
from labctl.spec.addresses import dynamic_range, free_addresses, gateway, prefix_for, registry_address, room

subnets = st.builds(
    lambda base, prefix: str(ipaddress.IPv4Network(((10 << 24) | (base >> (32 - prefix) << (32 - prefix)), prefix))),
    st.integers(0, 2**24 - 1),
    st.integers(16, 27),
)


@st.composite
def subnet_and_count(draw: st.DrawFn) -> tuple[str, int]:
    subnet = draw(subnets)
    return subnet, draw(st.integers(0, min(room(subnet), 200)))


@given(subnet_and_count())
def test_nodes_get_addresses_of_their_own_inside_the_subnet(case: tuple[str, int]) -> None:
    subnet, count = case
    network = ipaddress.IPv4Network(subnet)

    given_out = free_addresses(subnet, (), count)

    assert len(set(given_out)) == count
    assert all(ipaddress.IPv4Address(address) in network for address in given_out)


@given(subnet_and_count())
def test_no_node_gets_what_is_somebody_elses(case: tuple[str, int]) -> None:
    subnet, count = case
    network = ipaddress.IPv4Network(subnet)
    reserved = {gateway(subnet), registry_address(subnet), str(network[0]), str(network[-1])}
    handed_out = ipaddress.IPv4Network(dynamic_range(subnet))

    for address in free_addresses(subnet, (), count):
        assert address not in reserved
        assert ipaddress.IPv4Address(address) not in handed_out


@given(subnet_and_count())
def test_a_node_that_is_added_takes_no_address_and_moves_none(case: tuple[str, int]) -> None:
    subnet, count = case
    standing = free_addresses(subnet, (), count)[: count // 2]

    added = free_addresses(subnet, standing, count - len(standing))

    assert standing + added == free_addresses(subnet, (), count)


@given(subnets)
def test_the_registry_is_not_among_what_the_engine_hands_out(subnet: str) -> None:
    assert ipaddress.IPv4Address(registry_address(subnet)) not in ipaddress.IPv4Network(dynamic_range(subnet))


def test_addresses_are_easy_to_remember() -> None:
    assert free_addresses("172.30.0.0/24", (), 2) == ["172.30.0.11", "172.30.0.12"]
    assert gateway("172.30.0.0/24") == "172.30.0.1"
    assert registry_address("172.30.0.0/24") == "172.30.0.2"
    assert dynamic_range("172.30.0.0/24") == "172.30.0.192/26"


def test_the_address_of_a_node_that_went_is_given_again() -> None:
    assert free_addresses("172.30.0.0/24", ["172.30.0.12"], 2) == ["172.30.0.11", "172.30.0.13"]


def test_a_small_subnet_begins_behind_the_registry() -> None:
    assert free_addresses("172.30.0.0/27", (), 1) == ["172.30.0.3"]


def test_a_subnet_that_is_full_is_told_with_the_way_out() -> None:
    with pytest.raises(LabError, match="has no room for 22 more nodes") as caught:
        free_addresses("172.30.0.0/27", (), 22)

    assert "--subnet" in (caught.value.hint or "")


@pytest.mark.parametrize("subnet", ["10.0.0.0/28", "10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32"])
def test_a_subnet_that_is_too_small_has_no_room_at_all(subnet: str) -> None:
    assert room(subnet) == 0


def test_a_huge_subnet_costs_no_more_than_its_nodes() -> None:
    assert free_addresses("10.0.0.0/8", (), 2) == ["10.0.0.11", "10.0.0.12"]


@given(st.integers(1, 20_000))
def test_the_prefix_is_the_longest_that_has_room(nodes: int) -> None:
    prefix = prefix_for(nodes)

    assert room(f"10.0.0.0/{prefix}") >= nodes
    assert prefix == 24 or room(f"10.0.0.0/{prefix + 1}") < nodes
