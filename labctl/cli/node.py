"""`labctl node`: nodes that come to a lab and go from it in order."""

from __future__ import annotations

from typing import Any

import click

from labctl.cli.common import App, complete_nodes, lab_command, output_option, print_json, table
from labctl.cli.create import size_options, sizes
from labctl.cli.machine import remove
from labctl.errors import UsageError

__all__ = ["node"]

HEADINGS = ("NODE", "ROLE", "STATE", "SWARM", "AVAILABILITY", "MANAGER", "ADDRESS", "ENGINE")


@click.group("node")
def node() -> None:
    """Add nodes to the lab, or remove them.

    \b
    labctl node add
    labctl node add --role manager --count 2
    labctl node rm worker4
    labctl node ls
    """


@node.command("add")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--role", type=click.Choice(["manager", "worker"]), default="worker", show_default=True, help="As what.")
@click.option("--count", type=click.IntRange(1, 1000), metavar="N", help="Number of nodes; labctl names them.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A node label, for placement constraints.")
@size_options
@click.option("--no-verify", is_flag=True, help="Do not test the lab at the end.")
@lab_command
def add(app: App, names: tuple[str, ...], role: Any, count: int | None, no_verify: bool, **given: Any) -> None:
    """Add nodes and join them to the swarm. In a lab without a swarm, they are bare engines.

    \b
    labctl node add
    labctl node add backup1 backup2 --label disk=ssd
    labctl node add --role manager --count 2
    """
    if names and count is not None:
        raise UsageError("say either names or --count")
    size, marks = sizes(given["cpus"], given["memory"]), _labels(given["labels"])
    added = app.lab().add_nodes(names, count=count, role=role, labels=marks, verify=not no_verify, **size)
    click.echo(f"{', '.join(node.name for node in added)}: added.", err=True)


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"--label {pair}: expected KEY=VALUE, for example disk=ssd")
        labels[key] = value
    return labels


@node.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_nodes, metavar="NODE...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("-f", "--force", is_flag=True, help="Do not ask, and remove nodes even if they cannot leave the swarm.")
@lab_command
def rm(app: App, names: tuple[str, ...], yes: bool, force: bool) -> None:
    """Remove nodes: demote and drain each, let it leave the swarm, delete the machine and its disk.

    \b
    labctl node rm worker4
    labctl node rm -y @worker:2-3
    """
    lab = app.lab()
    remove(lab, names, yes=yes or force, force=force)


@node.command("ls")
@output_option
@lab_command
def ls(app: App, output: str) -> None:
    """List the nodes: the state of each machine, and its state in the swarm.

    \b
    labctl node ls
    labctl node ls -o json
    """
    from dataclasses import asdict

    from labctl.lab import status_of

    nodes = status_of(app.context, app.lab(others=True).record).nodes
    if output == "json":
        print_json([asdict(known) for known in nodes])
        return
    rows = [(n.name, n.role, n.state, n.swarm, n.availability, n.manager, n.address, n.engine) for n in nodes]
    table(HEADINGS, [tuple(cell or "-" for cell in row) for row in rows])
