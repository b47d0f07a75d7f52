"""What the rows make of a kernel that was tried, read about, or not seen at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labctl.host.decide_kernel import FEATURES, decide_feature, decide_firewall, decide_ipvs, is_there
from labctl.host.facts import Facts, KernelFacts
from labctl.host.kernel_facts import modules_of, read_config
from labctl.host.links import try_links
from labctl.host.report import Report, Verdict

BY_ID = {feature.id: feature for feature in FEATURES}
VXLAN, OVERLAY = BY_ID["vxlan"], BY_ID["overlay"]


@pytest.mark.parametrize(
    ("kernel", "there"),
    [
        (KernelFacts(links={"vxlan": True}, config={}), True),
        (KernelFacts(links={"vxlan": False}, config={"VXLAN": "y"}), False),
        (KernelFacts(loaded=frozenset({"vxlan"})), True),
        (KernelFacts(builtin=frozenset({"vxlan"}), modules=frozenset()), True),
        (KernelFacts(modules=frozenset({"vxlan"})), True),
        (KernelFacts(config={"VXLAN": "y"}), True),
        (KernelFacts(config={"VXLAN": "m"}), True),
        (KernelFacts(config={"VXLAN": "m"}, modules=frozenset({"veth"})), False),
        (KernelFacts(config={}), False),
        (KernelFacts(modules=frozenset()), False),
        (KernelFacts(), None),
    ],
)
def test_trying_beats_reading_and_the_unseen_is_not_guessed(kernel: KernelFacts, there: bool | None) -> None:
    assert is_there(kernel, VXLAN) is there


def test_a_file_system_in_use_is_there() -> None:
    assert is_there(KernelFacts(filesystems=frozenset({"overlay"}), config={}), OVERLAY) is True


def test_what_a_node_cannot_do_without_must_be_mended(facts: Facts) -> None:
    kernel = replace(facts.kernel, links={"vxlan": False})
    row = decide_feature(VXLAN, replace(facts, kernel=kernel))
    assert (row.verdict, row.fixable) == (Verdict.MEND, False)
    assert "CONFIG_VXLAN" in str(row.fix)


def test_a_module_on_disk_can_be_loaded(facts: Facts) -> None:
    kernel = replace(facts.kernel, links={"vxlan": False}, modules=frozenset({"vxlan"}))
    row = decide_feature(VXLAN, replace(facts, kernel=kernel))
    assert (row.verdict, row.fix, row.fixable) == (Verdict.MEND, "sudo modprobe vxlan", True)


@pytest.mark.parametrize(
    ("id_", "title", "found"),
    [
        ("xfrm", "encrypted overlays", "no ESP in this kernel"),
        ("netem", "delay and jitter", "no netem in this kernel"),
    ],
)
def test_what_only_some_lessons_need_is_unavailable_not_good(facts: Facts, id_: str, title: str, found: str) -> None:
    row = decide_feature(BY_ID[id_], replace(facts, kernel=replace(facts.kernel, config={})))
    assert (row.verdict, row.title, row.found, row.fix) == (Verdict.UNAVAILABLE, title, found, None)
    assert Report([row]).good


def test_another_kernel_is_not_judged_by_ours(facts: Facts) -> None:
    far = replace(facts, kernel=KernelFacts(release="another", config={}, ipvs=False))
    rows = [decide_feature(VXLAN, far), decide_firewall(far), decide_ipvs(far)]
    assert [row.verdict for row in rows] == [Verdict.GOOD] * 3
    assert all("not visible from here" in row.found for row in rows)


@pytest.mark.parametrize(
    ("config", "found", "verdict"),
    [
        ({"NF_TABLES": "y", "NFT_COMPAT": "y"}, "nftables", Verdict.GOOD),
        ({"IP_NF_IPTABLES": "y"}, "iptables", Verdict.GOOD),
        ({"NF_TABLES": "y", "NFT_COMPAT": "y", "IP_NF_IPTABLES": "y"}, "nftables and iptables", Verdict.GOOD),
        ({"NF_TABLES": "y"}, "neither", Verdict.MEND),
        (None, "not visible", Verdict.GOOD),
    ],
)
def test_one_firewall_is_enough(facts: Facts, config: dict[str, str] | None, found: str, verdict: Verdict) -> None:
    row = decide_firewall(replace(facts, kernel=replace(facts.kernel, config=config)))
    assert row.verdict is verdict
    assert found in row.found


def test_the_mesh_makes_up_for_ip_vs(facts: Facts) -> None:
    assert decide_ipvs(facts).verdict is Verdict.GOOD
    without = replace(facts.kernel, ipvs=False)
    assert decide_ipvs(replace(facts, kernel=without)).verdict is Verdict.MADE_UP_FOR
    loadable = decide_ipvs(replace(facts, kernel=replace(without, modules=frozenset({"ip_vs"}))))
    assert (loadable.verdict, loadable.fixable) == (Verdict.MADE_UP_FOR, True)


def test_a_kernel_configuration_is_read() -> None:
    text = "# CONFIG_IP_VS is not set\nCONFIG_VXLAN=m\nCONFIG_VETH=y\nCONFIG_HZ=250\n"
    assert read_config(text) == {"VXLAN": "m", "VETH": "y"}


def test_module_lists_are_read() -> None:
    text = "kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/lib/libcrc32c.ko.xz\nkernel/net/sched/sch-netem.ko\n\n"
    assert modules_of(text) == {"ip_vs", "sch_netem"}


def test_links_that_no_kernel_has_do_not_come() -> None:
    came = try_links(["veth", "no-such-kind"])
    assert came in ({}, {"veth": True, "no-such-kind": False}), "without the right to try, nothing is claimed"
