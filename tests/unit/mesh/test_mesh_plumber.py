"""What the kernel's programs are asked to do, and when they are not."""

from __future__ import annotations

import pytest

from labctl.mesh.conntrack import GRACE
from labctl.mesh.model import NO_RULES, Rules, Uplink, rules_for
from labctl.mesh.netns import CommandError
from labctl.mesh.plumber import Plumber
from tests.unit.mesh.fakes import FakeRun, endpoint, namespace

LB = namespace("lb_net1")
INGRESS = namespace("ingress_sbox")
UPLINK = Uplink("172.18.0.2", "172.18.0.0/16", frozenset({("tcp", 8080)}))
BORNE = "7: eth0    inet 10.0.1.7/24 brd 10.0.1.255 scope global eth0\\       valid_lft forever\n"
VIP = "7: eth0    inet 10.0.1.2/32 scope global eth0\\       valid_lft forever preferred_lft forever\n"


def make(run: FakeRun, *, first: bool = False) -> Plumber:
    return Plumber(run, allow_localhost=lambda bridge: None, first=first)


def apply(plumber: Plumber, *numbers: int, leaving: tuple[int, ...] = (), now: float = 0.0) -> bool:
    endpoints = [endpoint(number, disabled=number in leaving) for number in numbers]
    return plumber.balance(LB, rules_for(endpoints), {one.address for one in endpoints}, now)


def test_a_namespace_is_prepared_once_and_its_vip_added() -> None:
    run = FakeRun(answers={"ip": [BORNE]})
    assert apply(make(run), 3, 4)
    assert [command[0] for _, command, _ in run.calls] == ["sysctl", "nft", "ip", "ip"]
    assert run.of("ip")[-1] == "addr add 10.0.1.2/32 dev eth0\n"


def test_nothing_is_run_when_nothing_changed() -> None:
    run = FakeRun()
    plumber = make(run)
    apply(plumber, 3, 4)
    run.calls.clear()
    assert not apply(plumber, 3, 4)
    assert run.calls == []


def test_a_task_more_is_one_transaction() -> None:
    run = FakeRun()
    plumber = make(run)
    apply(plumber, 3)
    run.calls.clear()
    assert apply(plumber, 3, 4)
    assert [command[0] for _, command, _ in run.calls] == ["nft"]


def test_a_vip_that_the_engine_took_away_is_not_missed() -> None:
    taken = CommandError("ip -batch -: Address not found")
    run = FakeRun(answers={"ip": [BORNE, "", BORNE + VIP, taken, BORNE]})
    plumber = make(run)
    apply(plumber, 3)
    assert plumber.balance(LB, NO_RULES, frozenset(), 1.0)
    assert "addr del 10.0.1.2/32 dev eth0\n" in run.of("ip")


def test_a_vip_that_can_not_be_added_is_an_error() -> None:
    refused = CommandError("ip -batch -: RTNETLINK answers: Operation not permitted")
    run = FakeRun(answers={"ip": [BORNE, refused] * 3})
    with pytest.raises(CommandError, match="not permitted"):
        apply(make(run), 3)


def test_what_failed_is_tried_again_from_the_start() -> None:
    run = FakeRun(failing={"nft": "nft -f - in lb_net1: no such thing"})
    plumber = make(run)
    with pytest.raises(CommandError, match="no such thing"):
        apply(plumber, 3)
    run.failing.clear()
    assert apply(plumber, 3)


def test_udp_to_a_task_that_leaves_is_forgotten_after_a_grace_and_the_rest_when_it_is_gone() -> None:
    run = FakeRun()
    plumber = make(run)
    apply(plumber, 3, 4)
    apply(plumber, 3, 4, leaving=(4,), now=10.0)
    plumber.sweep(10.0 + GRACE / 2)
    assert run.of("conntrack") == []
    assert plumber.janitor.next_due() == 10.0 + GRACE
    plumber.sweep(10.0 + GRACE)
    assert run.of("conntrack") == ["-D -p udp -r 10.0.1.4\n"]
    assert not apply(plumber, 3, now=12.0)
    plumber.sweep(12.0 + GRACE)
    assert run.of("conntrack")[1:] == [
        "-D -p udp -r 10.0.1.4\n-D -p tcp --state ESTABLISHED -r 10.0.1.4\n-D -p tcp --state SYN_SENT -r 10.0.1.4\n"
    ]
    assert plumber.janitor.next_due() is None


def test_an_address_that_serves_again_keeps_its_connections() -> None:
    run = FakeRun()
    plumber = make(run)
    apply(plumber, 3, 4)
    apply(plumber, 3, now=10.0)
    apply(plumber, 3, 4, now=10.5)
    plumber.sweep(10.0 + GRACE)
    assert run.of("conntrack") == []


def test_a_namespace_that_is_gone_needs_no_sweeping() -> None:
    run = FakeRun()
    plumber = make(run)
    apply(plumber, 3, 4)
    apply(plumber, 3, now=10.0)
    plumber.keep_only([])
    plumber.sweep(10.0 + GRACE)
    assert run.of("conntrack") == []


def test_udp_that_came_before_the_first_task_is_forgotten_at_once() -> None:
    run = FakeRun()
    plumber = make(run)
    plumber.balance(LB, Rules({"10.0.1.2": ()}, {("udp", 53): ()}), frozenset(), 0.0)
    plumber.balance(LB, Rules({"10.0.1.2": ("10.0.1.3",)}, {("udp", 53): ("10.0.1.3",)}), frozenset(), 1.0)
    assert run.of("conntrack") == ["-D -p udp -d 10.0.1.2\n-D -p udp --orig-port-dst 53\n"]


def test_the_node_diverts_once() -> None:
    run = FakeRun()
    plumber = make(run)
    assert plumber.divert(UPLINK)
    assert [command[0] for _, command, _ in run.calls] == ["iptables-restore", "iptables", "nft"]
    run.calls.clear()
    assert not plumber.divert(UPLINK)
    assert plumber.divert(UPLINK._replace(ports=UPLINK.ports | {("udp", 53)}))
    assert [command[0] for _, command, _ in run.calls] == ["nft", "conntrack"]


def test_the_jump_is_put_where_it_is_missing() -> None:
    run = FakeRun(failing={"iptables": "no such rule"})
    with pytest.raises(CommandError):
        make(run).divert(UPLINK)
    assert [command[3] for _, command, _ in run.calls if command[0] == "iptables"] == ["-C", "-I"]


def test_an_engine_that_started_again_is_plumbed_again() -> None:
    run = FakeRun()
    plumber = make(run)
    plumber.balance(INGRESS, NO_RULES, frozenset(), 0.0)
    plumber.divert(UPLINK)
    run.calls.clear()
    plumber.keep_only([namespace("ingress_sbox", inode=2)])
    assert plumber.divert(UPLINK)
    assert run.of("iptables-restore")


def test_all_is_taken_back_when_the_swarm_is_left() -> None:
    run = FakeRun()
    plumber = make(run)
    plumber.divert(UPLINK)
    run.calls.clear()
    assert plumber.undivert()
    assert [command[0] for _, command, _ in run.calls] == ["nft", "iptables", "iptables", "iptables"]
    run.calls.clear()
    assert not plumber.undivert()
    assert run.calls == []


def test_a_node_that_never_was_in_a_swarm_is_hardly_touched() -> None:
    run = FakeRun()
    make(run).undivert()
    assert [command[0] for _, command, _ in run.calls] == ["nft"]


def test_the_first_agent_of_a_node_touches_nothing_before_there_is_a_task() -> None:
    run = FakeRun(answers={"ip": [BORNE]})
    plumber = make(run, first=True)
    plumber.balance(LB, NO_RULES, frozenset({"10.0.1.7"}), 0.0)
    plumber.undivert()
    assert run.calls == []
    assert apply(plumber, 3)
    assert [command[0] for _, command, _ in run.calls][:4] == ["sysctl", "nft", "ip", "ip"]


def test_an_agent_that_is_not_the_first_empties_what_it_found() -> None:
    run = FakeRun(answers={"ip": [BORNE]})
    make(run).balance(LB, NO_RULES, frozenset(), 0.0)
    assert [command[0] for _, command, _ in run.calls] == ["sysctl", "nft", "ip"]
