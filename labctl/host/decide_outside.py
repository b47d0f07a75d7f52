"""What is around the engine: the network, Docker Hub, and the tools at hand."""

from __future__ import annotations

from labctl.host.advice import can_install, install
from labctl.host.engine_facts import BASE_IMAGE
from labctl.host.facts import Facts
from labctl.host.network_facts import uplink_of
from labctl.host.report import Row, Verdict
from labctl.host.subnets import claims_on, pick_subnet

__all__ = [
    "decide_base_image",
    "decide_cli",
    "decide_hub",
    "decide_mtu",
    "decide_python",
    "decide_state",
    "decide_subnets",
    "decide_tools",
]

# An overlay takes 50 bytes of this; IPv6 alone asks for 1280.
SMALLEST_MTU = 1330
FIT_A_24 = 150  # nodes that surely fit


def decide_subnets(facts: Facts) -> Row:
    """Whether a lab of this size can have a subnet of its own."""
    prefix = 24 if facts.nodes <= FIT_A_24 else _prefix_for(facts.nodes)
    found = pick_subnet(claims_on(facts.engine.networks, facts.network), prefix)
    if found is not None:
        return Row("subnets", "free subnet", Verdict.GOOD, f"{found} would be taken")
    fix = "docker network prune, or `labctl up --subnet` with one of your choice"
    return Row("subnets", "free subnet", Verdict.MEND, f"networks and routes leave no private /{prefix} free", fix)


def _prefix_for(nodes: int) -> int:
    # Late, because the spec brings all of pydantic with it, and few labs are so large.
    from labctl.spec.addresses import prefix_for

    return prefix_for(nodes)


def decide_mtu(facts: Facts) -> Row:
    """How large a packet may be."""
    interface, mtu = uplink_of(facts.network)
    if interface is None:
        return Row("mtu", "MTU", Verdict.GOOD, f"{mtu}: no way out was seen, the usual is taken")
    if mtu < SMALLEST_MTU:
        return Row("mtu", "MTU", Verdict.GOOD, f"{mtu} on {interface}: small, overlays get 50 less; nodes are told")
    told = "" if mtu == 1500 else "; nodes are told"
    return Row("mtu", "MTU", Verdict.GOOD, f"{mtu} on {interface}{told}")


def decide_hub(facts: Facts) -> Row:
    """Whether images come from Docker Hub, or stand-ins built from Debian packages take their names."""
    title = "Docker Hub"
    mirrors = (facts.engine.info.get("RegistryConfig") or {}).get("Mirrors") or []
    through = f", through {mirrors[0]}" if mirrors else ""
    if facts.hub is None:
        return Row("hub", title, Verdict.GOOD, "not asked")
    if facts.hub:
        said = f" ({facts.hub_said})" if facts.hub_said.startswith("LABCTL_") else ""
        return Row("hub", title, Verdict.GOOD, f"in reach{said}{through}")
    found = f"out of reach ({facts.hub_said}); stand-ins built from Debian packages serve instead{through}"
    return Row("hub", title, Verdict.MADE_UP_FOR, found)


def decide_base_image(facts: Facts) -> Row:
    """Where the image comes from that nodes are built on."""
    title = "base image"
    if facts.engine.has_base_image:
        return Row("base-image", title, Verdict.GOOD, f"{BASE_IMAGE} is there")
    if facts.hub:
        return Row("base-image", title, Verdict.GOOD, f"{BASE_IMAGE} comes from Docker Hub")
    if "debootstrap" in facts.machine.tools:
        return Row("base-image", title, Verdict.MADE_UP_FOR, f"no {BASE_IMAGE} in reach; debootstrap makes one")
    return Row(
        "base-image",
        title,
        Verdict.MEND,
        f"no {BASE_IMAGE} here, no Docker Hub in reach, and no debootstrap to make one",
        f"{install(facts.machine, 'debootstrap')}, or `labctl bundle load` one that was saved elsewhere",
        fixable=can_install(facts.machine),
    )


def decide_cli(facts: Facts) -> Row:
    """Whether tutorials can be typed as they stand, with `docker`."""
    path = facts.machine.tools.get("docker")
    if path:
        return Row("docker-cli", "docker command", Verdict.GOOD, path)
    # Debian 12 and Ubuntu ship it in docker.io, Debian 13 in docker-cli.
    fix = (
        install(facts.machine, "docker-cli")
        if can_install(facts.machine)
        else "https://docs.docker.com/engine/install/"
    )
    found = "not here; labctl needs none, and `labctl docker` runs a node's own"
    return Row("docker-cli", "docker command", Verdict.MADE_UP_FOR, found, fix, fixable=can_install(facts.machine))


def decide_python(facts: Facts) -> Row:
    """The Python that runs this; too old a one never gets here."""
    return Row("python", "Python", Verdict.GOOD, facts.machine.python)


def decide_tools(facts: Facts) -> Row:
    """Programs that are pleasant to have."""
    wanted = ("ssh", "scp", "curl")
    missing = [name for name in wanted if name not in facts.machine.tools]
    if not missing:
        return Row("tools", "optional tools", Verdict.GOOD, ", ".join(wanted))
    found = f"without {', '.join(missing)}; labctl itself needs none"
    return Row("tools", "optional tools", Verdict.GOOD, found)


def decide_state(facts: Facts) -> Row:
    """Whether labctl can keep keys and progress."""
    if not facts.machine.state_error:
        return Row("state", "state folder", Verdict.GOOD, "can be written")
    return Row("state", "state folder", Verdict.MEND, facts.machine.state_error, "LABCTL_STATE names another folder")
