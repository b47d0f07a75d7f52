"""What an engine has to announce of its overlay networks: where its endpoints are. What it lost is announced again.

The other engines find an endpoint (a task's, or that of the mesh on a node) by an entry that the engine which has it
puts into a table they share. Nobody puts it there a second time: a manager that makes a new swarm of what it has
(`docker swarm init --force-new-cluster`, moby#34987), or an engine that lost part of its networks (moby#52661), keeps
its endpoints and their tasks, and answers to them never arrive. Until now only the engine's new start helped, which
ends its containers. The port for diagnostics takes the entry as well, and no task notices.
"""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Sequence

from labctl.concurrent import each
from labctl.errors import LabctlError
from labctl.lab.gossip import WHERE, overlays_of
from labctl.node import Node

__all__ = ["announce_again", "peer_record"]

TABLE = "overlay_peer_table"  # libnetwork's, drivers/overlay/overlay.go
KEY = re.compile(r"k:`([0-9a-f]+)`")
COMES_WITHIN = 1.0  # seconds from an endpoint's birth to its entry; usually milliseconds


def announce_again(nodes: Sequence[Node]) -> list[str]:
    """Let the engines of the nodes announce the endpoints that their table lacks; returns the names of those that did.

    An engine that cannot is left alone: whoever tries the lab then sees what it misses.
    """

    def announce(node: Node) -> bool:
        with contextlib.suppress(LabctlError):
            return sum(_announce(node, network) for network in overlays_of(node)) > 0
        return False

    return [node.name for node, did in zip(nodes, each(nodes, announce), strict=True) if did]


def peer_record(address: str, mac: str, host: str) -> str:
    """An entry's value in base64: libnetwork's PeerRecord (drivers/overlay/overlay.proto), three short strings."""
    fields = [(number, text.encode()) for number, text in ((1, address), (2, mac), (3, host))]
    return base64.b64encode(b"".join(bytes([number << 3 | 2, len(text)]) + text for number, text in fields)).decode()


def _announce(node: Node, network: str) -> bool:
    lost = _missing(node, network)
    if lost:
        # One that is being made has its entry in a moment, and must not find it there already.
        time.sleep(COMES_WITHIN)
        still = _missing(node, network)
        lost = {key: value for key, value in lost.items() if key in still}
    for key, value in lost.items():
        asked = f"{WHERE}/createentry?nid={network}&tname={TABLE}&key={key}"
        node.transport.run(["curl", "-s", "-G", "-m", "5", asked, "--data-urlencode", f"value={value}"])
    return bool(lost)


def _missing(node: Node, network: str) -> dict[str, str]:
    """The endpoints that the node has on a network and does not announce, each with its entry's value."""
    here = (node.engine.get_json(f"/networks/{network}").get("Containers") or {}).values()
    wanted = {one["EndpointID"]: one for one in here if one.get("IPv4Address") and one.get("MacAddress")}
    said = node.transport.run(["curl", "-s", "-m", "5", f"{WHERE}/gettable?nid={network}&tname={TABLE}"])
    if said.code != 0 or "total entries" not in said.stdout:
        return {}
    announced = set(KEY.findall(said.stdout))
    return {
        key: peer_record(one["IPv4Address"], one["MacAddress"], node.address)
        for key, one in wanted.items()
        if key not in announced
    }
