"""`labctl logs`: what a node's machine said, its engine first of all."""

from __future__ import annotations

import sys

import click

from labctl.cli.common import App, complete_nodes, lab_command
from labctl.cli.nodes import first_node

__all__ = ["logs"]


@click.command("logs")
@click.argument("node", required=False, shell_complete=complete_nodes)
@click.option("-n", "--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C, or until the node is down.")
@lab_command
def logs(app: App, node: str | None, tail: int | None, follow: bool) -> None:
    """What a node's machine said: its engine, containerd, the mesh.

    NODE is the first manager where it is not said. It need not be running. What services say is
    `docker service logs`.

    \b
    labctl logs worker1 --tail 20
    labctl logs -f manager1
    labctl docker -- service logs web
    """
    lab = app.lab(others=True)
    for chunk in lab.backend.follow(first_node(lab, node), tail=tail, wait=follow):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
