"""Examining this machine: for a reader (`labctl doctor`), and silently before each lab (`labctl up`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from labctl.engine import Engine
from labctl.errors import HostError
from labctl.host import decide_engine, decide_kernel, decide_outside, decide_resources
from labctl.host.advice import fix_line
from labctl.host.facts import Facts
from labctl.host.gather import gather
from labctl.host.report import Report, Row

__all__ = ["decide", "examine", "preflight"]

Decision = Callable[[Facts], Row]

# What can keep a lab from running; in the order in which it is worth mending.
NEEDED: tuple[Decision, ...] = (
    decide_outside.decide_state,
    decide_engine.decide_engine,
    decide_engine.decide_version,
    decide_engine.decide_security,
    decide_engine.decide_capabilities,
    decide_engine.decide_storage,
    decide_resources.decide_memory,
    decide_resources.decide_disk,
    decide_resources.decide_cpus,
    decide_outside.decide_subnets,
    *(partial(decide_kernel.decide_feature, feature) for feature in decide_kernel.FEATURES),
    decide_kernel.decide_firewall,
    decide_resources.decide_inotify,
    decide_resources.decide_neighbours,
)
# What is worth knowing.
TOLD: tuple[Decision, ...] = (
    decide_kernel.decide_ipvs,
    decide_engine.decide_cgroup,
    decide_engine.decide_settings,
    decide_engine.decide_loopback,
    decide_outside.decide_mtu,
    decide_outside.decide_hub,
    decide_outside.decide_base_image,
    decide_outside.decide_cli,
    decide_outside.decide_python,
    decide_outside.decide_tools,
)


def examine(nodes: int = 4, *, managers: int = 1, engine: Engine | None = None) -> Report:
    """Look at everything that a lab of `nodes` nodes needs of this machine, in about a tenth of a second.

    Docker Hub is asked too, which takes two seconds at most where nothing answers. `engine` is the
    host's own where None is given. Nothing is changed, and nothing is raised for what is not well.
    """
    return decide(gather(nodes, managers=managers, engine=engine), (*NEEDED, *TOLD))


def preflight(nodes: int, *, engine: Engine, managers: int = 1, running: int = 0) -> None:
    """Refuse a lab that this machine cannot carry; silent when it can. For each `labctl up`.

    `running` of the `nodes` are there already, and are not counted again. Raises HostError that names
    the first thing to mend.
    """
    facts = gather(nodes, managers=managers, running=running, engine=engine, outside=False)
    bad = decide(facts, NEEDED).to_mend
    if not bad:
        return
    first, others = bad[0], len(bad) - 1
    how = _how(first, facts, nodes)
    more = f" {others} more to mend:" if others else ""
    raise HostError(f"{first.title}: {first.found}", hint=f"{how}.{more} `labctl doctor --nodes {nodes}` tells all.")


def decide(facts: Facts, decisions: tuple[Decision, ...] = (*NEEDED, *TOLD)) -> Report:
    """Turn facts into rows; the same facts make the same report."""
    rows = [decision(facts) for decision in decisions]
    if facts.machine.is_root:
        # Root needs no sudo, and a bare machine has none.
        rows = [replace(row, fix=row.fix.replace("sudo ", "")) if row.fix else row for row in rows]
    return Report(rows)


def _how(row: Row, facts: Facts, nodes: int) -> str:
    if row.fixable:
        return f"`{fix_line(facts.machine)} --nodes {nodes}` mends it"
    return row.fix or "`labctl doctor` knows no remedy"
