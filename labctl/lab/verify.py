"""Ready means that it was tried: a probe service on every node, asked through the mesh and across the overlay.

the mesh      every node is asked at its own published port until tasks of other nodes have answered
the overlay   every task sends every other task one packet of more than 1,400 bytes, across the ingress network:
              a network of the probe's own would go the same way and cost as much time as all the rest
the registry  each node pulled the probe's image to get this far
encrypted networks, where they are named: the probe is attached to them, and every task sends every other one a packet
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from labctl.concurrent import each, together
from labctl.engine import Engine
from labctl.engine.client import Json
from labctl.errors import EngineRefused, LabctlError, LabError, SeveralErrors, WaitTimeout
from labctl.follower.managers import PROBE
from labctl.node import Node
from labctl.swarm import caveats, cluster
from labctl.swarm.state import SwarmView, Task
from labctl.waiting import Pending, stretched, wait_until
from labctl.words import counted

__all__ = ["ANSWER_LIMIT", "PROBE_IMAGE", "NotServing", "paths_of", "verify"]

PROBE_IMAGE = "labctl/probe:1"
NAME = "labctl-probe"  # and a mark behind it: a service of that name may be the user's
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
# A start ends containers, and a fault that has just ended needs none.
APART = "after `labctl fault`, engines that were cut off may take up to a minute to meet again"


class NotServing(LabError):
    """A part of the lab was tried and does not serve. `paths` says where: (the node that asked, the one not heard).

    Both are the same node where its own part fails, or where nothing more is known. `seen` is what the last try saw.
    """

    def __init__(
        self, message: str, paths: Iterable[tuple[str, str]], *, seen: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.paths = frozenset(paths)
        self.seen = seen or message


def paths_of(problem: LabctlError) -> frozenset[tuple[str, str]]:
    """The paths that do not serve, of all problems in it; none for a problem of another kind."""
    if isinstance(problem, SeveralErrors):
        return frozenset[tuple[str, str]]().union(*(paths_of(one) for one in problem.errors))
    return problem.paths if isinstance(problem, NotServing) else frozenset()


@dataclass(frozen=True)
class _Probe:
    """A node's task of the probe, and its address on the ingress network."""

    node: Node
    task: Task
    address: str

    @property
    def hostname(self) -> str:
        """What the task answers: its container's host name."""
        return self.task.container_id[:12]


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

    The probe service is removed again, also after a failure, and so is one of a try that was killed: the caller holds
    the lab, so nobody else tries it now.
    """
    if not nodes:
        return "no node takes tasks, so nothing was tried"
    engine = manager.engine
    _clear(engine)
    with _probe_service(engine, encrypted) as (service, port):
        ids = dict(each(nodes, lambda node: (node.name, cluster.membership(node).node_id)))
        tasks = {task.node_id: task for task in _converged(engine, service, ids, note)}
        addresses = _addresses(engine, service, list(tasks.values()))
        # A node whose task got no address is tried all the same: it cannot be reached.
        probes = [_Probe(node, tasks[ids[node.name]], addresses.get(tasks[ids[node.name]].id, "")) for node in nodes]
        note(f"asking {counted(len(nodes), 'node')}")
        each(probes, lambda probe: _try_node(probe, probes, port, limit))
        for network in encrypted:
            note(f"the encrypted network {network['Name']}")
            there = _addresses(engine, service, list(tasks.values()), str(network["Id"]))
            attached = [replace(probe, address=there.get(probe.task.id, "")) for probe in probes]
            each(attached, partial(_try_encrypted, probes=attached, network=network))
    count = len(nodes)
    paths = counted(count * (count - 1), "path")
    names = ", ".join(str(network["Name"]) for network in encrypted)
    return (
        f"{count} of {counted(count, 'node')} answered through the mesh, "
        f"{paths} of the overlay carried {PACKET + 28} bytes in one packet"
        f"{f'; encrypted networks carry packets: {names}' if names else ''}"
    )


@contextlib.contextmanager
def _probe_service(engine: Engine, networks: Sequence[Json]) -> Iterator[tuple[str, int]]:
    try:
        service = str(engine.post("/services/create", _service(networks))["ID"])
        yield service, wait_until("the probe's port", lambda: _published(engine, service), limit=10, pause=0.05)
    finally:
        _clear(engine)


def _service(networks: Sequence[Json]) -> dict[str, object]:
    return {
        "Name": f"{NAME}-{secrets.token_hex(3)}",
        "Labels": {PROBE: "1"},
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


def _converged(engine: Engine, service: str, ids: Mapping[str, str], note: Callable[[str], None]) -> list[Task]:
    """Wait until the probe runs on every node of these ids (by name) and return its tasks."""
    view = SwarmView(engine)
    missing: list[str] = list(ids)

    def look() -> list[Task]:
        nonlocal missing
        # With those that were given up: one that fails is replaced at once, and the reason goes with it.
        tasks = view.tasks([service])
        running = [task for task in tasks if task.desired == task.state == "running"]
        there = {task.node_id for task in running}
        missing = [name for name, id_ in ids.items() if id_ not in there]
        if not missing:
            return running
        waiting = {task.state for task in tasks if task.desired == "running" and task not in running}
        reasons = [*sorted(waiting), *sorted({task.reason for task in tasks if task.reason})]
        probes = counted(len(ids), "probe runs", "probes run")
        raise Pending(f"{len(running)} of {probes}; {'; '.join(reasons) or 'none is planned'}")

    what = "the probe running on every node"
    try:
        return wait_until(what, look, limit=CONVERGE_LIMIT, pause=0.05, longest_pause=0.3, noted=note)
    except WaitTimeout as timeout:
        where = f" (not on {', '.join(missing[:5])})" if len(missing) < len(ids) else ""
        raise NotServing(f"{timeout.message}{where}", [(name, name) for name in missing]) from timeout


def _addresses(engine: Engine, service: str, tasks: Sequence[Task], network: str = "") -> dict[str, str]:
    """The tasks' addresses on the network of that id, by task; on the ingress network where none is given."""
    raw = {one["ID"]: one for one in engine.swarm_objects("tasks", {"service": [service]})}
    found: dict[str, str] = {}
    for task in tasks:
        for attached in raw[task.id].get("NetworksAttachments") or []:
            there = attached["Network"]
            if there["ID"] == network if network else there["Spec"].get("Ingress"):
                found[task.id] = attached["Addresses"][0].partition("/")[0]
    return found


def _try_node(probe: _Probe, probes: Sequence[_Probe], port: int, limit: float) -> None:
    together(
        lambda: _through_the_mesh(probe.node, probes, port, limit), lambda: _across_the_overlay(probe, probes, limit)
    )


def _through_the_mesh(node: Node, probes: Sequence[_Probe], port: int, limit: float) -> None:
    """Ask the node's own published port until HEARD_AT_LEAST different tasks have answered, or all there are."""
    wanted = min(len(probes), HEARD_AT_LEAST)
    one = stretched(REQUEST_LIMIT)
    # The answers go round the tasks, so twice as many questions as tasks are enough where all is well.
    urls = " ".join([f"http://{node.address}:{port}/"] * (2 * wanted))
    script = (
        f"end=$(($(date +%s) + {stretched(limit):.0f})); heard=; "
        f'while :; do heard=$(printf "%s\\n" "$heard" "$(curl -s -m {one:g} {urls})" | sort -u); '
        f'n=$(printf "%s" "$heard" | grep -c .); [ "$n" -ge {wanted} ] && exit 0; '
        f'[ $(date +%s) -lt $end ] || break; sleep 0.1; done; printf "%s" "$heard"; exit 1'
    )
    # As long as that takes, and one more round of questions that all wait in vain.
    result = node.transport.run(script, limit=limit + 2 * wanted * REQUEST_LIMIT + 5)
    if not result.ok:
        heard = set(result.stdout.split())
        # Where not all need to be heard, those that were not may be well.
        missed = [probe.node.name for probe in probes if probe.hostname not in heard and len(probes) == wanted]
        said = f"{len(heard)} of {wanted} tasks answered" if heard else "no answer"
        raise NotServing(
            f"the routing mesh of {node.name} does not work: port {port}: {said}",
            [(node.name, other) for other in missed] if heard and missed else [(node.name, node.name)],
            hint=f"`labctl restart {node.name}` starts the node over, with its containers; `labctl doctor` tells what "
            f"the kernel lacks; {APART}.",
        )


def _try_encrypted(probe: _Probe, *, probes: Sequence[_Probe], network: Json) -> None:
    """Let the node's task send each other task one packet on an encrypted network. Raises LabError.

    It is no NotServing: no repair of an engine gives a kernel ESP.
    """
    what = f"the encrypted network {network['Name']}"
    hopeless = caveats.lacks_esp(probe.node)
    limit = HOPELESS_LIMIT if hopeless else ENCRYPTED_LIMIT
    try:
        _across_the_overlay(probe, probes, limit, what=what, packet=SMALL_PACKET)
    except NotServing as lost:
        why = "its kernel has no ESP" if hopeless else "its kernel has ESP, so the packets are dropped elsewhere"
        raise LabError(
            f"{what} does not work: {lost.seen}; {why}",
            hint=f"For {network['Name']}: {caveats.WAY_OUT}.",
        ) from lost


def _across_the_overlay(
    probe: _Probe, probes: Sequence[_Probe], limit: float, *, what: str = "the overlay", packet: int = PACKET
) -> None:
    """Let the node's task send each other task one packet with so many bytes of payload (default: a full-size one)."""
    name = probe.node.name
    at = {other.address: other.node.name for other in probes}
    ping = f"ping -c 1 -W {stretched(REQUEST_LIMIT):.0f} -s {packet}"
    script = f"for a in {' '.join(filter(None, at))}; do {ping} $a >/dev/null 2>&1 || echo $a; done"
    lost: list[str] = []

    def look() -> None:
        nonlocal lost
        outcome = probe.node.engine.execute(
            probe.task.container_id, ["timeout", f"{stretched(60):g}", "sh", "-c", script]
        )
        lost = [address for address in outcome.stdout.decode().split() if address in at]
        if lost:
            raise Pending(f"{len(lost)} of {counted(len(probes), 'task')} cannot be reached from {name}: {lost[0]}")

    try:
        wait_until(f"{what} from {name}", look, limit=limit, pause=0.2)
    except WaitTimeout as timeout:
        raise NotServing(
            timeout.message, [(name, at[address]) for address in lost], seen=timeout.last_seen
        ) from timeout


def _clear(engine: Engine) -> None:
    """Remove the probe, whoever left it; what bears no mark of ours is somebody's own."""
    with contextlib.suppress(EngineRefused):
        for left in engine.swarm_objects("services", {"label": [PROBE]}):
            engine.delete(f"/services/{left['ID']}")
