"""`labctl export`: the lab for other tools, and for a bug report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from labctl.cli.common import App, lab_command
from labctl.cli.hints import named_lab, with_lab
from labctl.errors import LabctlError, NotFoundError, UsageError

if TYPE_CHECKING:
    from labctl.lab import Lab

__all__ = ["export"]


@click.group("export")
def export() -> None:
    """Export logs for a bug report, an SSH configuration, or an Ansible inventory.

    \b
    labctl export logs
    labctl export ssh-config > lab.ssh && ssh -F lab.ssh worker1
    labctl export inventory > lab.yaml && ansible -i lab.yaml workers -m ping
    """


@export.command("ssh-config")
@click.option(
    "--through-docker/--direct",
    default=sys.platform != "linux",
    help="Use docker exec, for hosts that cannot reach the nodes' addresses (Docker Desktop).",
)
@lab_command
def ssh_config(app: App, through_docker: bool) -> None:
    """Print an SSH configuration with all nodes.

    \b
    labctl export ssh-config > lab.ssh
    ssh -F lab.ssh worker1 docker ps
    """
    click.echo(app.lab().ssh_config(through_docker=through_docker), nl=False)


@export.command("inventory")
@click.option(
    "--connection", type=click.Choice(["ssh", "docker"]), default="ssh", show_default=True, help="How to connect."
)
@lab_command
def inventory(app: App, connection: Literal["ssh", "docker"]) -> None:
    """Print an Ansible inventory with the groups managers and workers.

    \b
    labctl export inventory > lab.yaml
    ansible -i lab.yaml workers -m command -a uptime
    """
    click.echo(app.lab().inventory(connection=connection), nl=False)


@export.command("logs")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file to write (default: in this folder).",
)
@lab_command
def logs(app: App, output: Path | None) -> None:
    """Write an archive with everything that a bug report needs, and print its path.

    It removes known secrets: the values of variables, arguments of commands, keys, tokens, passwords in logs. A log
    may contain others: read the archive before you post it. It also works without a lab, or if parts of the lab do
    not answer: index.json in the archive lists them.

    \b
    labctl export logs
    labctl export logs -o /tmp/report.tar.gz
    """
    from labctl.lab.reporting import write_report

    lab, problem = _lab_or_problem(app)
    file, came = write_report(app.context, lab, output, problem)
    if lab is None:
        click.echo(
            f"{with_lab(problem, named_lab(click.get_current_context()))}. The report is of this machine alone.",
            err=True,
        )
    click.echo(file)
    click.echo(
        f"Known secrets are removed, and a log may hold others: read it before you post it. {came} came to something.",
        err=True,
    )


def _lab_or_problem(app: App) -> tuple[Lab | None, str]:
    """Whatever keeps from the lab is what the report is about; only several labs, or no lab's name, is a mistake."""
    try:
        return app.lab(others=True), ""
    except LabctlError as problem:
        if isinstance(problem, UsageError) and not isinstance(problem, NotFoundError):
            raise
        return None, problem.message
