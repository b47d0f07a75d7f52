"""Looking at everything at once; what is not asked for is not looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from labctl.concurrent import each
from labctl.engine import Engine
from labctl.host.engine_facts import gather_engine
from labctl.host.facts import EngineFacts, Facts, KernelFacts, LimitFacts, MachineFacts, NetworkFacts
from labctl.host.hub import HubAnswer, asked_as_set
from labctl.host.kernel_facts import gather_kernel, gather_limits
from labctl.host.machine_facts import gather_machine
from labctl.host.network_facts import gather_network

__all__ = ["HUB_LIMIT", "gather"]

HUB_LIMIT = 2.0  # seconds

_All = tuple[EngineFacts, KernelFacts, LimitFacts, MachineFacts, NetworkFacts, HubAnswer | None]


def gather(
    nodes: int, *, managers: int = 1, running: int = 0, engine: Engine | None = None, outside: bool = True
) -> Facts:
    """Look at the engine, the kernel, the limits, the machine and its network, all at once.

    `running` of the `nodes` are there already. `outside` says whether Docker Hub is asked; a lab
    that is about to start asks when it must.
    """
    jobs: list[Callable[[], object]] = [
        lambda: gather_engine(engine),
        gather_kernel,
        gather_limits,
        gather_machine,
        gather_network,
        lambda: asked_as_set(HUB_LIMIT) if outside else None,
    ]
    found = cast(_All, tuple(each(jobs, lambda job: job(), at_once=len(jobs))))
    its_engine, kernel, limits, machine, network, hub = found
    return Facts(
        nodes=nodes,
        managers=managers,
        running=running,
        engine=its_engine,
        kernel=kernel,
        limits=limits,
        network=network,
        machine=machine,
        hub=None if hub is None else hub.reachable,
        hub_said="" if hub is None else hub.said,
    )
