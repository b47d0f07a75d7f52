"""A lab that stands: find it, ask its nodes, stop, start and remove it.

What changes a lab is imported where it is used: whoever only looks (`ssh`, completion) need not wait for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labctl.backend.base import Backend, LabRecord
from labctl.concurrent import each
from labctl.errors import LabError, NotFoundError, UsageError
from labctl.events import Noted, Steps
from labctl.lab.context import Context
from labctl.lab.standing import gone_members, gone_nodes, refuse_without_keys, refused_as_empty
from labctl.node import Node
from labctl.owner import refuse_others
from labctl.spec import expand, labels, select
from labctl.state import drop_lab_dir, labs_of_machines

if TYPE_CHECKING:
    from labctl.faults import Injected, Scene
    from labctl.spec import LabSpec, NodeSpec, Role
    from labctl.swarm import SwarmView

__all__ = ["Lab", "find_lab", "forget", "forget_gone", "lab_names"]


def lab_names(context: Context) -> list[str]:
    """The names of all labs of this host's engine."""
    return sorted({*context.backend("dind").labs(), *labs_of_machines()})


def find_lab(context: Context, name: str | None = None) -> Lab:
    """Return the lab of that name; where none is said, `lab`, or the only one there is.

    Where no name is said, your own labs come before those of others. Raises NotFoundError with the nearest name of
    yours, UsageError when several could be meant.
    """
    lab = _find(context, name or "lab")
    if lab is not None and (name is not None or lab.record.owner.is_you):
        return lab
    labs = [found for one in lab_names(context) if (found := _find(context, one)) is not None]
    yours = [found for found in labs if found.record.owner.is_you]
    # What others have is not what was meant; `labctl labs` lists it.
    known = [found.name for found in labs if found.record.owner.may_be_you]
    if name is None:
        labs = yours or labs
        known = [found.name for found in labs]
        if "lab" in known or len(known) == 1:
            return labs[known.index("lab") if "lab" in known else 0]
    if name is None and known:
        raise UsageError(
            f"there are several labs: {', '.join(known)}", hint="`-l NAME` or LABCTL_LAB says which one is meant."
        )
    # Those of others are not offered: it is not one of theirs that is meant.
    offered = None if labs and not known else known
    raise NotFoundError("lab", name or "lab", offered, hint="`labctl up` makes one, `labctl labs` lists them.")


def _find(context: Context, name: str) -> Lab | None:
    backend = context.holding(name)
    record = backend.find(name)
    return None if record is None else Lab(context, backend, record)


def forget_gone(context: Context, name: str) -> None:
    """Remove what a lab that is not there left on disk; one that an `up` is just making is there."""
    with context.held(name):
        if _find(context, name) is None:
            forget(name)


def forget(name: str) -> None:
    """Remove what a lab that is gone left on disk: keys, and its Docker context."""
    from labctl.engine import contexts

    contexts.remove(name)
    drop_lab_dir(name)


@dataclass
class Lab:
    """A lab as it stood when it was found. `refresh` looks again."""

    context: Context
    backend: Backend
    record: LabRecord

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

    def refresh(self) -> Lab:
        """Look again. Raises NotFoundError when the lab is gone."""
        return find_lab(self.context, self.name)

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
                    hint=f"`labctl up` makes it anew; `labctl node rm {name}` takes it out of the lab.",
                )
        return [found[name] for name in names]

    def manager(self, *, limit: float | None = None) -> Node:
        """A manager that can change the swarm. Raises QuorumLost or LabError.

        Without a `limit` in seconds, managers that may be choosing a leader are waited for, and that is told.
        """
        from labctl.swarm import cluster

        if empty := refused_as_empty(self.record):
            raise empty
        return cluster.working_manager(
            self.nodes,
            limit=limit,
            noted=lambda text: self.context.emit(Noted(text)),
            gone=gone_members(self.record),
        )

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
    def held(self, *, others: bool = False, verb: str = "") -> Iterator[Lab]:
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

    def scene(self) -> Scene:
        """The lab as faults see it, as it is now."""
        from labctl.faults import Scene

        lab = self.refresh()
        sizes = {spec.name: spec.memory_bytes for spec in lab.spec.all_nodes()}
        return Scene(
            lab.name,
            lab.record.subnet or lab.spec.subnet or "",
            lab.nodes,
            lab.backend,
            lab.swarm,
            lab.tried_with,
            lambda node: sizes.get(node.name),
            lab.context.emit,
        )

    def tried_with(self, names: Sequence[str]) -> None:
        """Try the lab with nodes that have come back, and mend what they missed."""
        lab = self.refresh()
        lab.start([node for node in lab.nodes if node.name in names])

    def fault(
        self, kind: str, on: str | Sequence[str], *, seconds: float | None = None, sure: bool = False, **options: str
    ) -> Injected:
        """A fault for as long as a `with` block runs: on nodes (names and filters) or, by its kind, on services.

        With `seconds` it also heals by itself, should this process die. Raises NotFoundError for no such kind, node or
        service, UsageError for an option that the kind has not, or when managers would lose their majority (not with
        `sure`).

            with lab.fault("cut", "w1", seconds=60):
                ...
        """
        from labctl.faults import Injected, kind_named, planned

        found = kind_named(kind)
        names = [on] if isinstance(on, str) else list(on)
        if found.acts_on == "node":
            names = [node.name for name in names for node in self.select(name)]
        if kind == "partition" and not options.get("from"):
            options["from"] = ",".join(node.name for node in self.nodes if node.name not in names)
        return Injected(self.scene(), planned(found, names, options, seconds), sure)

    def stop(self, nodes: Sequence[Node] = ()) -> None:
        """Stop the nodes all at once, all of them where none is named; workers and managers keep their disks."""
        with self.held() as lab:
            each(lab.as_now(nodes) or lab.nodes, lambda node: self.backend.stop(node))

    def kill(self, nodes: Sequence[Node]) -> None:
        """Pull the plug of the nodes, all at once."""
        with self.held() as lab:
            each(lab.as_now(nodes), self.backend.kill)

    def start(self, nodes: Sequence[Node] = ()) -> list[Node]:
        """Start the nodes that are down, all at once, and try the lab with them. Returns those that were down.

        Those that are suspended go on where they were, and those that run are left alone.
        """
        from labctl.lab.ending import as_ended
        from labctl.lab.plan import refuse_half_made
        from labctl.lab.waking import WAKE_STEPS, wake

        with self.held() as lab:
            refuse_without_keys(lab.name, lab.nodes)
            steps = Steps(self.context.emit, total=WAKE_STEPS)
            chosen = as_ended(self.backend, lab.as_now(nodes) or lab.nodes, steps.note)
            refuse_half_made(chosen)
            wake(lab, chosen, steps, self.backend.start)
        return [node for node in chosen if not node.is_running]

    def suspend(self, nodes: Sequence[Node] = ()) -> list[Node]:
        """Let the nodes stand still with all that runs on them, all of the lab where none is named.

        Returns those that ran. Raises LabError for one that is down.
        """
        from labctl.lab.waking import in_state

        with self.held() as lab:
            chosen = in_state(lab.as_now(nodes) or lab.nodes, "running", also="paused")
            each(chosen, self.backend.suspend)
        return chosen

    def resume(self, nodes: Sequence[Node] = ()) -> list[Node]:
        """Let suspended nodes go on, all of the lab where none is named, and try the lab with them.

        Returns those that were suspended. Raises LabError for one that is down, which cannot go on.
        """
        from labctl.lab.waking import WAKE_STEPS, in_state, wake

        with self.held() as lab:
            refuse_without_keys(lab.name, lab.nodes)
            suspended = [node for node in lab.nodes if node.state == "paused"]
            chosen = in_state(lab.as_now(nodes) or suspended or lab.nodes, "paused", also="running")
            if chosen:
                wake(lab, chosen, Steps(self.context.emit, total=WAKE_STEPS), self.backend.resume)
        return chosen

    def down(self, *, others: bool = False, only: Collection[str] | None = None) -> list[str]:
        """Remove all of the lab and return the names of what was removed. `others` removes somebody else's, too.

        Raises LabError when it has come to have other nodes than `only`.
        """
        with self.held(others=others, verb="down") as lab:
            more = [node.name for node in lab.nodes if only is not None and node.name not in only]
            if more:
                raise LabError(
                    f"{', '.join(more)} came to lab {self.name} meanwhile, and nobody was asked about that",
                    hint=f"`labctl ls -l {self.name}` lists the nodes; `labctl down -l {self.name}` removes them.",
                )
            removed = self.context.destroy(self.backend, self.name, lab.nodes, others=others)
            if lab.record.owner.is_you:
                forget(self.name)
        return removed

    def as_now(self, nodes: Sequence[Node]) -> list[Node]:
        """These nodes as the lab now has them. Raises LabError for one that was removed meanwhile."""
        return self._present([node.name for node in nodes])

    def remove_nodes(self, nodes: Sequence[Node], *, gone: Sequence[str] = (), force: bool = False) -> None:
        """Take nodes out of the swarm in order, workers all at once and managers one by one; remove their machines.

        `gone` are those that have none any more. `force` removes one that cannot leave in order too.
        Raises UsageError when no node, or no manager, would stay.
        """
        with self.held() as lab:
            lab._without([*(node.name for node in nodes), *gone], force=force)

    def _without(self, names: Sequence[str], *, force: bool) -> None:
        """Remove the nodes of these names. The lab is held, and has just been looked at."""
        from labctl.engine import contexts
        from labctl.lab.members import leave_swarm, strike_off

        refuse_without_keys(self.name, self.nodes)
        going = [node for node in self.nodes if node.name in names]
        stay = [node for node in self.nodes if node.name not in names]
        shown = ", ".join(sorted(set(names)))
        if not stay:
            what = f"{shown} {'is' if len(set(names)) == 1 else 'are'} all that the lab has"
            raise UsageError(what, hint=f"`labctl down -l {self.name}` removes the lab.")
        out: set[str] = set()

        def take(node: Node) -> None:
            if node.is_running or self.spec.joins(node.name):
                leave_swarm(node, stay, force=force, emit=self.context.emit)
            self.backend.remove_node(node)
            out.add(node.name)

        with Steps(self.context.emit, total=1).step(f"Removing {shown}"):
            try:
                each([node for node in going if not node.is_manager], take)
                for manager in [node for node in going if node.is_manager]:
                    take(manager)
                for name in [name for name in names if name in self.gone]:
                    if self.spec.joins(name):
                        strike_off(name, stay, force=force, emit=self.context.emit)
                    out.add(name)
            finally:
                left = [spec for spec in self.spec.all_nodes() if spec.name not in out]
                self.backend.remember(_with_nodes(self.spec, left))
                contexts.create(self.name, stay[0].endpoint, self.context.emit)


def _with_nodes(spec: LabSpec, nodes: Sequence[NodeSpec]) -> LabSpec:
    """The spec with these nodes, and on each the labels that a filter gave it: filters may name one that is gone."""
    labelled = [replace(node, labels=spec.labels_of(node)) for node in nodes]
    return replace(spec, nodes=tuple(labelled), node_labels={}, managers=1, workers=3)
