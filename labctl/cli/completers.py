"""What the shell offers for a word that is a service, a stack, a port, an image or a filter; silent where none is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from labctl.cli.common import App, complete_nodes

__all__ = [
    "complete_filters",
    "complete_images",
    "complete_ports",
    "complete_services",
    "complete_shells",
    "complete_snapshots",
    "complete_stacks",
]

LIMIT = 2.0  # seconds that somebody who has pressed Tab waits
FILTERS = ("@all", "@manager", "@worker")


def complete_filters(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Nodes, and the words for many of them."""
    return [*(word for word in FILTERS if word.startswith(incomplete)), *complete_nodes(ctx, param, incomplete)]


def complete_stacks(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The lab's stacks."""

    def stacks(app: App) -> set[str]:
        return {service.stack for service in app.lab().swarm(limit=LIMIT).services() if service.stack}

    return _of_lab(ctx, incomplete, stacks)


def complete_services(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The services that publish a port."""
    from labctl.edge import published

    def services(app: App) -> set[str]:
        return {each.service for each in published(app.lab().manager(limit=LIMIT).engine)}

    return _of_lab(ctx, incomplete, services)


def complete_ports(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The ports that pinned ways on this host lead to."""
    from labctl.edge import edges

    def ports(app: App) -> set[str]:
        ways = edges(app.context.engine, app.lab().name)
        return {f"{way.target}/udp" if way.protocol == "udp" else str(way.target) for way in ways if way.pinned}

    return _of_lab(ctx, incomplete, ports)


def complete_snapshots(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The lab's snapshots."""

    def snapshots(app: App) -> set[str]:
        lab = app.lab()
        return {one.name for one in lab.backend.snapshots(lab.name)}

    return _of_lab(ctx, incomplete, snapshots)


def complete_images(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The images that labctl has a stand-in for."""
    from labctl.images.catalogue import read_catalogue

    return sorted(name for name in read_catalogue().known() if name.startswith(incomplete))


def complete_shells(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The shells that `env` speaks."""
    from labctl.cli.shells import SHELLS

    return [name for name in SHELLS if name.startswith(incomplete)]


def _of_lab(ctx: click.Context, incomplete: str, names: Callable[[App], Iterable[str]]) -> list[str]:
    from labctl.errors import LabctlError

    try:
        found = names(App(ctx.params.get("lab_name"), progress="none"))
    except LabctlError:
        return []
    return sorted(name for name in found if name.startswith(incomplete))
