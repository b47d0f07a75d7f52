"""From endpoints to what a namespace does."""

from __future__ import annotations

from labctl.mesh.model import NO_RULES, Rules, rules_for, stale_flows
from labctl.mesh.networkdb import Endpoint, Port
from tests.unit.mesh.fakes import endpoint

HTTP = Port("tcp", 80, 8080)
DNS = Port("udp", 53, 8080)


def test_no_endpoints_no_rules() -> None:
    assert rules_for([]) == NO_RULES


def test_a_vip_leads_to_all_tasks_in_order_of_address() -> None:
    rules = rules_for([endpoint(10), endpoint(9), endpoint(100)])
    assert rules.vips == {"10.0.1.2": ("10.0.1.9", "10.0.1.10", "10.0.1.100")}


def test_the_order_of_endpoints_does_not_matter() -> None:
    endpoints = [endpoint(3, ports=(HTTP,)), endpoint(4, ports=(HTTP, DNS)), endpoint(7, service="db", vip="10.0.1.6")]
    assert rules_for(endpoints) == rules_for(reversed(endpoints))


def test_a_task_that_leaves_gets_nothing_new() -> None:
    rules = rules_for([endpoint(3, ports=(HTTP,)), endpoint(4, ports=(HTTP,), disabled=True)])
    assert rules.vips == {"10.0.1.2": ("10.0.1.3",)}
    assert rules.ports == {("tcp", 8080): ("10.0.1.3",)}


def test_a_service_whose_tasks_all_leave_is_known_and_refuses() -> None:
    rules = rules_for([endpoint(3, ports=(HTTP,), disabled=True)])
    assert rules == Rules({"10.0.1.2": ()}, {("tcp", 8080): ()})
    assert rules.serving() == frozenset()


def test_one_number_on_two_protocols_is_two_ports() -> None:
    rules = rules_for([endpoint(3, ports=(HTTP,)), endpoint(7, service="dns", vip="10.0.1.6", ports=(DNS,))])
    assert rules.ports == {("tcp", 8080): ("10.0.1.3",), ("udp", 8080): ("10.0.1.7",)}


def test_while_ports_change_each_task_serves_its_own() -> None:
    rules = rules_for([endpoint(3, ports=(HTTP,)), endpoint(4, ports=(HTTP, Port("tcp", 80, 8081)))])
    assert rules.ports == {("tcp", 8080): ("10.0.1.3", "10.0.1.4"), ("tcp", 8081): ("10.0.1.4",)}


def test_containers_of_no_service_and_services_without_a_vip_are_left_alone() -> None:
    alone = Endpoint("box", "", "", "", "10.0.1.50")
    assert rules_for([alone, endpoint(3, vip="")]) == NO_RULES


def test_an_entry_out_of_date_does_not_take_the_address_of_a_task() -> None:
    rules = rules_for([endpoint(3, vip="10.0.1.4", service="old"), endpoint(4)])
    assert rules.vips == {"10.0.1.2": ("10.0.1.4",)}


def test_what_becomes_stale_when_a_task_leaves_and_when_it_is_gone() -> None:
    three = rules_for([endpoint(3), endpoint(4), endpoint(5)])
    two = rules_for([endpoint(3), endpoint(4), endpoint(5, disabled=True)])
    every, fewer = ("10.0.1.3", "10.0.1.4", "10.0.1.5"), ("10.0.1.3", "10.0.1.4")
    leaving = stale_flows(three, two, before=every, after=every)
    assert (leaving.left, leaving.gone) == (("10.0.1.5",), ())
    gone = stale_flows(two, two, before=every, after=fewer)
    assert (gone.left, gone.gone) == ((), ("10.0.1.5",))


def test_what_was_sent_before_there_was_a_rule_is_stale() -> None:
    refused = rules_for([endpoint(3, ports=(HTTP,), disabled=True)])
    served = rules_for([endpoint(3, ports=(HTTP,), disabled=True), endpoint(4, ports=(HTTP, DNS))])
    stale = stale_flows(refused, served, before=(), after=())
    assert stale.opened_vips == ("10.0.1.2",)
    assert stale.opened_ports == (("tcp", 8080), ("udp", 8080))
    assert stale_flows(served, served, before=(), after=()).opened_ports == ()
