"""`labctl exec`: one command on many nodes at once."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, TextIO

import click

from labctl.cli.common import App, lab_command, output_option, print_json
from labctl.cli.completers import complete_filters
from labctl.cli.dashes import CommandBehindDashes, behind_dashes
from labctl.cli.hints import named_lab, with_lab
from labctl.cli.streams import drawn_on, readable, write_bytes
from labctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.lab.everywhere import NodeResult

__all__ = ["exec_"]

BLOCK = 1 << 16  # characters that are written at once: millions of short lines would take minutes one by one


@click.command("exec", cls=CommandBehindDashes)
@click.argument("pattern", default="@all", metavar="[FILTER]", shell_complete=complete_filters)
@click.option(
    "--limit",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Timeout for each node, in seconds.",
)
@output_option
@lab_command
def exec_(app: App, pattern: str, limit: float, output: str) -> int:
    """Run a command on several nodes at once.

    FILTER is @all, @manager, @worker, @worker:0, a name, or several of these separated by commas (default: @all). A
    single word after `--` goes to the node's shell; several words run without one. The exit code is the highest of
    all nodes; a node that is down counts as 3. The last 16 MiB of each node's stdout and stderr are kept. On a
    terminal, control characters are escaped; a pipe receives every byte unchanged.

    \b
    labctl exec -- uptime
    labctl exec @worker -- docker ps --all
    labctl exec w1,w2 -- 'ip -br addr | grep eth0'
    labctl exec -o json -- cat /etc/hostname
    """
    from labctl.lab.everywhere import highest

    words = behind_dashes()
    if not words or not words[0].strip():
        raise UsageError("what shall be run? The command stands behind `--`", hint="labctl exec @worker -- uptime")
    if words[0].startswith("-"):
        raise UsageError(
            f"{words[0]} stands behind `--`, where the nodes' own command begins",
            hint="labctl's own flags come before it: labctl exec -l NAME @worker -- uptime",
        )
    lab = app.lab()
    nodes = lab.select(pattern)
    said = named_lab(click.get_current_context())
    talk = _Talk(max(len(node.name) for node in nodes), quiet=output == "json", lab=said)
    answers = lab.run(words[0] if len(words) == 1 else list(words), nodes, limit=limit, on_result=talk)
    if output == "json":
        print_json([answer.to_dict() for answer in answers])
    return highest(answers)


class _Talk:
    """Says what each node said, whole nodes one after the other, the node's name before each line.

    `lab` is the lab that labctl was told to be about, for the commands that labctl itself tells to type.
    """

    def __init__(self, width: int, *, quiet: bool, lab: str | None = None) -> None:
        self._width = width
        self._quiet = quiet
        self._lab = lab
        self._lock = threading.Lock()

    def __call__(self, answer: NodeResult) -> None:
        if self._quiet:
            return
        with self._lock:
            self._lines(answer, answer.stdout, sys.stdout)
            # Without a code the command did not run, and what stands there is labctl's own word, not the node's.
            own = answer.code is None
            self._lines(answer, with_lab(answer.stderr, self._lab) if own else answer.stderr, sys.stderr)
            if answer.code:
                self._lines(answer, f"exit code {answer.code}", sys.stderr)

    def _lines(self, answer: NodeResult, text: str, out: TextIO) -> None:
        is_terminal = out.isatty()
        name = answer.node.ljust(self._width)
        if is_terminal:
            name = click.style(name, fg="red" if answer.code != 0 else "cyan")
        for block in _blocks(text):
            lines = (readable(block, out) if is_terminal else block).removesuffix("\n").replace("\n", f"\n{name} | ")
            said = f"{name} | {lines}\n"
            if is_terminal:
                click.echo(said, nl=False, file=drawn_on(out), color=True)
            else:  # whatever this machine's own encoding is
                write_bytes(said.encode(errors="surrogateescape"), out)


def _blocks(text: str) -> Iterator[str]:
    """The text in parts of whole lines."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + BLOCK) + 1 or len(text)
        yield text[begin:end]
        begin = end
