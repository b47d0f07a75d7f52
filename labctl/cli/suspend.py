"""Let the lab, or some of its nodes, stand still, and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, lab_command
from labctl.cli.completers import complete_filters
from labctl.cli.unlock import unlock_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.node import Node

__all__ = ["resume", "suspend"]

names_argument = click.argument("nodes", nargs=-1, shell_complete=complete_filters)


@click.command("suspend")
@names_argument
@lab_command
def suspend(app: App, nodes: tuple[str, ...]) -> None:
    """Suspend the lab or the named nodes.

    Suspended nodes keep their memory. After some seconds, the rest of the swarm sees them as down.

    \b
    labctl suspend
    labctl suspend worker1
    """
    lab = app.lab()
    done = lab.suspend(nodes or None)
    _say("suspended", done, f"{', '.join(nodes) or f'lab {lab.name}'}: all of it is suspended already")


@click.command("resume")
@unlock_option
@names_argument
@lab_command
def resume(app: App, nodes: tuple[str, ...]) -> None:
    """Resume suspended nodes, and wait until they are ready.

    It first sets the clocks of virtual machines, which were suspended, too.

    \b
    labctl resume
    labctl resume worker1
    """
    lab = app.lab()
    done = lab.resume(nodes or None)
    _say("resumed", done, f"{', '.join(nodes) or f'lab {lab.name}'}: nothing is suspended")


def _say(done: str, nodes: Sequence[Node], nothing: str) -> None:
    names = ", ".join(node.name for node in nodes)
    click.echo(f"{names}: {done}." if names else f"Nothing to do: {nothing}.", err=True)
