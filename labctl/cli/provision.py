"""labctl provision: bare machines made nodes by the playbook, over SSH or inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, complete_nodes, lab_command, output_option, print_json, table
from labctl.errors import UsageError
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.node import Node
    from labctl.provision import Target

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
    from labctl.events import Steps
    from labctl.images.box import box_digest
    from labctl.provision import can_control, provision_inside
    from labctl.provision import provision as run

    lab = app.lab()
    nodes = [lab.node(name) for name in names] or list(lab.nodes)
    targets = _targets(lab.name, nodes)
    steps = Steps(app.emit, total=1)
    with steps.step(f"Provisioning {counted(len(nodes), 'node')}"):
        if inside or not can_control():
            done = provision_inside(nodes, steps.note, digest=box_digest())
        else:
            done = run(targets, steps.note, digest=box_digest())
        steps.note(counted(sum(recap.changed for recap in done.values()), "change"))
    if output == "json":
        print_json({name: {"ok": recap.ok, "changed": recap.changed} for name, recap in done.items()})
    else:
        table(["NODE", "OK", "CHANGED"], [[name, str(recap.ok), str(recap.changed)] for name, recap in done.items()])


def _targets(lab: str, nodes: list[Node]) -> list[Target]:
    """How Ansible reaches the nodes. Raises UsageError for a lab of containers, whose image is prepared."""
    from labctl.backend.vagrant.labfile import VmLab
    from labctl.lab.provisioning import target_of
    from labctl.state import lab_path

    if VmLab.load(lab) is None:
        raise UsageError(
            f"the nodes of lab {lab} are containers, and their image has all that a node needs",
            hint="`labctl image build node` makes that image; `labctl up --name vms --backend vagrant` makes a lab of "
            "machines.",
        )
    return [target_of(node, lab_path(lab) / "id_ed25519") for node in nodes]
