"""`labctl map`: nodes as columns, their tasks below them."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, lab_command, output_option, print_json
from labctl.cli.hints import named_lab, with_lab
from labctl.errors import LabctlError

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

    from labctl.lab.mapping import MapNode, MapTask, SwarmMap

__all__ = ["draw", "map_"]

NARROWEST, WIDEST = 14, 28  # characters of a column
GAP = 2
MOST_LINES = 12  # tasks of one node that are told one by one
GOOD = ("running", "complete")
BAD = ("failed", "rejected", "orphaned")
STYLES = {"ready": "green", "active": "green", "down": "red", "drain": "yellow", "pause": "yellow"}


@click.command("map")
@click.option("-w", "--watch", is_flag=True, help="Redraw it until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(min=0.2), default=1.0, show_default=True, help="Seconds between redraws."
)
@output_option
@lab_command
def map_(app: App, watch: bool, interval: float, output: str) -> None:
    """Show each node with its tasks.

    ★ marks the leader. Tasks: ● running, ◌ starting, ✗ failed. `--watch -o json` prints a line of JSON for each
    change.

    \b
    labctl map
    labctl map --watch
    labctl map -o json
    """
    if watch and output == "json":
        _watch_json(app, interval)
    elif watch:
        _watch(app, interval)
    elif output == "json":
        print_json(app.lab(others=True).map().to_dict())
    else:
        from labctl.cli.console import console

        screen = console()
        lab = app.lab(others=True)
        if not (owner := lab.record.owner).is_you:
            click.echo(f"Lab {lab.name} belongs to {owner}, who has its keys: only its machines are shown.", err=True)
        screen.print(draw(lab.map(), screen.width))


def _looks(app: App, interval: float) -> Iterator[SwarmMap | LabctlError]:
    """Look for as long as somebody watches; a lab that does not answer is shown, not an end."""
    app.lab(others=True)  # one that is not there at all is told before anything is drawn
    while not _reader_is_gone():
        try:
            yield app.lab(others=True).map()
        except LabctlError as problem:
            yield problem
        time.sleep(interval)


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more; where that cannot be asked, the next write tells."""
    if sys.platform == "win32":
        return False
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (OSError, ValueError):  # no file at all
        return False


def _watch(app: App, interval: float) -> None:
    from rich.live import Live

    from labctl.cli.console import console

    screen = console()
    if not sys.stdout.isatty():
        before: object = None
        for seen in _looks(app, interval):
            if str(seen) != before:
                before = str(seen)
                screen.print(_trouble(seen) if isinstance(seen, LabctlError) else draw(seen, screen.width))
        return
    with Live(console=screen, screen=True, auto_refresh=False) as live:
        for seen in _looks(app, interval):
            shown: RenderableType = (
                _trouble(seen, style="red") if isinstance(seen, LabctlError) else draw(seen, screen.width)
            )
            live.update(shown, refresh=True)


def _trouble(problem: LabctlError, style: str = "") -> Text:
    """What is shown in place of the map of a lab that does not answer."""
    from rich.text import Text

    return Text(_said(problem), style=style)


def _said(problem: LabctlError) -> str:
    return with_lab(problem.message, named_lab(click.get_current_context(silent=True)))


def _watch_json(app: App, interval: float) -> None:
    before = ""
    for seen in _looks(app, interval):
        line = json.dumps({"error": _said(seen)} if isinstance(seen, LabctlError) else seen.to_dict())
        if line != before:
            click.echo(line)
            before = line


def draw(swarm: SwarmMap, width: int) -> Group:
    """Draw the map for a screen that is `width` characters wide: as many columns as fit, in rows."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    columns = [_lines(column) for column in swarm.nodes]
    longest = max((line.cell_len for lines in columns for line in lines), default=NARROWEST)
    wide = min(max(longest, NARROWEST), WIDEST, max(width, 1))
    fitting = max(1, (width + GAP) // (wide + GAP))
    parts: list[RenderableType] = []
    for first in range(0, len(columns), fitting):
        grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        row = columns[first : first + fitting]
        for _ in row:
            grid.add_column(width=wide, no_wrap=True, overflow="ellipsis")
        grid.add_row(*(Text("\n").join(lines) for lines in row))
        parts += [grid, Text("")]
    waiting = [_task_line(task).append(f"  {task.reason or 'on no node yet'}", style="dim") for task in swarm.waiting]
    if waiting:
        parts += [Text("waiting", style="bold yellow"), *waiting, Text("")]
    if any(column.leader for column in swarm.nodes):
        parts += [Text("★ leads the managers", style="dim"), Text("")]
    return Group(*parts[:-1])


def _lines(column: MapNode) -> list[Text]:
    from rich.text import Text

    head = Text(column.name, style="bold")
    if column.leader:
        head.append(" ★", style="yellow")
    state = Text(column.role, style="dim")
    for word in filter(None, (column.state, column.availability)):
        state.append(" ").append(word, style=STYLES.get(word, "red"))
    return [head, state, *_task_lines(column.tasks)]


def _task_lines(tasks: Sequence[MapTask]) -> list[Text]:
    if len(tasks) <= MOST_LINES:
        return [_task_line(task) for task in tasks]
    counted: dict[tuple[str, str], int] = {}
    for task in tasks:
        counted[task.service, task.state] = counted.get((task.service, task.state), 0) + 1
    return [_line(f"{service} ×{count}", state) for (service, state), count in counted.items()]


def _task_line(task: MapTask) -> Text:
    return _line(task.name, task.state)


def _line(name: str, state: str) -> Text:
    from rich.text import Text

    mark, style = ("●", "green") if state in GOOD else ("✗", "red") if state in BAD else ("◌", "yellow")
    line = Text(f"{mark} ", style=style).append(name, style="default")
    return line if state == "running" else line.append(f" {state}", style=style)
