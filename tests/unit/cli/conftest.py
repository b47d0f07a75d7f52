"""The command line as a user has it: no engine unless a test starts one, and a folder of its own to stand in."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from labctl.cli.main import run

from ..tiny_engine import Reply, Server


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, and what it said where."""

    code: int
    out: str
    err: str


Labctl = Callable[..., Outcome]
Engine = Callable[[Mapping[str, Reply]], None]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: Path) -> Path:
    """An empty folder, no engine, and nothing said by the environment."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return folder


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """What a command that is run here does with signals is undone: the next Ctrl-C is another test's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def labctl(capsys: pytest.CaptureFixture[str]) -> Labctl:
    """Run a command as the shell would, and return what it left."""

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = run(list(arguments))
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return Outcome(code, said.out, said.err)

    return call


@pytest.fixture
def engine(tiny_engine: Callable[[Mapping[str, Reply]], Server], monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Let a tiny engine be this host's."""

    def start(replies: Mapping[str, Reply]) -> None:
        monkeypatch.setenv("DOCKER_HOST", tiny_engine(replies).url)

    return start


@pytest.fixture
def empty_engine(engine: Engine) -> None:
    """This host has an engine, and no lab."""
    engine(
        {
            "GET /containers/json": lambda handler: handler.send(200, []),
            "GET /networks": lambda handler: handler.send(200, []),
            "GET /volumes": lambda handler: handler.send(200, {"Volumes": []}),
        }
    )
