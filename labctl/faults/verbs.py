"""Inject, heal and look: what the command line and `lab.fault` do with faults.

None of them holds the lab: a fault may strike while an `up` runs, and no fault waits for one. Only trying the lab with
nodes that are back (after `stop`, `kill`, `pause`) holds it, as `labctl start` does.
"""

from __future__ import annotations

import contextlib
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from labctl.concurrent import each
from labctl.errors import LabctlError, NotFoundError, NotYetError, UsageError, raise_all
from labctl.events import Noted, Warned
from labctl.faults import notes, services
from labctl.faults.finding import acting, on_host, on_nodes, on_services, search
from labctl.faults.kinds import KINDS, kind_named
from labctl.faults.majority import refuse_without_majority
from labctl.faults.model import SHARE, Fault, Kind, Scene, Word, as_flag, percent
from labctl.node import Node

__all__ = ["Injected", "active", "heal", "inject", "look", "pick", "planned", "tend"]


def pick(nodes: Sequence[Node], share: str = "", seed: str = "", word: Word = as_flag) -> list[Node]:
    """Some of the nodes: a number of them or a share such as 50%, at least one; the same seed picks the same.

    `word` is how options are called where it was said. Raises UsageError for what is neither.
    """
    if not share:
        return list(nodes)
    said_as = f"{word('pick')}{share}"
    said, is_share = share.strip(), share.strip().endswith("%")
    if not (SHARE.fullmatch(said) if is_share else re.fullmatch(r"\d{1,6}", said, re.ASCII)):
        raise UsageError(f"{said_as}: expected a number of nodes, or a share such as 50%")
    try:
        count = round(percent(said) / 100 * len(nodes)) if is_share else int(said)
    except ValueError as wrong:
        raise UsageError(f"{said_as}: {wrong}") from None
    if not is_share and not 1 <= count <= len(nodes):
        raise UsageError(f"{said_as}: there {'is 1' if len(nodes) == 1 else f'are {len(nodes)}'} to pick from")
    names = random.Random(seed or None).sample(  # noqa: S311  # a pick that can be repeated, no secret
        sorted(node.name for node in nodes), max(1, count)
    )
    return [node for node in nodes if node.name in names]


def planned(
    kind: Kind,
    targets: Iterable[str],
    options: Mapping[str, str] | None = None,
    seconds: float | None = None,
    word: Word = as_flag,
) -> list[Fault]:
    """The faults that an injection means, one for each target; `word` is how options are called where it was said.

    Raises UsageError for options that the kind has not, and for no target.
    """
    given, named = dict(options or {}), list(dict.fromkeys(targets))
    known = {option.name: option for option in kind.options}
    for name in given:
        if name not in known:
            has = ", ".join(word(one).strip() for one in known) or "none"
            raise UsageError(f"the fault {kind.name} takes no {word(name).strip()}; it takes {has}")
    said = {name: given.get(name, option.default) for name, option in known.items()}
    for name, value in said.items():
        try:
            if not value.isprintable():
                raise ValueError("expected a line of text")
            known[name].read(value)
        except ValueError as wrong:
            raise UsageError(f"{word(name)}{value}: {wrong}") from None
    if seconds is not None and kind.healer == "nobody":
        out = "--for" if word is as_flag else "seconds="
        raise UsageError(f"the fault {kind.name} is a single blow: it takes no time", hint=f"Leave out {out}.")
    if not named:
        raise UsageError(f"the fault {kind.name} acts on a {kind.acts_on}: which?")
    until = None if seconds is None else time.time() + seconds
    return [Fault(secrets.token_hex(3), kind.name, target, said, until) for target in named]


def inject(scene: Scene, faults: Sequence[Fault], *, sure: bool = False) -> list[Fault]:
    """Inject faults of one kind, all at once. When one fails, or Ctrl-C comes, the others are healed again.

    Raises UsageError when managers would lose their majority, unless `sure`; what the kind refuses; and CommandFailed.
    """
    kind, begun = kind_named(faults[0].kind), False
    try:
        with notes.striking_on(scene.lab, [fault.target for fault in faults]):
            for fault in faults:
                kind.refuse(scene, fault)
            if not sure:
                refuse_without_majority(scene, faults)
            begun = True
            each(faults, lambda fault: kind.inject(scene, fault))
    except BaseException:
        if begun:  # and nobody's node is held any more: healing holds it itself
            each(faults, lambda fault: _healed(kind, scene, fault))
        raise
    if kind.healer == "manager":
        for name in [fault.target for fault in faults if services.rolls_back(scene, fault.target)]:
            scene.emit(Warned(f"{name} rolls back an update that fails: the swarm ends this fault within seconds"))
    return list(faults)


def look(scene: Scene) -> tuple[list[Fault], list[str]]:
    """The faults that act in the lab now, or are being injected; and who could not be asked, each with the reason.

    Managers heal what they should have healed long ago: the one that had the lease was started again. What has ended
    otherwise (a node that was started) is left out.
    """
    found = search(scene)
    for told, _ in found.unread:
        scene.emit(Warned(f"{told}; `labctl fault heal --all` removes it"))
    acts = acting(scene, found.faults)
    late = [one for one in acts if one.is_overdue and KINDS[one.kind].healer == "manager"]
    faults = [one for one in acts if one not in late]
    for over in [one for one in found.faults if one not in acts and KINDS[one.kind].healer == "host"]:
        notes.forget(scene.lab, over.id)  # its node is in another run since: there is nothing to undo
    for fault in late:
        try:
            KINDS[fault.kind].heal(scene, fault)
            scene.emit(Noted(f"{fault.kind} on {fault.target} was overdue: it is healed"))
        except LabctlError:
            faults.append(fault)
    paused = {fault.target for fault in faults if fault.kind == "pause"}
    return faults, [told for told in found.silent if told.split(" ")[0] not in paused]


def active(scene: Scene) -> list[Fault]:
    """The faults that act in the lab now, or are being injected. Who could not be asked is warned of."""
    faults, silent = look(scene)
    for told in silent:
        scene.emit(Warned(f"not everybody could be asked for faults: {told}"))
    return faults


def tend(scene: Scene) -> None:
    """Heal services whose time is over, and let managers that were started again have the lease of the others."""
    for fault in acting(scene, on_services(scene).faults):
        if fault.is_overdue:
            KINDS[fault.kind].heal(scene, fault)
        elif fault.left is not None:
            services.arm(scene, fault.target, fault)


def heal(scene: Scene, ids: Sequence[str] | None = None) -> list[Fault]:
    """Heal the faults of these ids, or all, and try the lab with nodes that are back.

    Nodes come first, so that managers are back before services, which are looked for again then. What fails does not
    keep the others from being healed.
    Raises NotFoundError for an id that is none, NotYetError where not everybody could be asked for faults.
    """
    if ids is None:
        return _heal_all(scene)
    found = search(scene)
    known = {fault.id: fault for fault in found.faults}
    for wanted in ids:
        if wanted not in known:
            raise _unknown(scene, wanted, known, found.silent)
    chosen, healing = [known[wanted] for wanted in dict.fromkeys(ids)], _Healing(scene)
    healing.do(chosen, "host", "node")
    healing.try_nodes()
    healing.do(chosen, "manager")
    raise_all(healing.problems)
    return chosen


def _heal_all(scene: Scene) -> list[Fault]:
    """Heal all there is, and clear away what nobody can read."""
    healing, first = _Healing(scene), on_host(scene)
    healing.do(first.faults, "host")
    inside = on_nodes(scene)  # now that none is suspended any more
    healing.do(inside.faults, "node")
    for _, clear in (first + inside).unread:
        healing.attempt(clear)
    healing.try_nodes()
    last = on_services(scene)  # now that the managers are back
    for _, clear in last.unread:
        healing.attempt(clear)
    healing.do(last.faults, "manager")
    raise_all(healing.problems)
    if silent := (inside + last).silent:
        raise NotYetError(_not_asked(silent), hint="What could be found is healed; the others may have faults still.")
    return (first + inside + last).faults


class _Healing:
    """Heals one place after the other, and keeps what fails."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.problems: list[LabctlError] = []
        self._back: list[Fault] = []

    def do(self, faults: Sequence[Fault], *healers: str) -> None:
        """Heal those of the faults that these places heal: one place after the other, in each all at once."""
        for healer in healers:
            here = [fault for fault in faults if KINDS[fault.kind].healer == healer]
            each(here, lambda fault: self.attempt(lambda: self._heal(fault)))

    def _heal(self, fault: Fault) -> None:
        if KINDS[fault.kind].heal(self.scene, fault):
            self._back.append(fault)

    def try_nodes(self) -> None:
        """Let the engines of nodes that were apart meet again, and try the lab with nodes that were brought back."""
        apart = [fault.target for fault in self._back if KINDS[fault.kind].healer == "node"]
        back = [fault.target for fault in self._back if KINDS[fault.kind].healer == "host"]
        if apart:
            self.attempt(lambda: self.scene.meet(apart))
        if back:
            self.attempt(lambda: self.scene.start(back))

    def attempt(self, job: Callable[[], object]) -> None:
        """Do one thing; what it raises is told at the end."""
        try:
            job()
        except LabctlError as problem:
            self.problems.append(problem)


def _unknown(scene: Scene, wanted: str, known: Iterable[str], silent: Sequence[str]) -> LabctlError:
    """What an id means that nobody tells of: no fault's, or one of a node that could not be asked."""
    if silent:
        return NotYetError(f"no fault {wanted} is known, and {_not_asked(silent)}", hint="`labctl status` tells more.")
    return NotFoundError("fault", wanted, known, hint=f"`labctl fault status -l {scene.lab}` lists them.")


def _not_asked(silent: Sequence[str]) -> str:
    return f"not everybody could be asked for faults: {'; '.join(silent)}"


@dataclass
class Injected:
    """Faults for as long as a block runs: injected when it begins, healed when it ends, whatever ends it."""

    scene: Scene
    faults: Sequence[Fault]
    sure: bool = False

    def __enter__(self) -> Self:
        inject(self.scene, self.faults, sure=self.sure)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()

    def heal(self) -> None:
        """Heal them now; what has healed by itself is fine."""
        healing = _Healing(self.scene)
        healing.do(self.faults, "host", "node", "manager")
        healing.try_nodes()
        raise_all(healing.problems)

    def is_active(self) -> bool:
        """Whether any of them acts now."""
        return any(KINDS[fault.kind].state(self.scene, fault) == "acts" for fault in self.faults)


def _healed(kind: Kind, scene: Scene, fault: Fault) -> None:
    # The error that led here is the one to tell; `fault heal --all` tries again.
    with contextlib.suppress(LabctlError):
        kind.heal(scene, fault)
