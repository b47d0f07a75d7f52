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
    """Let the lab, or the nodes named, stand still with all that runs on them.

    Their memory stays taken. To the rest of the swarm a node that stands still is down after some seconds.

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
    """Let suspended nodes go on where they were, and wait until they serve.

    The clocks of virtual machines, which stood still too, are set first.

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
