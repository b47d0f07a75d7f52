"""Every error that labctl raises on purpose, in one tree.

    LabctlError                 anything a user should read; carries a hint: what to do next
    ├── UsageError              the request itself is wrong: nothing was changed          (exit 2)
    │   ├── SpecError           flags, lab.yaml or exercise.md say no lab or exercise; all problems at once
    │   └── NotFoundError       no such lab, node, exercise, service: the nearest name is offered
    ├── NotYetError             the lab is fine, the goal is not reached                  (exit 1)
    ├── DeclinedError           somebody was asked, and said no: nothing was changed      (exit 1)
    ├── HostError               this machine cannot do it, as it is                       (exit 3)
    │   ├── EngineUnreachable   no Docker engine answers
    │   └── EngineRefused       the engine answered with an error; its own words are kept
    ├── LabError                the lab is broken or in the wrong state                   (exit 3)
    │   ├── CommandFailed       a command on a node ended badly; carries the whole Result
    │   ├── NodeDown            the node is not running, so nothing can be asked of it
    │   ├── QuorumLost          no manager can change the swarm any more
    │   ├── SwarmLocked         managers wait for the swarm's key
    │   └── Abandoned           given up because something else failed; that is what is told
    ├── WaitTimeout             a wait reached its limit; tells what was last seen        (exit 3)
    └── SeveralErrors           more than one thing failed at once; the first is shown first

    OutputFailed                an OSError of the system, not in the tree: stdout takes no more

The exit code is a property of the class, and `labctl.cli.main` is the only place that turns an
error into words and an exit code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labctl.transport.base import Result

__all__ = [
    "Abandoned",
    "CommandFailed",
    "DeclinedError",
    "EngineRefused",
    "EngineUnreachable",
    "HostError",
    "LabError",
    "LabctlError",
    "NodeDown",
    "NotFoundError",
    "NotYetError",
    "OutputFailed",
    "QuorumLost",
    "SeveralErrors",
    "SpecError",
    "SwarmLocked",
    "UsageError",
    "WaitTimeout",
    "raise_all",
]


# How much of a name must be the same for it to be offered: of `h3-b` and `o3-s`, half is, and that is little.
NEAR = 0.6


class OutputFailed(OSError):
    """stdout or stderr takes no more; every other OSError is about something else."""


class LabctlError(Exception):
    """Something a user should read: `message` says what is wrong, `hint` what to do next.

    `str()` of it is the message. A traceback, and pytest, show the hint below it, as a note.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def hint(self) -> str | None:
        """What to do next; None where nobody knows."""
        return self._hint

    @hint.setter
    def hint(self, hint: str | None) -> None:
        """Say what to do next, in the place of what was said before."""
        others = getattr(self, "__notes__", [])[1 if getattr(self, "_hint", None) else 0 :]
        self._hint = hint
        self.__notes__ = [*([f"-> {hint}"] if hint else []), *others]


class UsageError(LabctlError):
    """The request cannot be meant; nothing was changed."""

    exit_code = 2


class SpecError(UsageError):
    """Flags or lab.yaml do not describe a lab, or a file no exercise. `problems` holds every problem, each a line."""

    def __init__(
        self,
        problems: Sequence[str],
        *,
        source: str = "the lab's description",
        hint: str = "`labctl schema` prints what a lab.yaml may say.",
    ) -> None:
        self.problems = tuple(problems)
        self.source = source
        first, *rest = self.problems or ("it is empty",)
        message = first if not rest else "\n".join((f"{source}: {len(self.problems)} problems", *self.problems))
        super().__init__(message, hint=hint)


class NotFoundError(UsageError):
    """No such thing; the nearest name is offered. `known` is None where nobody could list what there is."""

    def __init__(
        self, kind: str, name: str, known: Iterable[str] | None, *, hint: str | None = None, in_order: bool = False
    ) -> None:
        names = list(known or ()) if in_order else sorted(known or ())
        near = difflib.get_close_matches(name, names, n=1, cutoff=NEAR)
        if near:
            offer = f"did you mean {near[0]}?"
        elif names:
            offer = f"there is: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"
        else:
            offer = f"there is no {kind} at all"
        told = f"no {kind} named {name!r}"
        super().__init__(told if known is None else f"{told}: {offer}", hint=hint)
        self.nearest = near[0] if near else None
        self.kind = kind
        self.name = name


class NotYetError(LabctlError):
    """The lab is fine, but what was asked for is not so yet."""

    exit_code = 1


class DeclinedError(LabctlError):
    """Somebody was asked, and said no."""

    exit_code = 1


class HostError(LabctlError):
    """This machine cannot do it, as it is."""


class EngineUnreachable(HostError):
    """No Docker engine answers. `silent`: it takes connections, and says nothing, as one does that hangs."""

    def __init__(self, message: str, *, hint: str | None = None, silent: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.silent = silent


class EngineRefused(HostError):
    """The engine answered with an error. `status` is the HTTP status, 0 where there was none."""

    def __init__(self, message: str, *, status: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class LabError(LabctlError):
    """The lab is broken, or not in the state that this needs."""


class CommandFailed(LabError):
    """A command on a node ended with an exit code that was not expected; `result` is whole."""

    def __init__(self, where: str, result: Result, *, hint: str | None = None) -> None:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        reason = "; ".join(said[-3:]) if said else "it printed nothing"
        super().__init__(f"{where}: `{result.shown}` exited {result.code}: {reason}", hint=hint)
        self.result = result


class NodeDown(LabError):
    """The node is not running; or its machine may well run (`silent`), and does not answer."""

    def __init__(self, node: str, state: str, *, silent: bool = False) -> None:
        verb, does = ("resume", "lets it go on") if state == "paused" else ("start", "starts it again")
        if silent:  # `start` leaves alone what runs
            verb, does = "restart", "starts it over, with its containers"
        super().__init__(f"node {node} is {state}", hint=f"`labctl {verb} {node}` {does}.")
        self.node = node


class QuorumLost(LabError):
    """More than half of the managers are gone: the swarm serves, but cannot be changed.

    `for_good`: so many have left that no start and no wait brings a majority back.
    """

    def __init__(self, message: str, *, hint: str | None = None, for_good: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.for_good = for_good


class SwarmLocked(LabError):
    """Managers wait for the swarm's key before they take part in it again; `nodes` are their names."""

    def __init__(self, nodes: Sequence[str]) -> None:
        asks = f"`labctl ssh {nodes[0]} docker swarm unlock` asks for the key"
        super().__init__(
            f"{', '.join(nodes)} {'is' if len(nodes) == 1 else 'are'} locked: the swarm's key unlocks a manager",
            hint=f"{asks}; `labctl start --unlock-key -` reads it from stdin.",
        )
        self.nodes = tuple(nodes)


class Abandoned(LabError):
    """Given up because something else failed at the same time; that other error is the one to tell."""


class WaitTimeout(LabctlError):
    """A wait reached its limit. `last_seen` is what the last look at it said."""

    def __init__(self, what: str, limit: float, last_seen: str, *, hint: str | None = None) -> None:
        super().__init__(f"gave up on {what} after {limit:g} s; last seen: {last_seen}", hint=hint)
        self.what = what
        self.limit = limit
        self.last_seen = last_seen


class SeveralErrors(LabctlError):
    """More than one of several things done at once failed."""

    def __init__(self, errors: Sequence[LabctlError]) -> None:
        self.errors = tuple(errors)
        self.exit_code = max(error.exit_code for error in errors)
        seen = dict.fromkeys(error.message for error in errors)
        super().__init__("\n".join(seen), hint=next((e.hint for e in errors if e.hint), None))


def raise_all(errors: Iterable[LabctlError]) -> None:
    """Raise what went wrong where others went well: the one error, SeveralErrors for more, nothing for none."""
    found = list(errors)
    if found:
        raise found[0] if len(found) == 1 else SeveralErrors(found)
