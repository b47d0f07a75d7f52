"""Nodes that were down or suspended, until the lab serves with them again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from labctl.concurrent import each, gather
from labctl.errors import Abandoned, LabctlError, LabError, SwarmLocked, WaitTimeout
from labctl.events import NodeReady, Steps, Warned
from labctl.lab.addresses import refuse_moved
from labctl.lab.doing import Doing
from labctl.lab.faulty import faults_told, refuse_held_down
from labctl.lab.form import BOOT_LIMIT, settled, wait_engine, wait_for_end_here
from labctl.lab.gossip import wait_missed
from labctl.lab.mending import Ladder
from labctl.lab.restoring import restore_names
from labctl.lab.services import mend_services
from labctl.lab.strays import refuse_strays
from labctl.lab.unlocking import unlock_all
from labctl.node import Node
from labctl.spec import labels
from labctl.swarm import cluster
from labctl.swarm.states import is_orphaned, memberships, state_problems
from labctl.waiting import Pending, stretched, wait_until
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.lab.core import LabCore
    from labctl.swarm import SwarmNode

__all__ = ["WAKE_STEPS", "in_state", "wake"]

WAKE_STEPS = 3  # how many steps `wake` does
ORPHANED = "no manager is in a swarm, so the lab has none", "`labctl up` makes a swarm of all nodes; services are lost."
BESIDE = ("registry", "hub", "edge")  # what stands beside the nodes and must run too


def in_state(nodes: Sequence[Node], state: str, *, also: str) -> list[Node]:
    """Return the nodes that are in the state; those that are in the other one are fine already.

    Raises LabError for a node that is in neither.
    """
    for node in nodes:
        if node.state not in (state, also):
            raise LabError(f"{node.name} is {node.state}, not {state}", hint=f"`labctl start {node.name}` starts it.")
    return [node for node in nodes if node.state == state]


def wake(lab: LabCore, nodes: Sequence[Node], steps: Steps, begin: Callable[[Node], Node]) -> None:
    """Start the nodes, or let them go on, by `begin`, all at once, and try the lab with them.

    The caller holds the lab. Three steps: nodes, swarm, verifying.
    """
    given_up = threading.Event()
    boot = _booting(lab, steps, begin, given_up)
    down = [node for node in nodes if not node.is_running]
    with faults_told(lambda: lab.backend.find(lab.name)), settled(lab.backend):
        with steps.step("Nodes"), ThreadPoolExecutor(1, "labctl-beside") as aside, _set_on_failure(given_up):
            lab.backend.expect(lab.spec, (), down)
            beside = aside.submit(_start_beside, lab, given_up)
            started = each(nodes, boot, stop=given_up.set)
            gather([beside])
            steps.note(tried := counted(len(started), "engine answers", "engines answer"))
        with steps.step("Swarm"):
            names = [node.name for node in started if lab.spec.joins(node.name)]
            lab = lab.refresh()
            if names:
                unlock_all(lab.nodes, lab.context.unlock_key, steps.emit)
                _refuse_given_up(lab.nodes, names)
                manager = _patient_manager(lab, steps.note)
                refuse_strays([node for node in lab.nodes if lab.spec.joins(node.name)], manager)
                known = cluster.wait_ready(manager, names, nodes=lab.nodes, noted=steps.note)
                steps.note(f"{counted(len(names), 'node')} ready")
        with steps.step("Verifying"):
            restore_names(lab.context.engine, lab.record, steps.emit)
            steps.note((_tried(lab, _serving(lab, known), down, steps) if names else "") or tried)


def _booting(
    lab: LabCore, steps: Steps, begin: Callable[[Node], Node], given_up: threading.Event
) -> Callable[[Node], Node]:
    """What starts one node, or waits for one that runs, until its engine answers."""
    doing, others = Doing(steps.note), [node for node in lab.nodes if node.is_running]

    def boot(node: Node) -> Node:
        if node.is_running:
            with doing.at(node.name, "waiting for the engine"):
                _await_running(lab, node, given_up)
            return node
        if node.state != "paused" and lab.spec.joins(node.name):
            wait_missed(node, others, steps.note)
        with doing.at(node.name, "going on" if node.state == "paused" else "booting"):
            version = wait_engine(started := begin(node), lab.backend, given_up=given_up, kept=True)
        steps.emit(NodeReady(node.name, version))
        return started

    return boot


def _await_running(lab: LabCore, node: Node, given_up: threading.Event) -> None:
    """Wait for the engine of a node that was not started now. Raises LabError for one that a fault holds down."""
    refuse_held_down(lab.record, node, BOOT_LIMIT)
    ran = not _is_booting(lab.backend.look(node))
    wait_engine(node, lab.backend, given_up=given_up, kept=True, ran=ran)


def _is_booting(node: Node) -> bool:
    """Whether somebody else has started the node's machine just now: its engine may say nothing for a while."""
    return node.began is not None and time.time() - node.began < stretched(BOOT_LIMIT)


def _tried(lab: LabCore, serving: Sequence[Node], started: Sequence[Node], steps: Steps) -> str:
    """Try the lab and mend what is ill in it; returns what was tried, empty where there is no probe to try it with."""
    names = {node.name for node in started}
    ladder = Ladder(lab.backend, lambda: _patient_manager(lab, steps.note), serving, names, steps.note, steps.emit)
    # Where nobody can read what the lab shall be, it is tried with what there is.
    noted = lab.spec.registry if lab.record.spec is not None else lab.registry_port() is not None
    if lab.spec.swarm == "formed" and noted:
        refuse_moved(lab.record, serving)
        tried = ladder.climb()
        served = mend_services(ladder.manager(), serving, steps.note, steps.emit)
        return f"{tried}; {served}" if served else tried
    ladder.restore_circle()
    ladder.settle(serving)
    return ""


def _start_beside(lab: LabCore, given_up: threading.Event) -> None:
    """Start what stands beside the nodes; the registry of machines has this host's address in their network."""

    def refuse_given_up() -> None:
        if given_up.is_set():
            raise Abandoned("what stands beside the nodes was given up: a node failed")

    engine = lab.context.engine
    for found in engine.containers(labels.of_lab(lab.name)):
        if found["Labels"].get(labels.KIND) in BESIDE and found["State"] != "running":
            for address in _published_at(engine.container(found["Id"])):
                wait_for_end_here(address, refuse_given_up)
            try:
                engine.start(found["Id"])
            except LabctlError as problem:
                if found["Labels"].get(labels.KIND) != "edge":
                    raise
                lab.context.emit(Warned(f"the proxy of published ports does not start: {problem.message}"))


def _published_at(container: Mapping[str, Any] | None) -> set[str]:
    """The addresses of this host that a container has ports at, but for those that are always here."""
    bindings = (container or {}).get("HostConfig", {}).get("PortBindings") or {}
    addresses = {str(one.get("HostIp", "")) for bound in bindings.values() for one in bound or ()}
    return {address for address in addresses if address and not _is_ever_here(ip_address(address))}


def _is_ever_here(address: IPv4Address | IPv6Address) -> bool:
    return address.is_unspecified or address.is_loopback


@contextlib.contextmanager
def _set_on_failure(given_up: threading.Event) -> Iterator[None]:
    """Set the event when the block fails, for the one who works aside."""
    try:
        yield
    except BaseException:
        given_up.set()
        raise


def _refuse_given_up(nodes: Sequence[Node], meant: Collection[str]) -> None:
    """Raise LabError for nodes whose engines have given up their place in the swarm: no wait brings it back.

    One of those that are `meant` may have left it, which the managers notice only after some seconds. Where all
    managers have left, nobody can be waited for.
    """
    running = [node for node in nodes if node.is_running]
    seen = memberships(running)
    told = state_problems(seen)
    if broken := [told[name] for name, one in seen.items() if one.state == "error"]:
        raise LabError("\n".join(broken))
    if is_orphaned(nodes, seen):
        raise LabError(ORPHANED[0], hint=ORPHANED[1])
    if left := [told[name] for name, one in seen.items() if one.state == "inactive" and name in meant]:
        raise LabError("\n".join(left))


def _serving(lab: LabCore, known: Sequence[SwarmNode]) -> list[Node]:
    """The running nodes that the swarm gives tasks to; one that is drained cannot be tried, and need not be."""
    able = {member.hostname for member in known if member.state == "ready" and member.availability == "active"}
    return [node for node in lab.nodes if node.is_running and node.name in able]


def _patient_manager(lab: LabCore, note: Callable[[str], None]) -> Node:
    """A manager that can change the swarm: after a start of all, the election takes a few seconds."""

    hint: str | None = None

    def look() -> Node:
        nonlocal hint
        try:
            return lab.manager(limit=cluster.DECISION_LIMIT)
        except SwarmLocked:
            raise
        except LabctlError as problem:
            hint = problem.hint
            raise Pending(problem.message) from None

    try:
        return wait_until("the managers agreeing on a leader", look, limit=60, pause=0.2, noted=note)
    except WaitTimeout as timeout:
        timeout.hint = timeout.hint or hint  # an engine that has just started may say what passes
        raise
