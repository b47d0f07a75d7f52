"""A Lab that is files in a folder, so that several processes share it, and a journal of what was asked of it.

The pytest that a test starts installs it from its conftest.py; `HOST` names the folder.
"""

from __future__ import annotations

import inspect
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import labctl
from labctl.errors import EngineUnreachable, LabError, NotFoundError, NotYetError
from labctl.events import StepFinished, StepProgress, StepStarted, Warned
from labctl.swarm.progress import Progress

HOST = "FAKE_HOST"
# What goes wrong, by a file of that name in the folder.
ENGINELESS, UP_FAILS, INTERRUPTED, KILLED, DOWN_FAILS = "engineless", "up-fails", "interrupted", "killed", "down-fails"


def host() -> Path:
    return Path(os.environ[HOST])


def goes_wrong(what: str) -> bool:
    return (host() / what).exists()


def note(*words: object) -> None:
    with (host() / "journal").open("a") as journal:
        journal.write(" ".join(map(str, words)) + "\n")


def ask_engine() -> None:
    if goes_wrong(ENGINELESS):
        raise EngineUnreachable("no engine answers at unix:///nowhere", hint="`labctl doctor` tells more.")


class FakeNode:
    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, command: Any, **_: Any) -> Any:
        shown = " ".join(command) if isinstance(command, list) else command
        return SimpleNamespace(ok=True, stdout=f"{self.name} ran {shown}\n", stderr="")


class FakeSwarm:
    def __init__(self, lab: FakeLab) -> None:
        self._lab = lab

    def nodes(self) -> list[FakeNode]:
        return list(self._lab.nodes)

    def services(self, *, stack: str) -> list[Any]:
        return [SimpleNamespace(name=f"{stack}_web")]


class FakeLab:
    """What the plugin asks of a lab."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes = tuple(FakeNode(one) for one in (host() / f"lab-{name}").read_text().split())

    @classmethod
    def up(
        cls,
        spec: Any = None,
        *,
        name: str,
        nodes: int | None = None,
        managers: int | None = None,
        workers: int | None = None,
        verify: bool = True,
        on_event: Any = None,
        **keys: Any,
    ) -> FakeLab:
        ask_engine()
        note("up", name, nodes or spec, *keys)
        if goes_wrong(UP_FAILS):
            raise LabError("worker1 does not start", hint="`labctl logs worker1` tells why.")
        on_event(StepStarted("Images", 1, 2))
        on_event(StepProgress("Images", "building nginx", 25.0))
        on_event(StepFinished("Images", 1, 2, 30.0, True, "12 images"))
        on_event(StepFinished("Nodes", 2, 2, 1.0))
        on_event(Warned("this machine is small"))
        names = ["manager1", *(f"worker{number}" for number in range(1, nodes or 2))]
        (host() / f"lab-{name}").write_text(" ".join(names))
        if goes_wrong(KILLED):
            (host() / KILLED).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if goes_wrong(INTERRUPTED):
            raise KeyboardInterrupt
        return cls(name)

    @classmethod
    def find(cls, name: str) -> FakeLab:
        ask_engine()
        if not (host() / f"lab-{name}").is_file():
            raise NotFoundError("lab", name, [], hint="`labctl up` makes one, `labctl labs` lists them.")
        return cls(name)

    def refresh(self) -> FakeLab:
        self.find(self.name)
        return self

    def down(self) -> None:
        self.find(self.name)
        note("down", self.name)
        if goes_wrong(DOWN_FAILS):
            raise LabError("the engine refuses", hint="`labctl status` tells more.")
        (host() / f"lab-{self.name}").unlink()

    def node(self, name: str) -> FakeNode:
        return next(node for node in self.nodes if node.name == name)

    def manager(self, *, limit: float | None = None) -> FakeNode:
        ask_engine()
        return self.nodes[0]

    def swarm(self, *, limit: float | None = None) -> FakeSwarm:
        ask_engine()
        return FakeSwarm(self)

    def deploy(
        self, files: tuple[Path, ...], name: str, *, environment: Mapping[str, str], limit: float, **more: Any
    ) -> Any:
        ask_engine()
        on_event = more.pop("on_event")
        said = more.pop("text", None) or files[0].read_text()
        for variable in ["IMAGE"] if "$IMAGE" in said and "IMAGE" not in environment else []:
            on_event(Warned(f"{variable} is not set: Docker puts nothing in its place"))
        note("deploy", name, said.strip(), environment.get("TAG", "-"), *more)
        (host() / f"stack-{name}").touch()
        if "broken" in said:
            raise NotYetError(
                f"{name}_web: 0 of 1 task runs; No such image: nosuch:1", hint="`labctl image ls` shows what there is."
            )
        return labctl.Deployment(name, (Progress(f"{name}_web", 1, 1, True),), ("http://127.0.0.1:30001",))

    def remove_stack(self, *names: str) -> None:
        ask_engine()
        self.find(self.name)
        missing = [name for name in names if not (host() / f"stack-{name}").exists()]
        for name in set(names) - set(missing):
            note("rm", name)
            (host() / f"stack-{name}").unlink()
        if missing:
            raise NotFoundError("stack", missing[0], [])

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:30001#{service}"

    def service_logs(self, service: str, *, tail: int | None = None) -> str:
        ask_engine()
        return f"{service} says hello\n"

    def export_logs(self, path: Path) -> Path:
        note("logs", self.name)
        (path / "logs.tar.gz").touch()
        return path / "logs.tar.gz"

    def events(self) -> Any:
        told = labctl.ServiceEvent(1, time.time() + 60, self.name, "manager1", "create", "app_web", "s1", {})
        return Events([told])


class Events(list[Any]):
    def close(self) -> None:
        note("events closed")


def install() -> None:
    """Let `from labctl import Lab` be this one. Its deploy takes what the real one takes."""
    from labctl.lab.lab import Lab

    vars(FakeLab.deploy)["__signature__"] = inspect.signature(Lab.deploy)
    vars(labctl)["Lab"] = FakeLab


@contextmanager
def wrong(what: str) -> Iterator[None]:
    """Let something go wrong in the block."""
    (host() / what).touch()
    yield
    (host() / what).unlink(missing_ok=True)
