"""stack deploy, config, rm, ls, services, ps: whole applications from a stack file."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.common import App, lab_command, output_option, print_json, table
from labctl.cli.completers import complete_stacks
from labctl.cli.dockerwords import DockerCommand, DockerGroup
from labctl.cli.stack_rows import (
    format_option,
    print_ids,
    print_rows,
    service_fields,
    task_fields,
)
from labctl.errors import UsageError, raise_all

if TYPE_CHECKING:
    from labctl.swarm.refusal import FileRefused

__all__ = ["stack"]


@click.group("stack", cls=DockerGroup)
def stack() -> None:
    """Deploy stack files and wait until they have converged.

    \b
    labctl stack deploy docker-stack.yml voting
    labctl stack rm voting

    Docker's aliases work, too: `stack up` deploys, `stack down` and `stack remove` remove.
    """


files_option = click.option(
    "-c",
    "--compose-file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="A stack file, instead of FILE. Several are merged, as Docker does. `-` reads stdin.",
)


@stack.command("deploy", cls=DockerCommand)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.argument("name", required=False)
@files_option
@click.option("--limit", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Timeout in seconds.")
@click.option("--prune", is_flag=True, help="Remove services that the file no longer names.")
@click.option(
    "--resolve-image",
    type=click.Choice(["always", "changed", "never"]),
    help="When to ask the registry for an image's digest. Docker's default: always.",
)
@click.option("--with-registry-auth", is_flag=True, help="Send the manager's registry login to the nodes.")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until the services run.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, only warnings.")
@output_option
@lab_command
def deploy_(app: App, file: Path | None, name: str | None, files: tuple[Path, ...], output: str, **flags: Any) -> None:
    """Deploy FILE as the stack NAME, and wait until its services run. Run it again to update the stack.

    It runs `docker stack deploy` on a manager. It copies the files that FILE refers to, and takes the value of each
    ${VARIABLE} from your shell. If a service does not converge, it says why and exits with 1. A task must run for 5
    seconds, as for Docker's CLI, or pass its health check.

    \b
    labctl stack deploy docker-stack.yml voting
    labctl stack deploy docker-stack.yml voting --limit 30
    labctl stack deploy -c docker-stack.yml -c local.yml voting
    """
    from labctl.swarm.refusal import FileRefused
    from labctl.swarm.stack import check_name

    files, name = _meant(file, name, files)
    app.progress = "none" if flags["quiet"] else app.progress
    check_name(name)
    text = _checked(files)
    try:
        deployed = app.lab().deploy(
            files,
            name,
            text=text,
            prune=flags["prune"],
            registry_auth=flags["with_registry_auth"],
            resolve_image=flags["resolve_image"],
            wait=not flags["detach"],
            limit=flags["limit"],
        )
    except FileRefused as refused:
        raise _with_own_cli(refused, files, name) from None
    if output == "json":
        rows = [asdict(one) for one in app.lab().stack_services(name)]
        print_json({"stack": name, "services": rows, "urls": deployed.urls})
    else:
        for url in deployed.urls:
            click.echo(url)


def _meant(file: Path | None, name: str | None, files: tuple[Path, ...]) -> tuple[tuple[Path, ...], str]:
    """The files and the name that are meant: by `FILE NAME`, or by `-c FILE NAME` as with Docker."""
    if files and file is not None and name is None:
        return files, str(file)
    if files or file is None or name is None:
        raise UsageError(
            "deploy takes a stack file and a name for the stack",
            hint="For example: labctl stack deploy docker-stack.yml web, or labctl stack deploy -c a.yml -c b.yml web",
        )
    return (file,), name


def _checked(paths: Sequence[Path]) -> str | None:
    """Return what comes on stdin, where `-` alone is the stack file.

    What is wrong with the files is told here, before a lab is looked for.
    """
    from labctl.lab.stacks import read_files

    if len(paths) > 1 and Path("-") in paths:
        raise UsageError("`-` cannot be one of several stack files", hint="Put what comes on stdin into a file.")
    text = sys.stdin.read() if paths[0] == Path("-") else None
    read_files(paths, text=text)
    return text


def _with_own_cli(refused: FileRefused, paths: Sequence[Path], name: str) -> FileRefused:
    """The error, with the way that works when this machine's own CLI parses the files that the node's refuses."""
    given = [word for path in paths for word in ("-c", str(path))]
    program = shutil.which("docker")
    if program is None or Path("-") in paths:
        return refused
    try:
        tried = subprocess.run(
            [program, "stack", "config", *given], capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return refused
    if tried.returncode == 0:
        command = shlex.join(["stack", "deploy", *given, name])
        refused.hint = f"{refused.hint} This machine's own accepts its syntax: `labctl docker -- {command}`."
    return refused


@stack.command("rm")
@click.argument("names", nargs=-1, required=True, shell_complete=complete_stacks)
@click.option("--limit", type=click.FloatRange(min=0), default=90.0, show_default=True, help="Timeout in seconds.")
@output_option
@lab_command
def rm(app: App, names: tuple[str, ...], limit: float, output: str) -> None:
    """Remove stacks, and wait until their tasks and networks are gone. Their volumes stay.

    Containers on a node that does not answer may keep running until it is back; such nodes are listed. If a stack
    does not exist, the others are removed and the exit code is 2.

    \b
    labctl stack rm voting
    labctl stack rm voting web
    """
    from labctl.lab.removing import remove_stacks

    removed, missing = remove_stacks(app.lab(), names, limit)
    if output == "json":
        rows = [{"stack": name, "removed": True, "silent_nodes": list(nodes)} for name, nodes in removed.items()]
        print_json([*rows, *({"stack": one.name, "removed": False, "silent_nodes": []} for one in missing)])
    raise_all(missing)


@stack.command("ls", cls=DockerCommand)
@format_option
@output_option
@lab_command
def ls(app: App, template: str | None, output: str) -> None:
    """List the stacks.

    \b
    labctl stack ls
    """
    found = app.lab().stacks()
    if output == "json":
        print_json([{"name": name, "services": number} for name, number in found.items()])
    elif template and template != "table":
        print_rows(template, [{"Name": name, "Services": number} for name, number in found.items()])
    else:
        table(("NAME", "SERVICES"), [(name, str(number)) for name, number in found.items()])


@stack.command("services", cls=DockerCommand)
@click.argument("name", shell_complete=complete_stacks)
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
@format_option
@output_option
@lab_command
def services(app: App, name: str, quiet: bool, template: str | None, output: str) -> None:
    """List a stack's services, how many of their tasks run, and why the others do not.

    \b
    labctl stack services voting
    """
    found = app.lab().stack_services(name)
    if output == "json":
        print_json([asdict(one) for one in found])
    elif quiet:
        print_ids([one.id for one in found])
    elif template and template != "table":
        print_rows(template, [service_fields(one) for one in found])
    else:
        cells = [(one.name, one.mode, one.tasks, one.image, " ".join(one.ports), one.reason) for one in found]
        table(("NAME", "MODE", "TASKS", "IMAGE", "PORTS", "WHY NOT ALL"), cells)


@stack.command("config")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@files_option
@lab_command
def config(app: App, file: Path | None, files: tuple[Path, ...]) -> None:
    """Print the stack file as Docker reads it: files merged, each ${VARIABLE} replaced.

    \b
    labctl stack config docker-stack.yml
    labctl stack config -c docker-stack.yml -c local.yml
    """
    paths = (*([file] if file else []), *files)
    if not paths:
        raise UsageError("config takes a stack file", hint="For example: labctl stack config docker-stack.yml")
    text = _checked(paths)
    click.echo(app.lab().stack_config(paths, text=text), nl=False)


@stack.command("ps", cls=DockerCommand)
@click.argument("name", shell_complete=complete_stacks)
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
@click.option("--no-trunc", "whole", is_flag=True, help="Do not truncate ids, images and errors.")
@format_option
@output_option
@lab_command
def ps(app: App, name: str, output: str, **flags: Any) -> None:
    """List a stack's tasks, past ones included, with their node, state and error.

    \b
    labctl stack ps voting
    """
    found = app.lab().stack_tasks(name)
    template, whole = flags["template"], flags["whole"]
    if output == "json":
        print_json([asdict(task) for task in found])
    elif flags["quiet"]:
        print_ids([task.id for task in found], whole=whole)
    else:
        fields = [task_fields(task, whole=whole) for task in found]
        if template and template != "table":
            print_rows(template, fields)
        else:
            headings = ("ID", "NAME", "IMAGE", "NODE", "DESIRED", "STATE", "ERROR")
            table(headings, [list(one.values())[: len(headings)] for one in fields])
