"""A terminal on a node, over SSH."""

from __future__ import annotations

import contextlib
import os

from labctl.transport.client import hand_over, is_clients, ssh_words
from labctl.transport.seat import Terminal
from labctl.transport.ssh_command import SshCommand, text_of
from labctl.transport.ssh_connection import SshConnection
from labctl.transport.terminal import Noted, at_terminal, pipe, sit

__all__ = ["attach", "seat"]

HELD = 10.0  # seconds that a command that has ended may go on to hold its output
# Ctrl-C is for the command: the shell that waits for its exit code outlives it.
AT_TERMINAL = 'trap : INT QUIT; "$@"; exit $?'


def attach(connection: SshConnection, command: list[str]) -> int:
    """Run a command with our terminal (or our pipes) and return its exit code."""
    if at_terminal():
        text = text_of(["/bin/sh", "-c", AT_TERMINAL, "sh", *command])
        if is_clients():
            with connection.session():  # tells in our words of a node that is silent, or is another than it was
                pass
            return hand_over(ssh_words(connection.login, text))
        with contextlib.closing(SshCommand(connection, text, terminal=os.environ.get("TERM", "xterm"))) as running:
            return sit(running, cut=running.close, end=lambda: None)  # sshd ends it with its session (SIGHUP)
    noted = Noted()
    with contextlib.closing(SshCommand(connection, text_of(noted.starting(command)), held=HELD)) as running:
        return pipe(running, lambda: _end(connection, noted))


def seat(connection: SshConnection, command: list[str], term: str, size: tuple[int, int]) -> Terminal:
    """Run a command with a terminal that the caller holds. sshd ends it with its session (SIGHUP)."""
    text = text_of(["/bin/sh", "-c", AT_TERMINAL, "sh", *command])
    running = SshCommand(connection, text, terminal=term, size=size)
    return Terminal(running, cut=running.close, end=lambda: None)


def _end(connection: SshConnection, noted: Noted) -> None:
    """sshd does not end what it runs for somebody who has gone, unless that had a terminal."""
    limit = connection.login.limits.answer
    with contextlib.closing(SshCommand(connection, text_of(noted.ending()), limit=limit)) as ending:
        for _ in ending.output():
            pass
