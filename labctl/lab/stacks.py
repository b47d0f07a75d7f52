"""Stacks on a lab: deployed and removed with all that goes with it, by whoever asks.

The lab's stacks are held while their files are carried there, what the swarm cannot keep is told, services are waited
for, and the ways to published ports are found.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from labctl import edge
from labctl.errors import EngineUnreachable, LabctlError, LabError, NodeDown, UsageError
from labctl.events import Emit, Event, Noted, Steps, Warned
from labctl.locking import Busy
from labctl.node import Node
from labctl.state import lock
from labctl.swarm import Service, SwarmView, stack
from labctl.swarm.caveats import stack_caveats
from labctl.swarm.progress import Progress
from labctl.swarm.stackfile import StackFile, read_stack_files
from labctl.swarm.ways import Nearby
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.lab.core import LabCore

__all__ = [
    "DEPLOY_LIMIT",
    "Deployment",
    "Files",
    "Flags",
    "Resolve",
    "deploy",
    "merged",
    "read_files",
    "refuse_wrong",
    "summary",
]

DEPLOY_WAIT = 180.0  # seconds that another command may take to carry a stack to the lab
DEPLOY_LIMIT = 120.0  # seconds for its services to run
Resolve = Literal["always", "changed", "never"]
Files = Path | str | Sequence[Path | str]


class Flags(TypedDict, total=False):
    """What Docker's own command has for it."""

    prune: bool
    registry_auth: bool
    resolve_image: Resolve | None


@dataclass(frozen=True)
class Deployment:
    """What came of a deploy: how each service of the files stands, and where this host reaches published ports.

    `services` is empty where nobody waited for them. `warnings` keep nothing from running: a variable that is not set,
    a published port that another program has here.
    """

    name: str
    services: tuple[Progress, ...]
    urls: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def deploy(
    lab: LabCore,
    files: Files,
    name: str,
    *,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    wait: bool = True,
    limit: float = DEPLOY_LIMIT,
    **flags: Unpack[Flags],
) -> Deployment:
    """Deploy stack files as the stack of that name and wait until its services run; see `Lab.deploy`."""
    stack.check_name(name)
    refuse_wrong(wait, limit)
    described = read_files(files, environment, text)
    emit, warnings = _kept_warnings(lab.context.emit)
    steps = Steps(emit, total=2 if wait else 1)
    with steps.step("Deploying"), _held(lab, steps.note):

        def carry(manager: Node) -> stack.Deployed:
            return stack.deploy(manager, described, name, emit=steps.emit, noted=steps.note, **flags)

        manager, deployed = _by_a_manager(lab, steps, carry)
    view = _AnyManager(lab, manager, steps.emit)
    for caveat in stack_caveats(view, name, lab.nodes):
        steps.emit(Warned(caveat))
    found: list[Progress] = []
    if wait:
        with steps.step("Converging"):
            near = Nearby(partial(_is_here, lab), _tags_in_mirror)
            found = stack.wait_converged(
                view, deployed, nodes=lab.nodes, near=near, limit=limit, emit=steps.emit, noted=steps.note
            )
            steps.note(summary(found))
    urls = _open_ports(lab, view, name, emit)
    return Deployment(name, tuple(found), tuple(urls), tuple(warnings))


def _kept_warnings(emit: Emit) -> tuple[Emit, list[str]]:
    """Events on their way to `emit`, and the warnings among them."""
    warnings: list[str] = []

    def heard(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.text)
        emit(event)

    return heard, warnings


def refuse_wrong(wait: object, limit: object) -> None:
    """Raise UsageError for what cannot be a wait, before anything is deployed."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise UsageError(f"limit={limit!r}: seconds are wanted, as a number above 0")
    if not isinstance(wait, bool):
        raise UsageError(f"wait={wait!r}: True or False is wanted")


def _is_here(lab: LabCore, image: str) -> bool:
    try:
        return lab.context.engine.image(image) is not None
    except LabctlError:
        return False


def _tags_in_mirror(image: str) -> list[str]:
    """The names under which the lab's mirror serves what labctl has in the place of other tags of the image."""
    from labctl.images import mirror_mode, read_catalogue
    from labctl.images.names import parse

    try:
        wanted, mode = parse(image), mirror_mode()
    except LabctlError:
        return []
    served = (name for one in read_catalogue().images.values() for name in one.served(mode))
    return [name.familiar for name in served if wanted.is_hub and name.repository == wanted.repository]


def _by_a_manager(lab: LabCore, steps: Steps, carry: Callable[[Node], stack.Deployed]) -> tuple[Node, stack.Deployed]:
    """Let a manager do it; where that one dies meanwhile, another one does it again, which changes nothing more."""
    manager = lab.manager()
    try:
        return manager, carry(manager)
    except (EngineUnreachable, NodeDown) as problem:
        manager = _another(lab, problem, steps.emit)
        return manager, carry(manager)


class _AnyManager(SwarmView):
    """The swarm as a manager sees it, and as another one does when that one dies."""

    def __init__(self, lab: LabCore, manager: Node, emit: Emit) -> None:
        super().__init__(manager.engine)
        self._lab, self._emit = lab, emit

    def services(self, *, stack: str | None = None) -> list[Service]:
        """As the view's; each look at a stack begins with it."""
        try:
            return super().services(stack=stack)
        except EngineUnreachable as problem:
            self.engine = _another(self._lab, problem, self._emit).engine
            return super().services(stack=stack)


def _another(lab: LabCore, problem: LabctlError, emit: Emit) -> Node:
    """A manager that works, after one does not any more. Raises that one's error where none is left."""
    lab.refresh()
    try:
        manager = lab.manager()
    except LabError:
        raise problem from None
    emit(Noted(f"{problem.message}: {manager.name} goes on with it"))
    return manager


def read_files(files: Files, environment: Mapping[str, str] | None = None, text: str | None = None) -> list[StackFile]:
    """Read the files of a stack, `text` for the one that is no file, or for all of it where no file is given.

    Raises UsageError with every problem.
    """
    given = [files] if isinstance(files, Path | str) else list(files or ())
    if text is not None and (said := next((file for file in given if Path(file).is_file()), None)) is not None:
        raise UsageError(f"both the file {said} and a text are given", hint="To merge them, write the text to a file.")
    if not given and text is None:
        raise UsageError("no stack file is given", hint="Name one, or give its content as text=.")
    values = os.environ if environment is None else environment
    return read_stack_files([Path(file) for file in given or ["text="]], values, text=text)


def merged(lab: LabCore, files: Files, *, text: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """The stack file as Docker understands it: several merged, each ${VARIABLE} filled in."""
    described = read_files(files, environment, text)
    with _held(lab, lambda _: None):
        return stack.merged(lab.manager(), described)


def summary(found: Sequence[Progress]) -> str:
    """How many services run, and how many have done their work."""
    over = sum(one.completed == one.wanted > 0 for one in found)
    told = [counted(len(found) - over, "service runs", "services run")] if over < len(found) else []
    return ", ".join([*told, *([counted(over, "service completed", "services completed")] if over else [])])


@contextlib.contextmanager
def _held(lab: LabCore, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the lab against others who carry stack files to it: Docker refuses one of two half way."""

    def waiting(holder: str) -> None:
        note(f"waiting for another deploy to {lab.name}" + (f": {holder}" if holder else ""))

    engine = lab.context.engine.identity()
    try:
        with lock(f"_stacks-{lab.name}", wait=DEPLOY_WAIT, engine=engine, waiting=waiting):
            yield
    except Busy as busy:
        raise LabError(
            f"another labctl command has been deploying to {lab.name} for {DEPLOY_WAIT:g} s: {busy.holder}",
            hint="Wait for it, or end it, and try again.",
        ) from None


def _open_ports(lab: LabCore, view: SwarmView, name: str, emit: Emit) -> list[str]:
    """Where this host reaches the stack's published ports; the lab's proxy opens them by itself."""
    inside = {(port.published, port.protocol): port.target for port in stack.published_ports(view, name)}
    ways = edge.reach(lab.context.engine, lab.name, lab.nodes, list(inside), emit)
    # A way that somebody pinned was told of when it was.
    for way in (way for way in ways if way.moved and not way.pinned):
        told = f"port {way.asked} of 127.0.0.1 is taken by another program or lab"
        emit(Warned(f"{told}: the stack's port {way.target} is at 127.0.0.1:{way.host_port} instead"))
    return [way.url_of(inside.get((way.target, way.protocol), 0)) for way in ways]
