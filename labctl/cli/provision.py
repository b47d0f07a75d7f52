"""labctl provision: bare machines made nodes by the playbook, over SSH or inside them."""

from __future__ import annotations

import click

from labctl.cli.common import App, complete_nodes, lab_command, output_option, print_json, table

__all__ = ["provision"]


@click.command("provision")
@click.argument("names", nargs=-1, metavar="[NODE...]", shell_complete=complete_nodes)
@click.option("--inside", is_flag=True, help="Run Ansible in the machines, not on this host (always on Windows).")
@output_option
@lab_command
def provision(app: App, names: tuple[str, ...], inside: bool, output: str) -> None:
    """Run the playbook that turns a machine into a node: packages, kernel modules, users. It changes only what differs.

    \b
    labctl provision
    labctl provision worker1 --inside
    """
    lab = app.lab()
    done = lab.provision([lab.node(name) for name in names] or None, inside=inside)
    if output == "json":
        print_json({name: {"ok": recap.ok, "changed": recap.changed} for name, recap in done.items()})
    else:
        table(["NODE", "OK", "CHANGED"], [[name, str(recap.ok), str(recap.changed)] for name, recap in done.items()])
