"""`--unlock-key`: the key of a swarm whose managers are locked when they start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from labctl.errors import UsageError

__all__ = ["given_key", "unlock_option"]

F = TypeVar("F", bound=Callable[..., Any])
META = "labctl.unlock_key"
ENVIRONMENT = "LABCTL_UNLOCK_KEY"


def unlock_option(function: F) -> F:
    """Give a command `--unlock-key`; the App's context has the key (see `given_key`)."""
    return click.option(
        "--unlock-key",
        metavar="KEY",
        envvar=ENVIRONMENT,
        expose_value=False,
        callback=_remember,
        help=f"The key of an autolocked swarm; - reads it from stdin (or set {ENVIRONMENT}).",
    )(function)


def given_key() -> str | None:
    """The key that this command was given, if any."""
    context = click.get_current_context(silent=True)
    return None if context is None else cast("str | None", context.find_root().meta.get(META))


def _remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    key = _read() if value == "-" else value
    if not key.strip():
        raise UsageError("the unlock key is empty", hint="`docker swarm unlock-key` on a manager that works prints it.")
    context.find_root().meta[META] = key.strip()


def _read() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt("Unlock key", hide_input=True, err=True))
    return sys.stdin.readline() if sys.stdin is not None else ""
