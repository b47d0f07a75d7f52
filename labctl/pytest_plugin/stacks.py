"""Stacks of a test: deployed under names of their own, asked, changed, and removed when the test is over."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labctl.events import Event
    from labctl.lab import Lab
    from labctl.lab.stacks import Deployment
    from labctl.swarm import Task
    from labctl.swarm.progress import Progress

__all__ = ["STACKS", "Stack", "StackMaker"]

STACKS = pytest.StashKey[list["Stack"]]()  # those of this process that stand
LONGEST = 20  # letters of a test's name; a service's whole name has at most 63


class Services(dict[str, "Progress"]):
    """Services by their names in the stack file."""

    def __missing__(self, name: str) -> Progress:
        from labctl import NotFoundError

        raise NotFoundError("service", name, sorted(self))


class Stack:
    """A stack that stands. `deployment` is what came of its last deploy, `warnings` what was told of it on the way."""

    def __init__(
        self, lab: Lab, name: str, files: tuple[Path, ...], given: Mapping[str, Any], folders: tuple[Path, ...]
    ) -> None:
        self.lab = lab
        self.name = name
        self._files = files
        self._folders = folders
        self._given = dict(given)
        self._deployment: Deployment | None = None
        self.warnings: list[str] = []

    @property
    def deployment(self) -> Deployment:
        """What came of the last deploy that ended well: `name`, `services`, `urls`."""
        if self._deployment is None:
            raise AttributeError(f"stack {self.name} was not deployed")
        return self._deployment

    @property
    def services(self) -> Services:
        """How each service stood at the end of that deploy, by its name in the file: `services["web"].running`.

        Nothing of it where that deploy did not wait; `tasks()` looks now. Raises NotFoundError for a name that the file
        does not have.
        """
        return Services({one.service.removeprefix(f"{self.name}_"): one for one in self.deployment.services})

    def service(self, name: str) -> str:
        """The name in the swarm of a service of the file: for `docker service ps` on a node."""
        return f"{self.name}_{name}"

    def url(self, service: str, path: str = "") -> str:
        """Where this host reaches a service that publishes a port, with a path behind it; errors as of `Lab.url`."""
        found = self.lab.url(self.service(service)).rstrip("/")
        return f"{found}/{path.lstrip('/')}" if path else found

    def tasks(self) -> list[Task]:
        """The stack's tasks as they now are, those that are over too."""
        from labctl.swarm.stack import tasks_of

        return tasks_of(self.lab.swarm(), self.name)

    def logs(self, service: str, *, tail: int | None = None) -> str:
        """What a service's tasks have said, a line each with its time and its task; see `Lab.service_logs`."""
        return self.lab.service_logs(self.service(service), tail=tail)

    def update(self, *files: Path | str, environment: Mapping[str, str] | None = None, **given: Any) -> Stack:
        """Deploy again under the same name, and wait: with other files, variables or flags where they are said."""
        if files:
            self._files = found_files(files, *self._folders)
            self._given.pop("text", None)
        self._given |= given
        if environment is not None:
            self._given["environment"] = {**self._given["environment"], **environment}
        self.warnings = []
        self._deployment = self.lab.deploy(self._files, self.name, **{"on_event": self._hear, **self._given})
        return self

    def _hear(self, event: Event) -> None:
        from labctl import Warned

        if isinstance(event, Warned):
            self.warnings.append(event.text)

    def remove(self) -> None:
        """Remove it, and wait until it is gone; the end of the test does, too."""
        self.lab.remove_stack(self.name)

    def __repr__(self) -> str:
        return f"<Stack {self.name} on lab {self.lab.name}>"


class StackMaker:
    """What the fixtures `stack` and `module_stack` are: call it to deploy."""

    def __init__(self, lab: Lab, request: pytest.FixtureRequest) -> None:
        self._lab = lab
        self._beside = request.path.parent
        self._root = request.config.rootpath
        self._label = _label(request.path.stem if isinstance(request.node, pytest.Module) else request.node.name)
        self._all = request.config.stash.setdefault(STACKS, [])
        self._mine: list[Stack] = []

    def __call__(
        self,
        *files: Path | str,
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        limit: float = 120.0,
        wait: bool = True,
        **flags: Any,
    ) -> Stack:
        """Deploy stack files under a name that no other stack has, and wait up to `limit` seconds until all runs.

        A path is looked for beside the test file, then in pytest's rootdir; several files are merged as Docker does.
        `environment` adds to this process's variables, or wins over them. `text` is what the one file stands for.
        `flags` are those of `Lab.deploy`. Raises UsageError for files that Docker does not take, NotYetError with the
        reasons for what does not run; the stack is removed with the others all the same.
        """
        from labctl.lab.stacks import refuse_wrong

        if text is None:
            found = found_files(files, self._beside, self._root)
        else:
            # A name that says in an error what is meant: no file of that name need be there.
            found = (self._beside / (files[0] if files else "text of stack()"),)
            flags["text"] = text
        given = {"environment": {**os.environ, **(environment or {})}, "limit": limit, "wait": wait, **flags}
        _refuse_unknown(flags)
        refuse_wrong(wait, limit)
        made = Stack(self._lab, f"{self._label}-{secrets.token_hex(3)}", found, given, (self._beside, self._root))
        self._mine.append(made)
        self._all.append(made)
        return made.update()

    def remove(self) -> None:
        """Remove all that were deployed, at once. One that the test removed is no error."""
        from labctl import NotFoundError, SeveralErrors

        mine, self._mine = self._mine, []
        try:
            if mine:
                self._lab.remove_stack(*(one.name for one in mine))
        except NotFoundError:
            pass
        except SeveralErrors as several:
            if not all(isinstance(one, NotFoundError) for one in several.errors):
                raise
        finally:
            self._all[:] = [one for one in self._all if one not in mine]


def found_files(files: tuple[Path | str, ...], *folders: Path) -> tuple[Path, ...]:
    """The files that are meant: in the first of the folders that has each. Raises UsageError for one that none has."""
    from labctl import UsageError

    if not files:
        raise UsageError("stack() deploys nothing", hint='It takes a file, or text="services: …".')
    found = []
    for file in files:
        places = dict.fromkeys(folder / file for folder in folders)
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            looked = " or ".join(str(place) for place in places)
            raise UsageError(
                f"there is no stack file {looked}", hint="A path goes from the test file, or from rootdir."
            )
        found.append(there)
    return tuple(found)


def _refuse_unknown(flags: Mapping[str, Any]) -> None:
    """Raise UsageError for flags that `Lab.deploy` does not have."""
    import difflib
    import inspect

    from labctl import Lab, UsageError

    known = {*inspect.signature(Lab.deploy).parameters} - {"self", "files", "name"}
    for flag in flags:
        if flag not in known:
            near = difflib.get_close_matches(flag, sorted(known), n=1)
            offer = f"did you mean {near[0]}=?" if near else f"there is {', '.join(sorted(known))}"
            raise UsageError(f"stack() takes no {flag}=: {offer}")


def _label(test: str) -> str:
    """What of a test's name can begin a stack's: test_web[a/b] is web-a-b."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", test.removeprefix("test_")).strip("-")
    return words[:LONGEST].strip("-").lower() or "stack"
