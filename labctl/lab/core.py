"""A lab that stands: what it is, its nodes, and holding it for a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from labctl.backend.base import Backend, LabRecord
from labctl.errors import LabctlError, LabError, NotFoundError
from labctl.events import Emit, Noted
from labctl.lab.context import Context
from labctl.lab.standing import gone_members, gone_nodes, refused_as_empty
from labctl.node import Node
from labctl.owner import refuse_others
from labctl.spec import expand, labels, select

if TYPE_CHECKING:
    from labctl.spec import LabSpec, Role
    from labctl.swarm import SwarmView

__all__ = ["LabCore"]


@dataclass
class LabCore:
    """What the verbs of a Lab stand on; see there. `made_here` says that this object's `up` made it."""

    context: Context
    backend: Backend
    record: LabRecord
    made_here: bool = field(default=False, kw_only=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {len(self.nodes)} nodes>"

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.record.name

    @property
    def spec(self) -> LabSpec:
        """What the lab shall be; rebuilt from the nodes where the label is lost."""
        if self.record.spec is not None:
            return self.record.spec
        from labctl.spec import LabSpec, NodeSpec

        nodes = tuple(NodeSpec(name=node.name, role=node.role) for node in self.nodes)
        managed = any(node.is_manager for node in self.nodes)
        return LabSpec(name=self.name, nodes=nodes) if managed else LabSpec(name=self.name, workers=len(nodes))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, managers first, running or not."""
        return self.record.nodes

    def refresh(self) -> Self:
        """Look again, and return this lab. Raises NotFoundError when it is gone."""
        from labctl.lab.finding import find_lab

        found = find_lab(self.context, self.name)
        self.backend, self.record = found.backend, found.record
        return self

    def node(self, name: str) -> Node:
        """The node of that name or short name. Raises NotFoundError with the nearest, LabError for one that is gone."""
        return self._present([expand(name, [*self._roles(), *self.gone], manager=self._first_manager())])[0]

    def select(self, pattern: str) -> list[Node]:
        """The nodes that a filter means: names, @all, @manager, @worker:0."""
        try:
            return self._present(select(pattern, self._roles(), manager=self._first_manager()))
        except NotFoundError:
            return self._present(select(pattern, {**self._roles(), **self.gone}))

    @property
    def gone(self) -> dict[str, Role]:
        """The nodes that the lab shall have and whose machines somebody has removed, with their roles."""
        return {node.name: node.role for node in gone_nodes(self.record)}

    def _roles(self) -> dict[str, Role]:
        return {node.name: node.role for node in self.nodes}

    def _first_manager(self) -> str | None:
        """The manager that comes first in the spec, whether its machine is there or not: the nodes call it manager."""
        roles = {**self._roles(), **self.gone}
        known = [*(node.name for node in self.spec.all_nodes()), *roles]
        return next((name for name in known if roles.get(name) == "manager"), None)

    def _present(self, names: Sequence[str]) -> list[Node]:
        found = {node.name: node for node in self.nodes}
        for name in names:
            if name not in found:
                raise LabError(
                    f"node {name} is gone: its machine was removed",
                    hint=f"`labctl up` recreates it; `labctl node rm {name}` takes it out of the lab.",
                )
        return [found[name] for name in names]

    def manager(self, *, limit: float | None = None) -> Node:
        """A manager that can change the swarm. Raises QuorumLost or LabError.

        Without a `limit` in seconds, managers that may be choosing a leader are waited for, and that is told.
        """
        from labctl.swarm import cluster

        if empty := refused_as_empty(self.record):
            raise empty

        def working(nodes: Sequence[Node]) -> Node:
            return cluster.working_manager(
                nodes,
                limit=limit,
                noted=lambda text: self.context.emit(Noted(text)),
                gone=gone_members(self.record),
            )

        try:
            return working(self.nodes)
        except LabError:
            # Others may have stopped or started nodes since they were looked up.
            now = self.backend.find(self.name)
            if now is None or [node.state for node in now.nodes] == [node.state for node in self.nodes]:
                raise
            return working(now.nodes)

    def swarm(self, *, limit: float | None = None) -> SwarmView:
        """The swarm as such a manager sees it."""
        from labctl.swarm import SwarmView

        return SwarmView(self.manager(limit=limit).engine)

    def registry_port(self) -> int | None:
        """Where 127.0.0.1 reaches the lab's registry; None when it has none that runs."""
        for found in self.context.engine.containers(labels.of_lab(self.name, "registry"), everything=False):
            return labels.port_in(found["Labels"]) or None
        return None

    @contextmanager
    def held(self, *, others: bool = False, verb: str = "") -> Iterator[Self]:
        """Hold the lab for one change, and give it as it is now: another command may have changed it.

        Raises UsageError for somebody else's lab, unless `others`; NotFoundError when it is gone.
        """
        if not others:
            refuse_others(self.name, self.record.owner, verb=verb)  # at once: nobody waits for what is refused
        with self.context.held(self.name):
            record = self.backend.find(self.name)
            if record is None:
                raise NotFoundError("lab", self.name, None, hint="Another command has removed it meanwhile.")
            if not others:
                refuse_others(self.name, record.owner, verb=verb)
            yield replace(self, record=record)

    def as_now(self, nodes: Sequence[Node]) -> list[Node]:
        """These nodes as the lab now has them. Raises LabError for one that was removed meanwhile."""
        return self._present([node.name for node in nodes])

    def _again(self, nodes: Sequence[Node]) -> list[Node]:
        """These nodes as they were looked up last; one that went with somebody else's verb as it was."""
        known = {node.name: node for node in self.nodes}
        return [known.get(node.name, node) for node in nodes]

    @contextmanager
    def _changing(self, on_event: Emit | None, unlock_key: str | None = None) -> Iterator[Self]:
        """Hold the lab for a verb, and let the properties be what it is when the verb ends, well or not."""
        with self.heard_by(on_event, unlock_key).held() as lab:
            try:
                yield lab
            finally:
                with suppress(LabctlError):  # what the verb itself raises is the one to tell
                    self.record = self.backend.find(self.name) or self.record

    def heard_by(self, on_event: Emit | None, unlock_key: str | None = None) -> Self:
        """This lab with another one to hear its progress, and with the swarm's key; as it is where neither is given."""
        if on_event is None and unlock_key is None:
            return self
        key = unlock_key or self.context.unlock_key
        context = replace(self.context, emit=on_event or self.context.emit, unlock_key=key)
        return replace(self, context=context, backend=context.backend(self.backend.name))

    def _end_faults(self, nodes: Sequence[Node]) -> None:
        """End the faults that this host would heal: these nodes are what somebody makes them now, and stay so."""
        from labctl.faults import notes

        notes.end(self.name, [node.name for node in nodes])

    def _seen(self, on_event: Emit | None = None) -> Self:
        """This lab as it stands, beside this object, whosever it is."""
        return replace(self.heard_by(on_event)).refresh()

    def _now(self, on_event: Emit | None) -> Self:
        """This lab as it stands, beside this object. Raises UsageError for somebody else's."""
        lab = self._seen(on_event)
        refuse_others(lab.name, lab.record.owner)
        return lab
