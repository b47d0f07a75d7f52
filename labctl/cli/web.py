"""labctl web: the lab in a browser, with an exercise beside it or without."""

from __future__ import annotations

import contextlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.common import App, lab_command
from labctl.cli.exercise_lab import begin, complete_exercises, found_exercise, lab_for, path_option
from labctl.cli.learning import lang_option, offer_what_comes_before
from labctl.cli.signals import Ended
from labctl.errors import UsageError

if TYPE_CHECKING:
    from socket import socket

    from labctl.exercise.session import Session
    from labctl.lab import Lab

__all__ = ["web"]

NEEDED = ("starlette", "uvicorn", "websockets")
LOOK = 0.5  # seconds; Python heeds a Ctrl-C that comes just before a wait begins only when that wait ends


@click.command("web")
@click.argument("name", metavar="[ID]", required=False, shell_complete=complete_exercises)
@click.option("--port", type=click.IntRange(1, 65535), help="The port on localhost (default: the first free one).")
@click.option("--open", "opened", is_flag=True, help="Open it in the browser of this machine.")
@path_option
@lang_option
@lab_command
def web(app: App, name: str | None, port: int | None, folders: tuple[Path, ...], *, opened: bool) -> int:
    """Show the lab in a browser: a terminal for each node, the map, and the exercise ID.

    Anybody who has the printed address can run commands on the nodes: keep it to yourself. Without an exercise, the
    page is a playground in which you add and remove nodes. Ctrl-C stops the page; the lab stays.

    \b
    labctl web
    labctl web first-swarm --open
    """
    _refuse_without_extra()
    from labctl.web.app import refuse_without_page
    from labctl.web.serving import bound

    refuse_without_page()
    found = found_exercise(name, folders) if name else None
    if found is None:
        lab, session = app.lab(), None
    else:
        offer_what_comes_before(found)
        lab = lab_for(app, found, ask=True)
        session = begin(app, lab, found)
    number, sockets = bound(port)
    if port is None and number != _first():
        click.echo(f"Port {_first()} is taken on this machine; the page is at {number}.", err=True)
    try:
        _serve(lab, session, number, sockets, opened=opened)
    except Ended:
        raise
    except KeyboardInterrupt:
        click.echo("\nThe page is closed. The lab stays.", err=True)
    return 0


def _refuse_without_extra() -> None:
    missing = [module for module in NEEDED if find_spec(module) is None]
    if missing:
        raise UsageError(
            f"the page needs what labctl is installed without: {', '.join(missing)}",
            hint=f"`{sys.executable} -m pip install 'swarm-labctl[web]'`, from a clone '.[web]', adds it.",
        )


def _first() -> int:
    from labctl.web.serving import FIRST_PORT

    return FIRST_PORT


def _serve(lab: Lab, session: Session | None, port: int, sockets: list[socket], *, opened: bool) -> None:
    from labctl.exercise.language import chosen, languages_of
    from labctl.exercise.run import Run
    from labctl.web.app import guarded
    from labctl.web.desk import Desk
    from labctl.web.safety import opening_file, session_key
    from labctl.web.serving import serving

    language = chosen() if session and chosen() in languages_of(session.exercise.folder) else "en"
    desk = Desk(lab, Run(session) if session is not None else None, language)
    guard = guarded(desk, port, session_key(lab.name))
    with contextlib.closing(desk), serving(guard, sockets) as over:
        desk.start()
        click.echo(guard.address)
        click.echo("Open it in a browser on this machine. Ctrl-C here ends the page.", err=True)
        if opened:
            import webbrowser

            webbrowser.open(opening_file(lab.name, guard.address).as_uri())
        while not over.wait(LOOK):
            pass
