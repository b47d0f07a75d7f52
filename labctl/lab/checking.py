"""What `up` looks at before it makes anything: the lab that stands, the plan, and whether this machine carries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labctl import host
from labctl.backend import LabRecord
from labctl.errors import UsageError
from labctl.lab.context import Context
from labctl.lab.ending import as_ended
from labctl.lab.plan import Plan, plan_of
from labctl.lab.standing import refuse_newer, refuse_too_many_cpus, refuse_unsound
from labctl.owner import refuse_others
from labctl.spec import LabSpec

__all__ = ["checked_plan", "looked_over", "refuse_anothers"]


def refuse_anothers(context: Context, name: str) -> None:
    """Raise UsageError for a lab of somebody else's."""
    holding = context.holding(name)
    record = None if holding.has_own_kernel else holding.find(name)  # machines have their folder with their owner
    if record is not None:
        refuse_others(name, record.owner, verb="up")


def checked_plan(context: Context, spec: LabSpec) -> Plan:
    """Return what `up` would change, for `--dry-run`. Raises what `up` would before it makes anything."""
    plan = looked_over(context, spec)[1]
    if spec.backend == "vagrant":
        from labctl.lab.machines import refuse_unmakable

        refuse_unmakable(spec)
    return plan


def looked_over(
    context: Context, spec: LabSpec, note: Callable[[str], None] = lambda _: None
) -> tuple[LabRecord | None, Plan]:
    """Return the lab as it stands (None: nothing does) and the plan that makes it be the spec; nothing is changed.

    Raises UsageError for what cannot be asked of this lab or machine, LabError for a lab that cannot be changed,
    HostError for what this machine lacks.
    """
    record = _standing(context, spec, note)
    plan = plan_of(spec, record)
    if record is not None:
        refuse_unsound(record, plan.whole)
    if spec.subnet and (record is None or record.subnet is None):
        host.refuse_overlap(spec.subnet, context.engine)
    if plan.create:
        _preflight(context, plan)
    context.refuse_taken(spec, [node.name for node in plan.create])
    return record, plan


def _standing(context: Context, spec: LabSpec, note: Callable[[str], None]) -> LabRecord | None:
    holding = context.holding(spec.name)
    record = holding.find(spec.name)
    if record is not None:
        refuse_others(spec.name, record.owner, verb="up")
        refuse_newer(record)
    if record is not None and holding.name != spec.backend:
        raise UsageError(
            f"lab {spec.name} stands already, with the backend {holding.name}, not {spec.backend}",
            hint=f"`labctl down -l {spec.name}` removes it; another name (`-l NAME`) makes one beside it.",
        )
    return replace(record, nodes=tuple(as_ended(holding, record.nodes, note))) if record is not None else None


def _preflight(context: Context, plan: Plan) -> None:
    nodes = plan.spec.all_nodes()
    if plan.spec.backend == "vagrant":
        starts = {node.name for node in plan.start}
        coming = [*plan.create, *(node for node in nodes if node.name in starts)]
        host.preflight_virtual([node.machine_memory_mib for node in coming], new=len(plan.create))
        return
    refuse_too_many_cpus(plan.create, context.engine)
    managers = sum(node.role == "manager" for node in nodes)
    host.preflight(len(nodes), engine=context.engine, managers=managers, running=len(plan.keep))
