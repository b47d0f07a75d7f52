"""From what the kernel showed to rows: one table of features, and how each is recognised."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.host.facts import Facts, KernelFacts
from labctl.host.report import Row, Verdict

__all__ = ["FEATURES", "Feature", "decide_feature", "decide_firewall", "decide_ipvs", "is_there"]

_UNSEEN = "not visible from here: will be tried"


@dataclass(frozen=True)
class Feature:
    """Something a kernel has or has not.

    `option` is its name in the kernel's configuration, `module` the module it is built as, `link` the
    kind of interface that shows it, `without` what is told where it is missing; a lab needs the feature when None.
    """

    id: str
    title: str
    option: str
    module: str
    link: str | None = None
    without: str | None = None


FEATURES = (
    Feature("overlay", "overlay file system", "OVERLAY_FS", "overlay"),
    Feature("veth", "virtual cables (veth)", "VETH", "veth", "veth"),
    Feature("bridge", "bridges", "BRIDGE", "bridge", "bridge"),
    Feature("vxlan", "VXLAN", "VXLAN", "vxlan", "vxlan"),
    Feature(
        "xfrm",
        "encrypted overlays",
        "INET_ESP",
        "esp4",
        without="no ESP in this kernel",
    ),
    Feature(
        "netem",
        "delay and jitter",
        "NET_SCH_NETEM",
        "sch_netem",
        without="no netem in this kernel",
    ),
)


def is_there(kernel: KernelFacts, feature: Feature) -> bool | None:
    """Whether the kernel has the feature; None when it cannot be told.

    Trying beats reading: what came is there, what did not come is not.
    """
    if feature.link is not None and feature.link in kernel.links:
        return kernel.links[feature.link]
    if feature.module in kernel.filesystems or feature.module in kernel.loaded | kernel.builtin:
        return True
    if kernel.modules is not None and feature.module in kernel.modules:
        return True
    if kernel.config is not None:
        state = kernel.config.get(feature.option)
        # Built as a module that is nowhere to be found helps nobody.
        return state == "y" or (state == "m" and kernel.modules is None)
    return False if kernel.modules is not None else None


def decide_feature(feature: Feature, facts: Facts) -> Row:
    """The row of one feature."""
    there = is_there(facts.kernel, feature) if facts.same_kernel else None
    if there is None:
        return Row(feature.id, feature.title, Verdict.GOOD, _UNSEEN)
    if there:
        how = "tried, works" if feature.link in facts.kernel.links else "in the kernel"
        return Row(feature.id, feature.title, Verdict.GOOD, how)
    if feature.without is not None:
        return Row(feature.id, feature.title, Verdict.UNAVAILABLE, feature.without)
    offered = facts.kernel.modules is not None and feature.module in facts.kernel.modules
    return Row(
        feature.id,
        feature.title,
        Verdict.MEND,
        f"this kernel ({facts.kernel.release}) has none",
        f"sudo modprobe {feature.module}" if offered else f"boot a kernel with CONFIG_{feature.option}",
        fixable=offered,
    )


def decide_firewall(facts: Facts) -> Row:
    """Whether nodes can have address translation of their own, by either of the kernel's two ways."""
    title = "nftables or iptables"
    if not facts.same_kernel:
        return Row("firewall", title, Verdict.GOOD, _UNSEEN)
    ways = {
        "nftables": (Feature("", "", "NF_TABLES", "nf_tables"), Feature("", "", "NFT_COMPAT", "nft_compat")),
        "iptables": (Feature("", "", "IP_NF_IPTABLES", "ip_tables"),),
    }
    seen = {name: [is_there(facts.kernel, part) for part in parts] for name, parts in ways.items()}
    there = [name for name, parts in seen.items() if all(parts)]
    if there:
        return Row("firewall", title, Verdict.GOOD, " and ".join(there))
    if any(part is None for parts in seen.values() for part in parts):
        return Row("firewall", title, Verdict.GOOD, _UNSEEN)
    fix = "boot a kernel with CONFIG_NF_TABLES and CONFIG_NFT_COMPAT, or with CONFIG_IP_NF_IPTABLES"
    return Row("firewall", title, Verdict.MEND, f"this kernel ({facts.kernel.release}) has neither", fix)


def decide_ipvs(facts: Facts) -> Row:
    """Whether the kernel balances published ports and virtual addresses, or labctl's own mesh does."""
    title = "routing mesh (IPVS)"
    if not facts.same_kernel or facts.kernel.ipvs is None:
        return Row("ipvs", title, Verdict.GOOD, "not visible from here: each node looks for itself")
    if facts.kernel.ipvs:
        return Row("ipvs", title, Verdict.GOOD, "the kernel's own")
    if facts.kernel.modules is not None and "ip_vs" in facts.kernel.modules:
        found = "ip_vs is a module that is not loaded; labctl's mesh serves instead"
        return Row("ipvs", title, Verdict.MADE_UP_FOR, found, "sudo modprobe -a ip_vs ip_vs_rr xt_ipvs", fixable=True)
    return Row("ipvs", title, Verdict.MADE_UP_FOR, "no ip_vs in this kernel; labctl's mesh serves instead")
