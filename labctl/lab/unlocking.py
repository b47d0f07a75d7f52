"""Managers that are locked after a restart (`docker swarm update --autolock`): unlocked with the swarm's key.

The key goes to the engine's API. It is in no command on a node, no log and no event.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.concurrent import each
from labctl.errors import EngineRefused, LabctlError, LabError, SwarmLocked
from labctl.events import CommandShown, Emit, Noted
from labctl.node import Node
from labctl.swarm import cluster
from labctl.swarm.cluster import Membership
from labctl.swarm.states import memberships
from labctl.waiting import Pending, wait_until

__all__ = ["unlock", "unlock_all"]

UNLOCKED_LIMIT = 30.0


def unlock_all(nodes: Sequence[Node], key: str | None, emit: Emit) -> list[Node]:
    """Unlock the running nodes that are locked, and return them; see `unlock`."""
    running = [node for node in nodes if node.is_running]
    seen = memberships(running)
    locked = [node for node in running if _is_locked(seen.get(node.name))]
    unlock(locked, [node for node in running if node not in locked], key, emit)
    return locked


def unlock(locked: Sequence[Node], others: Sequence[Node], key: str | None, emit: Emit) -> None:
    """Unlock these nodes with the key, or with that which a working manager among the others tells.

    Raises SwarmLocked where there is no key, LabError for one that does not fit.
    """
    if not locked:
        return
    names = [node.name for node in locked]
    source = "the key that was given"
    if key is None:
        key, source = _key_of(others)
        if not key:
            raise SwarmLocked(names)
    given = key
    each(locked, lambda node: _unlock(node, given))
    emit(Noted(f"{', '.join(names)}: unlocked with {source}"))


def _is_locked(seen: Membership | None) -> bool:
    return seen is not None and seen.state == "locked"


def _key_of(others: Sequence[Node]) -> tuple[str | None, str]:
    """The swarm's key as a manager that works tells it, and whose word it is."""
    if not others:
        return None, ""
    try:
        manager = cluster.working_manager(others, limit=cluster.DECISION_LIMIT)
        return manager.engine.get_json("/swarm/unlockkey").get("UnlockKey") or None, f"the key that {manager.name} has"
    except LabctlError:
        return None, ""


def _unlock(node: Node, key: str) -> None:
    node.show(CommandShown(node.name, "docker swarm unlock"))
    try:
        node.engine.post("/swarm/unlock", {"UnlockKey": key})
    except EngineRefused as refused:
        if "not locked" in refused.message:
            return
        said = refused.message.replace(key, "***").rpartition("desc = ")[2]
        raise LabError(
            f"{node.name} stays locked: {said}",
            hint="`docker swarm unlock-key` on a manager that works prints the key; "
            f"`labctl ssh {node.name} docker swarm unlock` asks for it.",
        ) from None

    def unlocked() -> None:
        seen = cluster.membership(node)
        if seen.state == "locked":
            raise Pending(f"{node.name} is locked")

    wait_until(f"{node.name} being unlocked", unlocked, limit=UNLOCKED_LIMIT)
