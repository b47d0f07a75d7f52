"""A lab that stands: find it, ask its nodes, stop, start and remove it.

What changes a lab is imported where it is used: whoever only looks (`ssh`, completion) need not wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from labctl.concurrent import each
from labctl.errors import LabError, NotFoundError, raise_all
from labctl.events import Emit, Steps, quiet
from labctl.lab.breaking import Breaking
from labctl.lab.choosing import Nodes, chosen, is_up, named_or_gone
from labctl.lab.context import open_context
from labctl.lab.keeping import Keeping
from labctl.lab.looking import Looking
from labctl.lab.reaching import Reaching
from labctl.lab.standing import refuse_unstartable, refuse_without_keys, refused_as_empty, warn_of_absent
from labctl.lab.supplying import Supplying
from labctl.lab.using import Using
from labctl.node import Node

if TYPE_CHECKING:
    from labctl.lab.plan import Plan
    from labctl.lab.stacks import Deployment, Files, Resolve
    from labctl.lab.status import LabStatus
    from labctl.lab.wanted import SpecKeys
    from labctl.lab.watching import LabEvents
    from labctl.spec import LabSpec, Role
    from labctl.transport import Way

__all__ = ["Lab"]


class Lab(Keeping, Reaching, Supplying, Looking, Using, Breaking):
    """A lab. `Lab.up` makes one, `Lab.find` and `Lab.all` find those that stand.

    The properties (name, spec, nodes) tell what it was when it was found, or when the last verb of this object ended;
    `node`, `select` and `swarm` choose among these nodes, and `refresh` looks again. All other methods ask the lab as
    it now is. Every verb may be called from several threads and processes: those that change the lab wait for each
    other. `on_event` hears a verb's progress (labctl.events), from any thread. `with Lab.up(...) as lab:` removes the
    lab at the end, if this call made it.
    """

    @classmethod
    def up(
        cls,
        spec: LabSpec | Path | None = None,
        *,
        name: str | None = None,
        nodes: int | None = None,
        managers: int | None = None,
        workers: int | None = None,
        verify: bool = True,
        retain: bool = False,
        unlock_key: str | None = None,
        transport: Way | None = None,
        on_event: Emit | None = None,
        **keys: Unpack[SpecKeys],
    ) -> Lab:
        """Bring a lab up: what a spec or a lab.yaml describes, and what the keywords say, which win over it.

        One that has no name gets one that no other lab has. One that stands is made to be what is asked for, as by
        `labctl up`: without a spec it is what it was, with what the keywords add. Unless `verify` is False, the lab is
        tried at the end. What was made is removed when it fails, unless `retain`.
        Raises SpecError or UsageError for what cannot be meant, HostError for what this machine lacks, LabError.
        """
        from labctl.lab.opening import bring_up_lab, given_keys
        from labctl.lab.up import UpOptions
        from labctl.lab.wanted import counts

        given = given_keys({"name": name, **counts(nodes, managers, workers), **keys})
        context = open_context(on_event or quiet, transport, unlock_key)
        return bring_up_lab(context, spec, given, UpOptions(retain=retain, verify=verify))

    @classmethod
    def find(cls, name: str | None = None, *, transport: Way | None = None) -> Lab:
        """Return the lab of that name. Where none is said: LABCTL_LAB's, the one called lab, or the only one.

        Raises NotFoundError with the nearest name, UsageError when several could be meant.
        """
        from labctl.lab.finding import find_lab

        return find_lab(open_context(transport=transport), name or os.environ.get("LABCTL_LAB") or None)

    @classmethod
    def all(cls, *, transport: Way | None = None) -> list[Lab]:
        """Return all labs of this machine, those of other users too."""
        from labctl.lab.finding import all_labs

        return all_labs(open_context(transport=transport))

    @classmethod
    def plan(
        cls,
        spec: LabSpec | Path | None = None,
        *,
        name: str | None = None,
        nodes: int | None = None,
        managers: int | None = None,
        workers: int | None = None,
        transport: Way | None = None,
        **keys: Unpack[SpecKeys],
    ) -> Plan:
        """What `up` would make and start with these arguments; nothing is changed.

        Raises what `up` would raise before it makes anything.
        """
        from labctl.lab.opening import given_keys, planned
        from labctl.lab.wanted import counts

        given = given_keys({"name": name, **counts(nodes, managers, workers), **keys})
        return planned(open_context(transport=transport), spec, given)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.made_here:
            return
        try:
            with suppress(NotFoundError):  # it is gone already
                self.down()
        except BaseException as cut:
            cut.add_note(f"Lab {self.name} was not removed, or only in part: `labctl down -l {self.name}` removes it.")
            raise

    def stop(self, nodes: Nodes | None = None, *, on_event: Emit | None = None) -> list[Node]:
        """Stop nodes all at once, all of the lab where none is named; disks stay. Returns those that were up."""
        with self._changing(on_event) as lab:
            lab._end_faults(meant := chosen(lab, nodes))
            each(meant, lambda node: lab.backend.stop(node))
        return self._again([node for node in meant if is_up(node)])

    def kill(self, nodes: Nodes | None = None, *, on_event: Emit | None = None) -> list[Node]:
        """Pull the plug of nodes, all at once: nothing is shut down in order. Returns those that were up."""
        with self._changing(on_event) as lab:
            lab._end_faults(meant := chosen(lab, nodes))
            each(meant, lab.backend.kill)
        return self._again([node for node in meant if is_up(node)])

    def start(
        self, nodes: Nodes | None = None, *, unlock_key: str | None = None, on_event: Emit | None = None
    ) -> list[Node]:
        """Start the nodes that are down, all at once, and try the lab with them. Returns those that were down.

        Those that are suspended go on where they were, and those that run are left alone.
        """
        from labctl.lab.ending import as_ended
        from labctl.lab.faulting import tend_services
        from labctl.lab.plan import refuse_half_made
        from labctl.lab.waking import WAKE_STEPS, wake

        with self._changing(on_event, unlock_key) as lab:
            if empty := refused_as_empty(lab.record):
                raise empty
            refuse_unstartable(lab.record)
            steps = Steps(lab.context.emit, total=WAKE_STEPS)
            meant = as_ended(lab.backend, chosen(lab, nodes), steps.note)
            refuse_half_made(meant)
            if meant or nodes is None:
                wake(lab, meant, steps, lab.backend.start)
                lab._end_faults(meant)
                tend_services(lab)
            if nodes is None:
                warn_of_absent(lab.refresh().record, lab.context.emit)
        return self._again([node for node in meant if not node.is_running])

    def restart(
        self, nodes: Nodes | None = None, *, unlock_key: str | None = None, on_event: Emit | None = None
    ) -> list[Node]:
        """Stop nodes and start them again, in order. Returns them."""
        names = [node.name for node in chosen(self._now(None), nodes)]
        self.stop(names, on_event=on_event)
        # All of them is the whole lab: what broke while nothing ran is looked for and mended.
        self.start(None if len(names) == len(self.nodes) else names, unlock_key=unlock_key, on_event=on_event)
        return chosen(self, names)

    def suspend(self, nodes: Nodes | None = None, *, on_event: Emit | None = None) -> list[Node]:
        """Let nodes stand still with all that runs on them, all of the lab where none is named.

        Returns those that ran. Raises LabError for one that is down.
        """
        from labctl.lab.waking import in_state

        with self._changing(on_event) as lab:
            running = in_state(chosen(lab, nodes), "running", also="paused")
            lab._end_faults(running)
            each(running, lab.backend.suspend)
        return self._again(running)

    def resume(
        self, nodes: Nodes | None = None, *, unlock_key: str | None = None, on_event: Emit | None = None
    ) -> list[Node]:
        """Let suspended nodes go on, all of the lab where none is named, and try the lab with them.

        Returns those that were suspended. Raises LabError for one that is down, which cannot go on.
        """
        from labctl.lab.faulting import tend_services
        from labctl.lab.waking import WAKE_STEPS, in_state, wake

        with self._changing(on_event, unlock_key) as lab:
            refuse_unstartable(lab.record)
            suspended = [node for node in lab.nodes if node.state == "paused"]
            meant = suspended or lab.nodes if nodes is None else chosen(lab, nodes)
            still = in_state(meant, "paused", also="running")
            if still:
                wake(lab, still, Steps(lab.context.emit, total=WAKE_STEPS), lab.backend.resume)
                lab._end_faults(still)
                tend_services(lab)
        return self._again(still)

    def down(
        self, *, others: bool = False, only: Collection[str] | None = None, on_event: Emit | None = None
    ) -> list[str]:
        """Remove all of the lab and return the names of what was removed. `others` removes somebody else's, too.

        Raises LabError when it has come to have other nodes than `only`, NotFoundError when it is gone already.
        """
        from labctl.lab.finding import forget

        with self.heard_by(on_event).held(others=others, verb="down") as lab:
            more = [node.name for node in lab.nodes if only is not None and node.name not in only]
            if more:
                raise LabError(
                    f"{', '.join(more)} came to lab {self.name} meanwhile, and nobody was asked about that",
                    hint=f"`labctl ls -l {self.name}` lists the nodes; `labctl down -l {self.name}` removes them.",
                )
            removed = lab.context.destroy(lab.backend, lab.name, lab.nodes, others=others)
            if lab.record.owner.is_you:
                forget(self.name)
        return removed

    def remove_nodes(self, nodes: Nodes, *, force: bool = False, on_event: Emit | None = None) -> None:
        """Take nodes out of the swarm in order, workers all at once and managers one by one; remove their machines.

        One whose machine is gone already is named too. `force` removes one that cannot leave in order.
        Raises UsageError when no node, or no manager, would stay.
        """
        from labctl.lab.leaving import take_out

        with self._changing(on_event) as lab:
            there, gone = named_or_gone(lab, nodes)
            lab._end_faults(there)
            take_out(lab, [*(node.name for node in there), *gone], force=force)

    def add_nodes(
        self,
        names: str | Sequence[str] = (),
        *,
        count: int | None = None,
        role: Role = "worker",
        cpus: float | None = None,
        memory: str | None = None,
        labels: Mapping[str, str] | None = None,
        engine: Mapping[str, Any] | None = None,
        bare: bool = False,
        verify: bool = True,
        on_event: Emit | None = None,
    ) -> list[Node]:
        """Add nodes and let them join the swarm, and return them; `bare` ones are engines in no swarm.

        Without names there is one, or `count`, named as the others. `engine` are daemon.json options of theirs.
        Raises UsageError for names that are taken.
        """
        from labctl.lab.growing import add_nodes

        given = {"cpus": cpus, "memory": memory, "labels": dict(labels or {}), "engine": dict(engine or {})}
        options = {key: value for key, value in given.items() if value not in (None, {})}
        options |= {"swarm": "bare"} if bare else {}
        named = [names] if isinstance(names, str) else list(names)
        added = add_nodes(self.heard_by(on_event), named, role, count, options, verify=verify)
        return [node for node in self.refresh().nodes if node.name in added]

    def status(self) -> LabStatus:
        """What the lab is like now, and what is missing. Anybody may ask. Raises NotFoundError when it is gone."""
        from labctl.lab.status import status_of

        return status_of(self.context, replace(self).refresh().record)

    def verify(self, *, on_event: Emit | None = None) -> str:
        """Try the lab: mesh, overlay and registry, from every node to every node, and its services' names and ports.

        Returns what was tried. Raises LabError with what does not serve, UsageError for a lab without a registry.
        """
        from labctl.lab.trying import try_lab

        with self._changing(on_event) as lab:
            return try_lab(lab)

    def deploy(
        self,
        files: Files,
        name: str,
        *,
        text: str | None = None,
        environment: Mapping[str, str] | None = None,
        prune: bool = False,
        registry_auth: bool = False,
        resolve_image: Resolve | None = None,
        wait: bool = True,
        limit: float = 120.0,
        on_event: Emit | None = None,
    ) -> Deployment:
        """Deploy stack files as the stack `name` and wait up to `limit` seconds until its services run.

        Several files are merged as Docker does; `text` is what the one stands for, where it is no file. Variables are
        those of `environment`, this process's own where not said. Where a manager dies, another goes on.
        Raises UsageError for files that Docker does not take, NotYetError with the reasons for what does not run.
        """
        from labctl.lab.stacks import deploy

        lab = self._now(on_event)
        return deploy(
            lab,
            files,
            name,
            text=text,
            environment=environment,
            prune=prune,
            registry_auth=registry_auth,
            resolve_image=resolve_image,
            wait=wait,
            limit=limit,
        )

    def remove_stack(
        self, *names: str, limit: float = 90.0, on_event: Emit | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Remove stacks, all at once, and wait until their tasks and networks are gone; volumes stay.

        Returns by stack the nodes that do not answer, and where its containers may go on until these are back.
        Raises NotFoundError for a name that there is not, when the others are removed.
        """
        from labctl.lab.removing import remove_stacks

        removed, missing = remove_stacks(self._now(on_event), names, limit)
        raise_all(missing)
        return removed

    def events(self) -> LabEvents:
        """Follow what happens in the lab from now on, whoever does it; close what is returned, or use it as a block.

        Raises UsageError for somebody else's lab, LabError for one whose keys are not here.
        """
        from labctl.lab.watching import LEARN_LIMIT, LabEvents

        lab = self._now(None)
        refuse_without_keys(lab.name, lab.nodes)
        machines = lab.backend.has_own_kernel
        host = None if machines else lab.context.engine
        events = LabEvents(lab.name, lambda: lab.backend.find(lab.name), own_clocks=machines, host=host)
        if any(node.is_running and node.is_manager for node in lab.nodes):
            events.learned.wait(LEARN_LIMIT)  # a lab without a swarm, or without a leader, is followed all the same
        return events

    def export_logs(self, path: Path | str | None = None) -> Path:
        """Write one archive with all that a bug report needs, to a file or into a folder (this one where not said).

        Known secrets are removed; a log may hold others. It works with a lab that is half dead.
        """
        from labctl.lab.reporting import write_report

        return write_report(self.context, self, None if path is None else Path(path))[0]
