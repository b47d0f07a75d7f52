"""Routes, subnets, Docker Hub and the tools at hand."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.host import decide_outside as rows
from labctl.host import hub
from labctl.host.facts import Facts, NetworkFacts, Route
from labctl.host.network_facts import gather_network, read_routes, uplink_of
from labctl.host.report import Verdict
from labctl.host.subnets import Claim, claims_on, collision, pick_subnet
from tests.guard import LONG, no_hang

GOOD, MADE_UP_FOR, MEND = Verdict.GOOD, Verdict.MADE_UP_FOR, Verdict.MEND
BRIDGE = {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}}


def net(text: str) -> IPv4Network:
    return IPv4Network(text)


def routed(*ways: tuple[str, str]) -> NetworkFacts:
    return NetworkFacts(
        tuple(Route(net(network), interface) for network, interface in ways), {"eth0": 1500, "tun0": 1400}
    )


# -- subnets


def test_the_first_free_subnet_is_taken_and_the_next_after_it() -> None:
    assert pick_subnet([], 24) == "172.30.0.0/24"
    assert pick_subnet([Claim(net("172.30.0.0/23"), "x")], 24) == "172.30.2.0/24"
    assert pick_subnet([], 21) == "172.30.0.0/21"


def test_a_vpn_that_takes_a_private_range_is_stepped_around() -> None:
    assert pick_subnet([Claim(net("172.16.0.0/12"), "tun0")], 24) == "192.168.128.0/24"
    both = [Claim(net("172.16.0.0/12"), "tun0"), Claim(net("192.168.0.0/16"), "tun0")]
    assert pick_subnet(both, 24) == "10.201.0.0/24"
    all_private = [*both, Claim(net("10.0.0.0/8"), "tun0")]
    assert pick_subnet(all_private, 24) == "198.18.0.0/24"
    assert pick_subnet([*all_private, Claim(net("198.18.0.0/15"), "x")], 24) is None


def test_claims_come_from_networks_routes_and_addresses() -> None:
    host = routed(("0.0.0.0/0", "eth0"), ("0.0.0.0/1", "tun0"), ("172.17.0.0/16", "docker0"), ("10.8.0.0/24", "tun0"))
    host = replace(host, routes=(*host.routes, Route(net("192.0.2.0/24"), "eth0", is_address=True)))
    told = {str(claim.network): claim.by for claim in claims_on([BRIDGE], host)}
    assert told == {
        "172.17.0.0/16": "network bridge of this engine",
        "10.8.0.0/24": "route via tun0 (10.8.0.0/24)",
        "192.0.2.0/24": "address of eth0 (192.0.2.0/24)",
    }


def test_a_lab_does_not_collide_with_itself() -> None:
    own = {"Name": "labctl-demo", "IPAM": {"Config": [{"Subnet": "172.30.0.0/24"}]}}
    host = routed(("172.30.0.0/24", "br-0123456789ab"))
    assert collision("172.30.0.0/24", claims_on([own], host)) == "network labctl-demo of this engine"
    assert collision("172.30.0.0/24", claims_on([own], host, own=["labctl-demo"])) is None


def test_networks_without_addresses_claim_nothing() -> None:
    odd: list[dict[str, Any]] = [
        {"Name": "host", "IPAM": {"Config": None}},
        {"Name": "none"},
        {"Name": "six", "IPAM": {"Config": [{"Subnet": "fd00::/64"}]}},
    ]
    assert claims_on(odd, NetworkFacts()) == []


@pytest.mark.parametrize("text", ["", "home", "172.30.0.0/33", "172.30.0.5/24", "fd00::/64"])
def test_what_is_no_subnet_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is no IPv4 subnet"):
        collision(text, [])


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 28)), max_size=30), st.integers(16, 28))
def test_what_is_picked_touches_nothing(ranges: list[tuple[int, int]], prefix: int) -> None:
    claims = [Claim(IPv4Network((address, length), strict=False), "x") for address, length in ranges]
    picked = pick_subnet(claims, prefix)
    assert picked is not None
    assert not any(net(picked).overlaps(claim.network) for claim in claims)
    assert net(picked).prefixlen == prefix


def test_the_subnet_row(facts: Facts) -> None:
    assert rows.decide_subnets(facts).found == "172.30.0.0/24 would be taken"
    assert rows.decide_subnets(replace(facts, nodes=400)).found == "172.30.0.0/22 would be taken"
    full = routed(("172.16.0.0/12", "a"), ("192.168.0.0/16", "b"), ("10.0.0.0/8", "c"), ("198.18.0.0/15", "d"))
    assert rows.decide_subnets(replace(facts, network=full)).verdict is MEND


# -- routes and MTU


def test_the_routes_of_linux_are_read(facts: Facts) -> None:
    assert [(str(route.network), route.interface) for route in facts.network.routes] == [
        ("0.0.0.0/0", "eth0"),
        ("172.17.0.0/16", "docker0"),
        ("192.0.2.0/24", "eth0"),
    ]
    assert read_routes("") == []


def test_a_vpn_that_splits_the_default_route_is_the_way_out() -> None:
    host = routed(("0.0.0.0/0", "eth0"), ("0.0.0.0/1", "tun0"), ("128.0.0.0/1", "tun0"))
    assert uplink_of(host) == ("tun0", 1400)


@pytest.mark.parametrize(("mtu", "told"), [(1500, 1500), (9000, 1500), (1400, 1400), (0, 1500)])
def test_the_mtu_is_that_of_the_way_out_and_1500_at_most(mtu: int, told: int) -> None:
    host = replace(routed(("0.0.0.0/0", "eth0")), mtu={"eth0": mtu})
    assert uplink_of(host) == ("eth0", told)


def test_without_a_way_out_the_usual_mtu_is_taken(facts: Facts) -> None:
    assert uplink_of(NetworkFacts()) == (None, 1500)
    assert rows.decide_mtu(replace(facts, network=NetworkFacts())).verdict is GOOD


def test_this_machine_has_addresses() -> None:
    assert any(route.is_address and route.network.is_loopback for route in gather_network().routes)


# -- Docker Hub


class Registry(BaseHTTPRequestHandler):
    """Answers as a registry does to one without a login; /slow never in time."""

    status = 401
    over = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            self.over.wait(LONG)
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry on a loopback port."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Registry.over.clear()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Registry.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_any_answer_of_a_registry_is_reach(registry: str) -> None:
    assert hub.ask(registry, 2).reachable


def test_a_registry_that_is_broken_is_not_in_reach(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "status", 503)
    answer = hub.ask(registry, 2)
    assert (answer.reachable, answer.said) == (False, "it answers 503")


def test_silence_ends_at_the_limit(registry: str) -> None:
    with no_hang():
        assert not hub.ask(f"{registry}/slow", 0.2).reachable


def test_nobody_there_is_told_in_words() -> None:
    answer = hub.ask("http://127.0.0.1:9", 2)
    assert (answer.reachable, answer.said) == (False, "Connection refused")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path))
    return tmp_path


def test_an_answer_is_kept_for_a_while(registry: str, state: Path) -> None:
    assert hub.look_up_hub(2, url=registry).reachable
    stored = json.loads((state / "hub.json").read_text())
    assert (state / "hub.json").stat().st_mode & 0o777 == 0o600
    stored["said"] = "kept"
    (state / "hub.json").write_text(json.dumps(stored))
    assert hub.look_up_hub(2, url=registry).said == "kept"
    assert hub.look_up_hub(2, url=registry, fresh=True).said == "it answers"
    assert hub.look_up_hub(2, url="http://127.0.0.1:9").reachable is False, "another registry is another question"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": 7}', "\0"])
def test_a_broken_keepsake_is_asked_anew(registry: str, state: Path, content: str) -> None:
    (state / "hub.json").write_text(content)
    assert hub.look_up_hub(2, url=registry).reachable


def test_a_no_is_doubted_sooner_than_a_yes() -> None:
    yes, no = hub.HubAnswer(True, "", 1000), hub.HubAnswer(False, "", 1000)
    assert (yes.holds(1100), no.holds(1100)) == (True, False)
    assert not yes.holds(900), "a clock that was set back proves nothing"


def test_a_setting_overrules_asking(registry: str, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, reachable in (("never", False), ("always", True), (registry, True)):
        monkeypatch.setitem(os.environ, "LABCTL_HUB", setting)
        assert hub.asked_as_set(1).reachable is reachable


def test_the_hub_row(facts: Facts) -> None:
    assert rows.decide_hub(facts).verdict is GOOD
    away = rows.decide_hub(replace(facts, hub=False, hub_said="no route"))
    assert (away.verdict, "no route" in away.found) == (MADE_UP_FOR, True)
    mirrored = replace(facts.engine, info={"RegistryConfig": {"Mirrors": ["https://mirror/"]}})
    assert "through https://mirror/" in rows.decide_hub(replace(facts, engine=mirrored)).found


# -- images and tools


def test_where_the_base_image_comes_from(facts: Facts) -> None:
    bare = replace(facts, engine=replace(facts.engine, has_base_image=False))
    assert rows.decide_base_image(facts).verdict is GOOD
    assert rows.decide_base_image(bare).verdict is GOOD
    away = replace(bare, hub=False)
    row = rows.decide_base_image(away)
    assert (row.verdict, row.fixable) == (MEND, True)
    able = replace(away, machine=replace(away.machine, tools={"debootstrap": "/usr/sbin/debootstrap"}))
    assert rows.decide_base_image(able).verdict is MADE_UP_FOR


def test_tools_are_pleasant_and_never_needed(facts: Facts) -> None:
    none = replace(facts, machine=replace(facts.machine, tools={}))
    assert rows.decide_tools(none).verdict is GOOD
    assert rows.decide_cli(none).verdict is MADE_UP_FOR
    assert rows.decide_cli(facts).found == "/usr/bin/docker"


def test_a_state_folder_that_cannot_be_written_must_be_mended(facts: Facts) -> None:
    broken = replace(facts, machine=replace(facts.machine, state_error="cannot make /x: Permission denied"))
    assert rows.decide_state(broken).verdict is MEND
    assert rows.decide_state(facts).verdict is GOOD
    assert rows.decide_python(facts).verdict is GOOD
