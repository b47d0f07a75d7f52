"""What the listings of `labctl stack` show: their rows, and docker's own fields for `--format`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labctl.words import counted

if TYPE_CHECKING:
    from labctl.node import Node
    from labctl.swarm import Service, SwarmView, Task

__all__ = ["format_option", "print_ids", "print_rows", "service_fields", "service_rows", "task_fields", "task_row"]

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


def service_rows(view: SwarmView, name: str, nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """The stack's services, how many of their tasks run, and why not all."""
    from labctl.swarm.service import progress_of
    from labctl.swarm.stack import shown_ports, tasks_of

    found = view.services(stack=name)
    tasks = tasks_of(view, name) if any(port.mode == "host" for service in found for port in service.ports) else []
    hosts = {node.id: node.hostname for node in view.nodes()} if tasks else {}
    progress = {one.service: one for one in progress_of(view, [service.name for service in found], nodes)}
    return [
        {
            "id": service.id,
            "name": service.name,
            "mode": service.mode,
            "running": progress[service.name].serving,
            "wanted": progress[service.name].wanted,
            "completed": progress[service.name].completed,
            "tasks": progress[service.name].count,
            "converged": progress[service.name].done,
            "reason": progress[service.name].reason,
            "image": service.short_image,
            "ports": shown_ports(service, tasks, hosts),
        }
        for service in found
        if service.name in progress
    ]


def task_row(task: Task, services: dict[str, Service], hosts: dict[str, str]) -> dict[str, Any]:
    """A task, with its service's and its node's names."""
    service = services.get(task.service_id)
    node = hosts.get(task.node_id, task.node_id)
    slot = node if service is not None and service.is_global else task.slot
    return {
        "id": task.id,
        "name": f"{service.name if service else task.service_id}.{slot}",
        "image": task.image.partition("@")[0],
        "node": node,
        "desired": task.desired,
        "state": task.state,
        "since": task.since,
        "error": task.reason,
    }


def _ago(since: float) -> str:
    seconds = max(0.0, time.time() - since)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{counted(count, unit)} ago"
    return "just now"


def service_fields(row: dict[str, Any]) -> dict[str, Any]:
    """A service by docker's names for its fields."""
    ports = ", ".join(row["ports"])
    return {
        "ID": row["id"][:SHORT_ID],
        "Name": row["name"],
        "Mode": row["mode"].replace("-", " "),
        "Replicas": row["tasks"],
        "Image": row["image"],
        "Ports": ports,
    }


def task_fields(row: dict[str, Any], task: Task, *, whole: bool = False) -> dict[str, str]:
    """A task by docker's names for its fields, in the order of the table's columns."""
    from labctl.swarm.progress import shortened

    return {
        "ID": row["id"] if whole else row["id"][:SHORT_ID],
        "Name": row["name"],
        "Image": task.image if whole else row["image"],
        "Node": row["node"] or "-",
        "DesiredState": row["desired"],
        "CurrentState": f"{row['state']} {_ago(row['since'])}",
        "Error": " ".join(row["error"].split()) if whole else shortened(row["error"]),
    }
