"""What the listings of `labctl stack` show: their rows, and docker's own fields for `--format`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labctl.words import counted

if TYPE_CHECKING:
    from labctl.lab.stacklists import StackService, StackTask

__all__ = ["format_option", "print_ids", "print_rows", "service_fields", "task_fields"]

F = TypeVar("F", bound=Callable[..., Any])
SHORT_ID = 12  # characters of an id that docker shows
HEADINGS = {
    "ID": "ID", "Name": "NAME", "Services": "SERVICES", "Mode": "MODE", "Replicas": "REPLICAS", "Image": "IMAGE",
    "Ports": "PORTS", "Node": "NODE", "DesiredState": "DESIRED STATE", "CurrentState": "CURRENT STATE",
    "Error": "ERROR",
}  # fmt: skip


def format_option(function: F) -> F:
    """Give a listing docker's `--format`."""
    return click.option(
        "--format",
        "template",
        metavar="TEMPLATE",
        help="A Go template with Docker's fields; start it with `table ` for headings. Or `json`.",
    )(function)


def print_rows(template: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print docker's fields of each row as the template has them; `json` is an object a line."""
    from labctl.cli.template import as_table

    template = "{{json .}}" if template == "json" else template
    click.echo(as_table(template, rows, headings=HEADINGS), nl=False)


def print_ids(ids: Sequence[str], *, whole: bool = False) -> None:
    """Print ids only, as short as docker has them."""
    click.echo("".join(f"{one if whole else one[:SHORT_ID]}\n" for one in ids), nl=False)


def _ago(since: float) -> str:
    seconds = max(0.0, time.time() - since)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{counted(count, unit)} ago"
    return "just now"


def service_fields(service: StackService) -> dict[str, Any]:
    """A service by docker's names for its fields."""
    return {
        "ID": service.id[:SHORT_ID],
        "Name": service.name,
        "Mode": service.mode.replace("-", " "),
        "Replicas": service.tasks,
        "Image": service.image,
        "Ports": ", ".join(service.ports),
    }


def task_fields(task: StackTask, *, whole: bool = False) -> dict[str, str]:
    """A task by docker's names for its fields, in the order of the table's columns."""
    from labctl.swarm.progress import shortened

    image = f"{task.image}@{task.digest}" if whole and task.digest else task.image
    return {
        "ID": task.id if whole else task.id[:SHORT_ID],
        "Name": task.name,
        "Image": image,
        "Node": task.node or "-",
        "DesiredState": task.desired,
        "CurrentState": f"{task.state} {_ago(task.since)}",
        "Error": " ".join(task.error.split()) if whole else shortened(task.error),
    }
