"""Ready means that it was tried: a probe service on every node, asked through the mesh and across the overlay.

the mesh      every node is asked at its own published port until tasks of other nodes have answered
the overlay   every task sends every other task one packet of more than 1,400 bytes, across the ingress network:
              a network of the probe's own would go the same way and cost as much time as all the rest
the registry  each node pulled the probe's image to get this far
encrypted networks, where they are named: the probe is attached to them, and every task sends every other one a packet
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from labctl.concurrent import each, together
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import EngineRefused, LabError, WaitTimeout
from labctl.node import Node
from labctl.swarm import caveats, cluster
from labctl.swarm.state import SwarmView, Task
from labctl.waiting import Pending, stretched, wait_until
from labctl.words import counted

__all__ = ["PROBE_IMAGE", "verify"]

PROBE_IMAGE = "labctl/probe:1"
NAME = "labctl-probe"
PORT = 8080  # inside the probe
# Bytes of ICMP payload; with 28 bytes of headers one packet of 1,450, the most an overlay carries over 1,500.
PACKET = 1422
CONVERGE_LIMIT = 60.0
ANSWER_LIMIT = 20.0
ENCRYPTED_LIMIT = 10.0  # the keys were there before the probe
HOPELESS_LIMIT = 1.0  # the kernel has said that it cannot: the packet only proves it
SMALL_PACKET = 1000  # encryption takes a part of each packet
REQUEST_LIMIT = 2.0  # seconds for one page, or for one packet and its answer
# How many of the other nodes' tasks each node must have heard through the mesh; all, in labs of up to ten.
HEARD_AT_LEAST = 10


def verify(
    manager: Node,
    nodes: Sequence[Node],
    note: Callable[[str], None],
    *,
    limit: float = ANSWER_LIMIT,
    encrypted: Sequence[Json] = (),
) -> str:
    """Try the lab and return a line that says what was tried. Raises LabError with what did not work.

    `limit` is for how many seconds the mesh and the overlay may fail, `encrypted` are the encrypted networks to try.

    The probe service is removed again, also after a failure.
    """
    engine = manager.engine
    _clear(engine)
    with _probe_service(engine, encrypted) as port:
        tasks = _converged(engine, nodes, note)
        by_node = {task.node_id: task for task in tasks}
        addresses = _addresses(engine, tasks)
        ids = dict(each(nodes, lambda node: (node.name, cluster.membership(node).node_id)))
        note(f"asking {counted(len(nodes), 'node')}")
        each(nodes, lambda node: _try_node(node, by_node[ids[node.name]], list(addresses.values()), port, limit))
        for network in encrypted:
            note(f"the encrypted network {network['Name']}")
            there = list(_addresses(engine, tasks, str(network["Id"])).values())
            each(nodes, partial(_try_encrypted, network=network, addresses=there, by_node=by_node, ids=ids))
    count = len(nodes)
    paths = counted(count * (count - 1), "path")
    names = ", ".join(str(network["Name"]) for network in encrypted)
    return (
        f"{count} of {counted(count, 'node')} answered through the mesh, "
        f"{paths} of the overlay carried {PACKET + 28} bytes in one packet"
        f"{f'; encrypted networks carry packets: {names}' if names else ''}"
    )


@contextlib.contextmanager
def _probe_service(engine: Engine, networks: Sequence[Json]) -> Iterator[int]:
    try:
        service = engine.post("/services/create", _service(networks))["ID"]
        yield wait_until("the probe's port", lambda: _published(engine, service), limit=10, pause=0.05)
    finally:
        _clear(engine)


def _service(networks: Sequence[Json]) -> dict[str, object]:
    return {
        "Name": NAME,
        "Labels": {"labctl.probe": "1"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": PROBE_IMAGE, "StopGracePeriod": 10**9},
            "RestartPolicy": {"Condition": "any", "Delay": 2 * 10**8},
            **({"Networks": [{"Target": network["Id"]} for network in networks]} if networks else {}),
        },
        "Mode": {"Global": {}},
        "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": PORT}]},
    }


def _published(engine: Engine, service: str) -> int:
    raw = engine.swarm_object("services", service) or {}
    ports = (raw.get("Endpoint") or {}).get("Ports") or []
    if not ports or not ports[0].get("PublishedPort"):
        raise Pending("no port yet")
    return int(ports[0]["PublishedPort"])


def _converged(engine: Engine, nodes: Sequence[Node], note: Callable[[str], None]) -> list[Task]:
    view = SwarmView(engine)

    def look() -> list[Task]:
        # With those that were given up: one that fails is replaced at once, and the reason goes with it.
        tasks = view.tasks([NAME])
        running = [task for task in tasks if task.desired == task.state == "running"]
        if len({task.node_id for task in running}) >= len(nodes):
            return running
        waiting = {task.state for task in tasks if task.desired == "running" and task not in running}
        reasons = [*sorted(waiting), *sorted({task.reason for task in tasks if task.reason})]
        probes = counted(len(nodes), "probe runs", "probes run")
        raise Pending(f"{len(running)} of {probes}; {'; '.join(reasons) or 'none is planned'}")

    return wait_until(
        "the probe running on every node", look, limit=CONVERGE_LIMIT, pause=0.05, longest_pause=0.3, noted=note
    )


def _addresses(engine: Engine, tasks: Sequence[Task], network: str = "") -> dict[str, str]:
    """The tasks' addresses on the network of that id, by task; on the ingress network where none is given."""
    raw = {one["ID"]: one for one in engine.swarm_objects("tasks", {"service": [NAME]})}
    found: dict[str, str] = {}
    for task in tasks:
        for attached in raw[task.id].get("NetworksAttachments") or []:
            there = attached["Network"]
            if there["ID"] == network if network else there["Spec"].get("Ingress"):
                found[task.id] = attached["Addresses"][0].partition("/")[0]
    return found


def _try_node(node: Node, task: Task, addresses: Sequence[str], port: int, limit: float) -> None:
    others = min(len(addresses), HEARD_AT_LEAST)
    together(
        lambda: _through_the_mesh(node, port, others, limit), lambda: _across_the_overlay(node, task, addresses, limit)
    )


def _through_the_mesh(node: Node, port: int, wanted: int, limit: float) -> None:
    """Ask the node's own published port until `wanted` different tasks have answered."""
    one = stretched(REQUEST_LIMIT)
    # The answers go round the tasks, so twice as many questions as tasks are enough where all is well.
    urls = " ".join([f"http://{node.address}:{port}/"] * (2 * wanted))
    script = (
        f"end=$(($(date +%s) + {stretched(limit):.0f})); heard=; "
        f'while :; do heard=$(printf "%s\\n" "$heard" "$(curl -s -m {one:g} {urls})" | sort -u); '
        f'n=$(printf "%s" "$heard" | grep -c .); [ "$n" -ge {wanted} ] && exit 0; '
        f'[ $(date +%s) -lt $end ] || break; sleep 0.1; done; echo "$n of {wanted} tasks answered"; exit 1'
    )
    # As long as that takes, and one more round of questions that all wait in vain.
    result = node.transport.run(script, limit=limit + 2 * wanted * REQUEST_LIMIT + 5)
    if not result.ok:
        raise LabError(
            f"the routing mesh of {node.name} does not work: port {port}: {result.stdout.strip() or 'no answer'}",
            hint="`labctl doctor` tells what the kernel lacks; `labctl export logs` collects what happened.",
        )


def _try_encrypted(
    node: Node, *, network: Json, addresses: Sequence[str], by_node: Mapping[str, Task], ids: Mapping[str, str]
) -> None:
    """Let the node's task send each other task one packet on an encrypted network. Raises LabError."""
    what = f"the encrypted network {network['Name']}"
    hopeless = caveats.lacks_esp(node)
    limit = HOPELESS_LIMIT if hopeless else ENCRYPTED_LIMIT
    try:
        _across_the_overlay(node, by_node[ids[node.name]], addresses, limit, what=what, packet=SMALL_PACKET)
    except WaitTimeout as lost:
        why = "its kernel has no ESP" if hopeless else "its kernel has ESP, so the packets are dropped elsewhere"
        told = f"{what} does not work: {lost.last_seen}; {why}"
        raise LabError(told, hint=f"For {network['Name']}: {caveats.WAY_OUT}.") from lost


def _across_the_overlay(
    node: Node,
    task: Task,
    addresses: Sequence[str],
    limit: float,
    *,
    what: str = "the overlay",
    packet: int = PACKET,
) -> None:
    """Let the node's task send each other task one packet, of full size where not said."""
    ping = f"ping -c 1 -W {stretched(REQUEST_LIMIT):.0f} -s {packet}"
    script = f"for a in {' '.join(addresses)}; do {ping} $a >/dev/null 2>&1 || echo $a; done"

    def probe() -> None:
        outcome = node.engine.execute(task.container_id, ["timeout", f"{stretched(60):g}", "sh", "-c", script])
        lost = outcome.stdout.decode().split()
        if lost:
            raise Pending(
                f"{len(lost)} of {counted(len(addresses), 'task')} cannot be reached from {node.name}: {lost[0]}"
            )

    wait_until(f"{what} from {node.name}", probe, limit=limit, pause=0.2)


def _clear(engine: Engine) -> None:
    """Remove the probe, whoever left it."""
    with contextlib.suppress(EngineRefused):
        engine.delete(f"/services/{NAME}")
