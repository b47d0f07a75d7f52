"""Connections that the kernel remembers and that would go on to where nothing answers any more.

NAT is decided once for each connection. For TCP that is what is wanted: a task that is leaving finishes
what it began. UDP knows no connection: a client that keeps its source port would be sent to a task that
left for as long as it keeps asking, so those entries are removed. When an endpoint is gone altogether its
TCP entries go too, and whoever still waits hears a reset instead of nothing; IPVS does the same.

Only TCP entries of connections that were never closed are removed. conntrack lists first and deletes then, by
addresses and ports: an entry that lingers after its connection was closed may by then be that of another
connection, to a living task, whose client was given the same port.
"""

from __future__ import annotations

from typing import NamedTuple

from .model import Rules, Stale
from .netns import Namespace, Run

__all__ = ["FlowJanitor", "forget_now"]

# An answer to what was asked just before a task was left still finds its way back for so long; the
# engine stops the task two seconds after it is left, so this is well before.
GRACE = 1.0


UDP_ENTRIES = ("-p udp",)
ALL_ENTRIES = ("-p udp", "-p tcp --state ESTABLISHED", "-p tcp --state SYN_SENT")


class Farewell(NamedTuple):
    """Flows to one address that are to be forgotten."""

    due: float
    namespace: Namespace
    address: str
    entries: tuple[str, ...]  # which of them, in conntrack's words


class FlowJanitor:
    """Forgets flows to tasks that left, a moment after they did."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._farewells: list[Farewell] = []

    def note(self, namespace: Namespace, stale: Stale, now: float) -> None:
        """Remember what became stale in a namespace at `now` (monotonic seconds)."""
        due = now + GRACE
        self._farewells += [Farewell(due, namespace, address, ALL_ENTRIES) for address in stale.gone]
        self._farewells += [
            Farewell(due, namespace, address, UDP_ENTRIES) for address in stale.left if address not in stale.gone
        ]

    def next_due(self) -> float | None:
        """Return when there is something to do next, or None."""
        return min((farewell.due for farewell in self._farewells), default=None)

    def sweep(self, applied: dict[Namespace, Rules], now: float) -> None:
        """Forget the flows that are due. `applied` are the rules in force. Raises CommandError.

        A namespace that is gone took its flows with it, and an address that serves again keeps them.
        """
        due = [farewell for farewell in self._farewells if farewell.due <= now]
        self._farewells = [farewell for farewell in self._farewells if farewell.due > now]
        lines: dict[Namespace, list[str]] = {}
        for farewell in due:
            rules = applied.get(farewell.namespace)
            if rules is not None and farewell.address not in rules.serving():
                commands = [f"-D {entries} -r {farewell.address}" for entries in farewell.entries]
                lines.setdefault(farewell.namespace, []).extend(commands)
        for namespace, commands in lines.items():
            _forget(self._run, commands, namespace)


def forget_now(run: Run, stale: Stale, namespace: Namespace | None) -> None:
    """Forget UDP flows that began before there was a rule for them, in a namespace or on the node itself.

    Raises CommandError.
    """
    commands = [f"-D -p udp -d {vip}" for vip in stale.opened_vips]
    commands += [f"-D -p udp --orig-port-dst {port}" for kind, port in stale.opened_ports if kind == "udp"]
    _forget(run, commands, namespace)


def _forget(run: Run, commands: list[str], namespace: Namespace | None) -> None:
    if not commands:
        return
    run("conntrack", "-R", "-", inside=namespace, script="\n".join(commands) + "\n")
