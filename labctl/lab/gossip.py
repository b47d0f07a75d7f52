"""The engines' circle: which of each other they have heard of. Before that, no task of one reaches one of the other.

An engine that starts knocks at the managers once, and next a minute later: a worker that is up before its manager
stays alone for so long, while the swarm has it as ready. The port for diagnostics tells, and lets it knock again.
An engine opens that port when it reads its configuration again: the mesh agent has it do so, and where the kernel's
own IPVS serves there is no agent.

One that is back hears of what changes from then on. What was there before comes with an exchange of all that both
know, and an engine begins one with one other every half a minute: until then tasks are missing in its names and its
mesh. An engine that enters a network, also one that it is in, exchanges with all of the network at once.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence

from labctl.backend.daemon import DIAGNOSTIC_PORT
from labctl.concurrent import each
from labctl.errors import LabctlError, WaitTimeout
from labctl.node import Node
from labctl.swarm.caveats import ingress_network
from labctl.waiting import Pending, wait_until
from labctl.words import counted

__all__ = [
    "ASK_CIRCLE",
    "alone_among",
    "exchange",
    "is_outside",
    "meet",
    "overlays_of",
    "shows_old_circle",
    "wait_missed",
]

LIMIT = 8.0
WHERE = f"http://127.0.0.1:{DIAGNOSTIC_PORT}"
ASK_CIRCLE = ["curl", "-s", "-m", "2", f"{WHERE}/clusterpeers"]
REFUSED = 7  # curl's exit code for a port that nobody listens at
LOOKS_AT_SHUT = 10  # how often a port is looked at that stays shut: a node made by an older labctl has none
READ_AGAIN = ("pkill", "-HUP", "-x", "dockerd")  # an engine then opens the port that its configuration names
OPENS_WITHIN = 0.3  # seconds
# Seconds within which engines miss one that was killed: about five in a small swarm, more where many must agree.
MISSED_WITHIN = 20.0
ENTERS_WITHIN = 2.0  # seconds; an engine that has just joined is in the circle in a tenth
ANSWERED = "total entries"  # begins a list, also an empty one
PEER = re.compile(r"([0-9a-f]+) -> ([0-9a-fA-F.:]+)")


class _Shut(Exception):
    """The engine shows nothing of its circle."""


def meet(manager: Node, nodes: Sequence[Node], note: Callable[[str], None]) -> list[Node]:
    """Let the engines of the nodes hear of each other, and return those that after some seconds still had not."""
    if len(nodes) < 2:
        return []
    ingress = ingress_network(manager.engine)
    if ingress is None:
        return []  # somebody has removed it: there is nothing to ask for
    network = str(ingress["Id"])
    left = each(nodes, lambda node: _has_met(node, nodes, network, note))
    return [node for node, met in zip(nodes, left, strict=True) if not met]


def shows_old_circle(node: Node) -> bool:
    """Whether a node that is in no swarm still shows the circle of one that it has left.

    Its engine shows that one for ever, also from within another swarm, until it starts over (seen on 26.1.5): the mesh
    agent, which reads there, would serve nothing. An engine that has just left shuts the port, and one that is too
    busy to answer shows nothing either: the first is let open it, of the other the worse is taken for true.
    """
    said = node.transport.run(ASK_CIRCLE)
    if said.code == REFUSED:
        node.transport.run([*READ_AGAIN])
        time.sleep(OPENS_WITHIN)
        said = node.transport.run(ASK_CIRCLE)
    return said.code not in (0, REFUSED) or PEER.search(said.stdout) is not None


def alone_among(nodes: Sequence[Node]) -> list[Node]:
    """Which of these nodes, all of them in the swarm, have an engine that does not even know itself there.

    That may become of one that left a swarm and joined again by hand, and of one that was killed and came back before
    the others had missed it (`wait_missed`; both seen on 26.1.5): its node is ready, gets tasks, and serves no
    published port, until the engine starts over. One that shows nothing of its circle is believed well, and one that
    has just joined is looked at again.
    """

    def outside(nodes: Sequence[Node]) -> list[Node]:
        return [node for node, one in zip(nodes, each(nodes, _circle_of), strict=True) if is_outside(node, one)]

    if suspects := outside(nodes):
        time.sleep(ENTERS_WITHIN)
    return outside(suspects)


def _circle_of(node: Node) -> str:
    with contextlib.suppress(LabctlError):
        return node.transport.run(ASK_CIRCLE).stdout
    return ""  # it has stopped meanwhile


def is_outside(node: Node, circle: str) -> bool:
    """Whether the node's engine is not in the circle that it shows; `circle` is its answer to ASK_CIRCLE."""
    return ANSWERED in circle and node.address not in {address for _, address in PEER.findall(circle)}


def wait_missed(node: Node, others: Sequence[Node], note: Callable[[str], None]) -> None:
    """Wait until the engines of the running `others` have missed a node that is down and is about to start.

    One that was stopped in order has said goodbye. One that was killed is alive to the others for some seconds, under
    the id that it had; back within these, it hears of itself under the old id, takes that for its successor at the same
    address, and strikes itself off its list (libnetwork's purgeReincarnation; seen on 26.1.5 after one of three kills).
    After MISSED_WITHIN seconds the node starts all the same.
    """

    def look() -> None:
        circles = each([other for other in others if other.is_running], _circle_of)
        if any(node.address in {address for _, address in PEER.findall(circle)} for circle in circles):
            raise Pending(f"other engines have not missed {node.name} yet")

    with contextlib.suppress(WaitTimeout):
        wait_until(f"the others missing {node.name}", look, limit=MISSED_WITHIN, pause=0.5, noted=note)


def exchange(nodes: Sequence[Node]) -> None:
    """Let the engines of the nodes exchange with all others what they know of the tasks on their overlay networks.

    No task is touched by it. An engine that cannot is left alone: whoever tries the lab then sees what it misses.
    """
    known = each(nodes, _networks)
    for network in dict.fromkeys(network for peers in known for network in peers):
        inside = [(node, peers[network]) for node, peers in zip(nodes, known, strict=True) if network in peers]
        for node, times in _entries(inside):
            with contextlib.suppress(LabctlError):
                _enter_again(node, network, times)


def _entries(inside: Sequence[tuple[Node, set[str]]]) -> list[tuple[Node, int]]:
    """Which nodes enter a network again, how often, one after another; `inside` has those to exchange, and their peers.

    Two that exchange with each other at the same moment both wait for an answer that each has had, for half a minute,
    and with nobody else meanwhile (seen on 26.1.5). So one enters for all: first it learns what the others know, and
    the second time it tells them. Those that it has not heard of enter by themselves in between.
    """
    first, heard = max(inside, key=lambda one: len(one[1]))
    unheard = [(node, 1) for node, _ in inside if node.address not in heard]
    if len(inside) == 1:
        return [(first, 1)]
    return [(first, 1), *unheard, (first, 1)] if unheard else [(first, 2)]


def overlays_of(node: Node) -> list[str]:
    """The ids of the swarm's overlay networks that the node's engine knows."""
    found = node.engine.networks()
    return [str(one["Id"]) for one in found if one.get("Driver") == "overlay" and one.get("Scope") == "swarm"]


def _networks(node: Node) -> dict[str, set[str]]:
    """The overlay networks that the node is in, each with the addresses of the engines it knows there.

    A manager knows of others too. None for one that cannot tell.
    """
    found: dict[str, set[str]] = {}
    with contextlib.suppress(LabctlError):
        for network in overlays_of(node):
            said = node.transport.run(["curl", "-s", "-m", "2", f"{WHERE}/networkpeers?nid={network}"])
            peers = {address for _, address in PEER.findall(said.stdout)}
            if node.address in peers:
                found[network] = peers
    return found


def _enter_again(node: Node, network: str, times: int) -> None:
    node.transport.run(["curl", "-s", "-m", "10", *[f"{WHERE}/joinnetwork?nid={network}"] * times])


def _has_met(node: Node, nodes: Sequence[Node], ingress: str, note: Callable[[str], None]) -> bool:
    wanted = {other.address for other in nodes}
    shut = 0

    def look() -> None:
        nonlocal shut
        try:
            missing = wanted - _known(node, ingress)
        except _Shut:
            shut += 1
            if shut == 1:
                node.transport.run([*READ_AGAIN])
            if shut > LOOKS_AT_SHUT:
                raise
            raise Pending(f"{node.name} opens its engine's port for diagnostics") from None
        if missing:
            node.transport.run(["curl", "-s", "-m", "5", f"{WHERE}/join?members={','.join(sorted(missing))}"])
            raise Pending(f"{node.name} has not heard of {len(missing)} of {counted(len(nodes), 'engine')} yet")

    try:
        wait_until(f"{node.name} hearing of the others", look, limit=LIMIT, pause=0.2, noted=note)
    except (WaitTimeout, _Shut):
        return False
    return True


def _known(node: Node, ingress: str) -> set[str]:
    """The addresses of the engines that the node's own knows, and knows to be on the ingress network. Raises _Shut."""
    said = node.transport.run(["curl", "-s", "-m", "2", f"{WHERE}/clusterpeers", f"{WHERE}/networkpeers?nid={ingress}"])
    if said.code == REFUSED:
        raise _Shut
    # An engine that was killed and is back has another id: only one that both lists name is there now.
    listed = Counter(PEER.findall(said.stdout))
    return {address for (_, address), times in listed.items() if times > 1}
