"""`labctl export`: the lab for other tools, and for a bug report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from labctl.cli.common import App, lab_command
from labctl.cli.hints import named_lab, with_lab
from labctl.errors import LabctlError, NotFoundError, UsageError
from labctl.files import is_special

if TYPE_CHECKING:
    from labctl.lab import Lab

__all__ = ["export"]


@click.group("export")
def export() -> None:
    """Logs for a bug report, an SSH configuration, an Ansible inventory.

    \b
    labctl export logs
    labctl export ssh-config > lab.ssh && ssh -F lab.ssh worker1
    labctl export inventory > lab.yaml && ansible -i lab.yaml workers -m ping
    """


@export.command("ssh-config")
@click.option(
    "--through-docker/--direct",
    default=sys.platform != "linux",
    help="By docker exec, where the nodes' addresses cannot be reached (Docker Desktop).",
)
@lab_command
def ssh_config(app: App, through_docker: bool) -> None:
    """An SSH configuration with all nodes, on stdout.

    \b
    labctl export ssh-config > lab.ssh
    ssh -F lab.ssh worker1 docker ps
    """
    from labctl.export import ssh_config as text_of

    lab = app.lab()
    click.echo(text_of(lab.name, lab.nodes, through_docker=through_docker), nl=False)


@export.command("inventory")
@click.option("--connection", type=click.Choice(["ssh", "docker"]), default="ssh", show_default=True, help="By what.")
@lab_command
def inventory(app: App, connection: Literal["ssh", "docker"]) -> None:
    """An Ansible inventory, with the groups managers and workers, on stdout.

    \b
    labctl export inventory > lab.yaml
    ansible -i lab.yaml workers -m command -a uptime
    """
    from labctl.export import inventory as text_of

    lab = app.lab()
    click.echo(text_of(lab.name, lab.nodes, connection=connection), nl=False)


@export.command("logs")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to; here where not said.")
@lab_command
def logs(app: App, output: Path | None) -> None:
    """One archive with all that a bug report needs. Its path is printed on stdout.

    Known secrets are removed: the values of variables, what commands are given, keys, tokens, passwords in logs. A log
    may hold others: read the archive before you post it. It works with a lab that is half dead, and without one: what
    does not answer is told inside, in index.json.

    \b
    labctl export logs
    labctl export logs -o /tmp/report.tar.gz
    """
    from labctl.export import Collector, Redactor, host_collectors, lab_collectors, write_archive
    from labctl.export.collectors import lab_secrets

    lab, problem = _lab_or_problem(app)
    file = _file(output, lab.name if lab else "none")
    looks = [*host_collectors(app.context.engine), Collector("doctor.json", lambda: _doctor(lab))]
    redactor = Redactor()
    if lab is not None:
        looks += [Collector("lab/status.json", lambda: _status(app, lab))]
        looks += lab_collectors(app.context.engine, lab.backend, lab.record)
        redactor = Redactor(lab_secrets(lab.record))
    else:
        looks.append(Collector("lab/problem.txt", lambda: problem))
    missing = write_archive(file, looks, redactor)
    if lab is None:
        click.echo(
            f"{with_lab(problem, named_lab(click.get_current_context()))}. The report is of this machine alone.",
            err=True,
        )
    click.echo(file)
    click.echo(
        "Known secrets are removed, and a log may hold others: read it before you post it."
        f" {len(looks) - len(missing)} of {len(looks)} looks came to something.",
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


def _file(output: Path | None, lab: str) -> Path:
    from datetime import UTC, datetime

    name = f"labctl-logs-{lab}-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    file = Path(name) if output is None else output / name if output.is_dir() else output
    if str(output) == "-":
        raise UsageError("-o -: the archive goes to a file, not to standard output", hint="`-o FILE` names one.")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent}: there is no such folder")
    if is_special(file):
        raise UsageError(f"{file} is a pipe, a socket or a device", hint="`-o FILE` takes a file's path.")
    return file.absolute()


def _doctor(lab: Lab | None) -> object:
    from labctl.host import examine

    return examine(max(1, len(lab.nodes) if lab else 4)).to_dict()


def _status(app: App, lab: Lab) -> object:
    from labctl.lab import status_of

    return status_of(app.context, lab.record).to_dict()
