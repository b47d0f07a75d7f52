"""`labctl up`: the list of steps, top to bottom. On a lab that stands, the same steps converge it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from labctl import edge, host, images, registry
from labctl.backend import Backend, LabRecord, NodePlan
from labctl.backend.daemon import HUB, HUB_OUTSIDE, engine_config
from labctl.concurrent import each, gather
from labctl.engine import contexts
from labctl.errors import EngineRefused, LabctlError, NotFoundError, QuorumLost
from labctl.events import Noted, Steps, Warned
from labctl.lab.addresses import refuse_moved
from labctl.lab.checking import looked_over, refuse_anothers
from labctl.lab.context import LAB_MTU, Context
from labctl.lab.form import Forming, settled, wait_for_end_here
from labctl.lab.members import label_nodes, leave_if_joined, members_of, remove_ghosts, taking_tasks
from labctl.lab.mending import Ladder
from labctl.lab.plan import Plan
from labctl.lab.restoring import restore_names
from labctl.lab.standing import gone_members
from labctl.lab.strays import leave_again, standing_of
from labctl.lab.unlocking import unlock
from labctl.lab.verify import PROBE_IMAGE
from labctl.mesh.ipvs import ipvs_available
from labctl.node import Node
from labctl.spec import LabSpec, NodeSpec, Role
from labctl.spec.addresses import free_addresses, prefix_for
from labctl.spec.names import short
from labctl.state import drop_lab_dir, lab_path, labs_of_machines
from labctl.swarm import cluster
from labctl.words import counted

__all__ = ["UpOptions", "bring_up", "grow"]

SUBNET_TRIES = 10  # how often another subnet is tried when another lab was faster
SIZES = ("cpus", "memory", "engine")  # what a node is made with, and keeps


@dataclass(frozen=True)
class UpOptions:
    """How to bring a lab up. `retain` keeps the wreck of a failed `up`; `verify` tries the lab at the end."""

    retain: bool = False
    verify: bool = True


def bring_up(context: Context, spec: LabSpec, options: UpOptions | None = None) -> LabRecord:
    """Make the lab that the spec describes, or make the one that stands be it, and return it.

    What this run made is removed again when it fails, unless `options.retain`; a lab that stood before
    keeps what it had. Raises LabctlError with what went wrong.
    """
    with context.held(spec.name):
        return _Up(context, spec, options or UpOptions()).run()


def grow(
    context: Context, name: str, extend: Callable[[LabRecord | None], LabSpec], options: UpOptions | None = None
) -> LabRecord:
    """Bring up what `extend` makes of your lab that stands (None: nothing does), and return it.

    The lab is held from the look to the end, so that two that add nodes at once do not undo each other.
    """
    refuse_anothers(context, name)  # at once: nobody waits for what is refused
    with context.held(name):
        refuse_anothers(context, name)
        spec = extend(context.holding(name).find(name))
        return _Up(context, spec, options or UpOptions()).run()


class _Up:
    def __init__(self, context: Context, spec: LabSpec, options: UpOptions) -> None:
        self.context = context
        self.engine = context.engine
        self.spec = spec
        self.options = options
        self.steps = Steps(context.emit, total=6 + bool(spec.registry) + bool(spec.ports))
        self.formed = spec.swarm == "formed"
        self.forming: Forming | None = None
        self.gone: dict[str, Role] = {}  # members whose machines somebody has removed

    @cached_property
    def uplink(self) -> int:
        """The MTU of the way out of this host."""
        return host.uplink_mtu()

    def run(self) -> LabRecord:
        """Do the steps."""
        steps = self.steps
        with steps.step("Checking this machine"):
            record, plan = looked_over(self.context, self.spec, steps.note)
            self._warn(plan, record.spec if record else None)
            self.gone = gone_members(record) if record else {}
        with steps.step("Images"):
            backend = self._backend_and_images(plan)
            self._check_engine_options(backend, plan)
            steps.note("")
        with self._undone_on_failure(backend, plan, record):
            with steps.step("Network and keys"):
                subnet = self._base(backend, record)
            record = self._machines(backend, plan, subnet)
            contexts.create(self.spec.name, record.nodes[0].endpoint, steps.emit)
            # Aside: the lab is good without it.
            with ThreadPoolExecutor(1, "labctl-proxy") as aside:
                opening = aside.submit(self._ports, record) if self._opens_ports() else None
                with steps.step("Verifying"):
                    self._verify(record, plan, backend)
                if opening is not None and self.spec.ports:
                    with steps.step("Ports"):
                        opening.result()
        return record

    def _backend_and_images(self, plan: Plan) -> Backend:
        """What nodes are made of, and what they will pull: built side by side, since one build does not fill a CPU."""
        stop = threading.Event()
        if self.spec.backend != "dind":  # what its machines want of this host is found out before images take minutes
            backend = self.context.maker(self.spec, self.steps.note, stop)
            if self.spec.registry:
                self._images(plan, stop)
            return backend
        with ThreadPoolExecutor(1, "labctl-images") as aside:
            pulled = [aside.submit(self._images, plan, stop)] if self.spec.registry else []
            try:
                backend = self.context.maker(self.spec, self.steps.note, stop)
                gather(pulled)
            except BaseException:
                stop.set()
                raise
        return backend

    def _images(self, plan: Plan, stop: threading.Event) -> None:
        try:
            if self.spec.images:
                images.ensure(self.engine, self.spec.images, self.steps.emit, self.steps.note, stop=stop)
        except NotFoundError:
            options = [self.spec.engine, *(node.engine for node in self.spec.all_nodes())]
            if plan.is_new and not any("registry-mirrors" in given for given in options):
                raise
            # The nodes may know it all the same: from before, or by a mirror of their own.
        images.ensure_all(self.engine, self.steps.emit, self.steps.note, stop=stop)

    def _check_engine_options(self, backend: Backend, plan: Plan) -> None:
        """Let the engine judge what the spec says of its own configuration, each once."""
        given = [self._engine_config(backend, node) for node in plan.create if self.spec.engine or node.engine]
        distinct = [config for number, config in enumerate(given) if config not in given[:number]]
        each(distinct, lambda config: backend.check_engine_config(self.spec.name, config))

    def _warn(self, plan: Plan, before: LabSpec | None) -> None:
        managers = sum(node.role == "manager" and self.spec.joins(node.name) for node in self.spec.all_nodes())
        if self.formed and managers % 2 == 0:
            self.steps.emit(
                Warned(
                    f"{managers} managers survive the loss of {(managers - 1) // 2}, as {managers - 1} would: "
                    "an odd number is better"
                )
            )
        for node in plan.extra:
            mend = f"`labctl node rm -l {self.spec.name} {node.name}` removes it"
            self.steps.emit(Noted(f"{node.name} is in the lab and not in the spec; {mend}"))
        changed = [key for key in SIZES if before and getattr(before, key) != getattr(self.spec, key)]
        if changed and plan.whole:
            mend = f"`labctl down -l {self.spec.name}` and `labctl up` recreate all of them"
            kept = f"the nodes that stand keep their {' and '.join(changed)}, and only new ones get what was asked for"
            self.steps.emit(Warned(f"{kept}; {mend}"))

    def _base(self, backend: Backend, record: LabRecord | None) -> str:
        backend.prepare_keys(self.spec.name)
        subnet = (record.subnet if record else None) or self.spec.subnet
        if subnet is None:
            subnet = self._base_on_free_subnet(backend)
        else:
            if record is None or record.subnet is None:
                host.refuse_overlap(subnet, self.engine)  # again: building images may have taken minutes
            backend.create_base(self.spec, subnet)
        self.steps.note(subnet)
        return subnet

    def _base_on_free_subnet(self, backend: Backend) -> str:
        """Make the lab's network on a subnet that is free, and return it. Two labs made at once may choose the same."""
        lost: list[str] = []
        while True:
            subnet = host.free_subnet(
                self.engine,
                taken=[*_claimed(), *backend.reserved, *lost],
                prefix=prefix_for(len(self.spec.all_nodes())),
                within=backend.within or host.RANGES,
            )
            try:
                backend.create_base(self.spec, subnet)
                return subnet
            except EngineRefused as refused:
                if not host.is_subnet_taken(refused.message) or len(lost) == SUBNET_TRIES:
                    raise
                lost.append(subnet)

    def _machines(self, backend: Backend, plan: Plan, subnet: str) -> LabRecord:
        """Nodes, registry and swarm, which overlap; three steps for the one who watches."""
        for half_made in plan.replace:
            backend.remove_node(half_made)
        stay = (*plan.keep, *plan.extra)
        taken = [node.address for node in (*stay, *plan.start)]
        addresses = free_addresses(subnet, taken, len(plan.create))
        plans = self._node_plans(backend, plan, addresses)
        forming = Forming(backend, self.spec, self.steps.emit, self.steps.note, existing=stay)
        forming.unlock = partial(self._unlock, (*stay, *plan.start))
        self.forming = forming
        if self.options.verify and self.spec.registry and self.formed:
            forming.fetch = PROBE_IMAGE
        # What is begun aside hears from `forming` that it is given up: so that one is closed first.
        with ThreadPoolExecutor(1, "labctl-registry") as aside, contextlib.closing(forming):
            serving = aside.submit(self._registry, backend, subnet, forming) if self.spec.registry else None
            with self.steps.step("Nodes"), settled(backend):
                backend.expect(self.spec, plans, plan.start)
                forming.boot(plans, plan.start)
                if self.formed:
                    self._join(forming, stay, plan)
                forming.booted()
                self.steps.note(counted(len(self.spec.all_nodes()), "engine answers", "engines answer"))
            if serving is not None:
                self._registry_step(serving)
            with self.steps.step("Swarm"):
                record = self._swarm(backend, forming)
        return record

    def _join(self, forming: Forming, stay: Sequence[Node], plan: Plan) -> None:
        """Let all nodes into the lab's swarm, those too that stand and belong to another one."""
        forming.manager = self._standing_manager(stay, plan)
        if stay:
            forming.standing = standing_of(self.spec, stay, plan.start, forming.manager)
            if forming.standing.note:
                self.steps.emit(Warned(forming.standing.note))
        forming.join_all()

    def _unlock(self, nodes: Sequence[Node], node: Node) -> None:
        unlock([node], [one for one in nodes if one.name != node.name], self.context.unlock_key, self.steps.emit)

    def _registry(self, backend: Backend, subnet: str, forming: Forming) -> None:
        place = backend.place_beside(self.spec.name, subnet)
        if place.publish_at:
            wait_for_end_here(place.publish_at, partial(forming.refuse_given_up, "the registry"))
        registry.ensure_registry(self.engine, self.spec.name, place, self.steps.emit, images.mirror_mode())

    def _registry_step(self, serving: Future[None]) -> None:
        with self.steps.step("Registry and mirror"):
            gather([serving])

    def _standing_manager(self, nodes: Sequence[Node], plan: Plan) -> Node | None:
        try:
            return cluster.working_manager([*nodes, *plan.start], gone=self.gone) if nodes else None
        except LabctlError as problem:
            # None of those that run can change the swarm; one of those that are starting may.
            if isinstance(problem, QuorumLost) and problem.for_good:
                raise
            return None

    def _node_plans(self, backend: Backend, plan: Plan, addresses: Sequence[str]) -> list[NodePlan]:
        mesh = not backend.has_own_kernel and not ipvs_available()
        environment = {"MESH": "on" if mesh else "off"}
        if self.uplink < LAB_MTU:
            environment["UPLINK_MTU"] = str(self.uplink)
        names = [node.name for node in self.spec.all_nodes()]
        return [
            NodePlan(
                spec=node,
                address=address,
                engine_config=self._engine_config(backend, node),
                aliases=(*(["manager"] if node.name == names[0] != "manager" else []), *short(node.name, names)),
                environment=environment,
            )
            for node, address in zip(plan.create, addresses, strict=True)
        ]

    def _engine_config(self, backend: Backend, node: NodeSpec) -> dict[str, Any]:
        return engine_config(
            mtu=LAB_MTU,
            uplink_mtu=self.uplink,
            registry=self.spec.registry,
            hub=HUB_OUTSIDE if backend.has_own_kernel else HUB,
            options=self.spec.engine,
            node_options=node.engine,
        )

    def _swarm(self, backend: Backend, forming: Forming) -> LabRecord:
        if self.formed:
            forming.joined()
        record = backend.find(self.spec.name)
        assert record is not None  # it was made above
        if self.formed:
            manager = forming.manager or cluster.working_manager(record.nodes)
            names = [node.name for node in record.nodes if node.is_running and self.spec.joins(node.name)]
            members = cluster.wait_ready(manager, names, nodes=record.nodes, noted=self.steps.note)
            remove_ghosts(manager, record.nodes, self.steps.emit, joined=names)
            label_nodes(manager, members, self.spec)
            leader = next((member.hostname for member in members if member.leader), "?")
            self.steps.note(f"{counted(len(names), 'node')} ready, {leader} leads")
        else:
            self.steps.note("no swarm was asked for: the engines wait for `docker swarm init`")
        return record

    def _opens_ports(self) -> bool:
        """Whether the lab gets its proxy now; where its image would have to be built for it, it comes when needed."""
        return bool(self.spec.registry or self.spec.ports) or images.services_built(self.engine)

    def _ports(self, record: LabRecord) -> None:
        """Let the lab's proxy run; the lab is good without it, so what fails here is a warning."""
        try:
            if self.spec.ports:
                edge.ensure_edges(self.engine, self.spec.name, record.nodes, self.spec.ports, self.steps.emit)
            else:
                edge.ensure_proxy(self.engine, self.spec.name, record.nodes, (), self.steps.emit)
        except LabctlError as problem:
            self.steps.emit(Warned(f"the proxy of published ports: {problem.message}"))

    def _verify(self, record: LabRecord, plan: Plan, backend: Backend) -> None:
        nodes = [node for node in record.nodes if node.is_running]
        if not plan.is_new:
            restore_names(self.engine, record, self.steps.emit)
        for name in self.spec.images:
            registry.pull(nodes, name, self.steps.note)
        if not self.options.verify:
            self.steps.note("left out, as asked")
        elif self.formed and self.spec.registry:
            self.steps.note(self._tried(record, backend, plan, nodes))
        else:
            self.steps.note(counted(len(nodes), "engine answers", "engines answer"))

    def _tried(self, record: LabRecord, backend: Backend, plan: Plan, nodes: Sequence[Node]) -> str:
        """Try the lab, and mend it as `start` does: on a busy host engines miss what others did, in new labs too."""
        refuse_moved(record, nodes)
        manager = cluster.working_manager(nodes)
        members = members_of(self.spec, manager, nodes)
        if not plan.is_new:
            members = taking_tasks(manager, members, self.steps.emit)
        fresh = {*(node.name for node in plan.create), *(node.name for node in plan.start)}
        working = partial(cluster.working_manager, nodes)
        ladder = Ladder(backend, working, members, fresh, self.steps.note, self.steps.emit)
        return ladder.climb(is_new=plan.is_new)

    @contextlib.contextmanager
    def _undone_on_failure(self, backend: Backend, plan: Plan, before: LabRecord | None) -> Iterator[None]:
        there = self.context.things(backend, self.spec.name) if before else frozenset()
        had_folder = lab_path(self.spec.name).exists()
        try:
            yield
        except BaseException:
            if not self.options.retain:
                self._undo(backend, plan, before, there, had_folder=had_folder)
            raise

    def _undo(
        self, backend: Backend, plan: Plan, before: LabRecord | None, there: frozenset[str], *, had_folder: bool
    ) -> None:
        """Take away what this run made, and let the lab be again what it was to be `before`.

        What was `there` stays, if only a volume. The error that led here is the one to tell.
        """
        self.steps.emit(Noted("taking back what was made (--retain would keep it)"))
        try:
            if plan.is_new:
                contexts.remove(self.spec.name)
            if before is None:
                self.context.destroy(backend, self.spec.name, ())
                if not had_folder:
                    drop_lab_dir(self.spec.name)
                return
            if before.spec is not None:
                backend.remember(before.spec)
            made = {node.name for node in plan.create}
            record = backend.find(self.spec.name)
            nodes = record.nodes if record else ()
            for node in [node for node in nodes if node.name in made]:
                with contextlib.suppress(LabctlError):  # a manager that only vanishes may take the quorum with it
                    leave_if_joined(node, [other for other in nodes if other.name not in made])
                backend.remove_node(node)
            self._leave_again()
            self.context.destroy(backend, self.spec.name, (), keep=there)
        except LabctlError as problem:
            self.steps.emit(Warned(f"could not take everything back: {problem.message}; `labctl down` tries again"))

    def _leave_again(self) -> None:
        """Leave no swarm behind that this run made of nodes that stood before."""
        if self.forming is not None and self.forming.founded:
            leave_again(self.forming.entered)


def _claimed() -> list[str]:
    """The subnets of labs of virtual machines; where there is none, what makes them is not even read."""
    if not labs_of_machines():
        return []
    from labctl.lab.machines import claimed

    return claimed()
