"""A command in a container with its streams open: nothing of its output is lost, and its end is waited for."""

from __future__ import annotations

import struct
from typing import Protocol

import pytest

from labctl.engine import Engine
from labctl.engine.attached import STDERR, STDOUT, Attached
from labctl.errors import EngineRefused, EngineUnreachable
from labctl.kept import Kept

from ..tiny_engine import Handler
from .conftest import Serve


def frame(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(content)) + content


class Run(Protocol):
    def __call__(
        self, content: bytes, *, states: list[dict[str, object]] | None = None, tty: bool = False
    ) -> Attached: ...


@pytest.fixture
def run(serve: Serve) -> Run:
    """Attach to a command that writes the given bytes."""

    def attach(content: bytes, *, states: list[dict[str, object]] | None = None, tty: bool = False) -> Attached:
        left = list(states or [{"Running": False, "ExitCode": 0}])

        def inspect(handler: Handler) -> None:
            handler.send(200, left.pop(0) if len(left) > 1 else left[0])

        engine: Engine = serve(
            {
                "POST /containers/c1/exec": lambda handler: handler.send(201, {"Id": "e1"}),
                "POST /exec/e1/start": lambda handler: handler.hijack(content),
                "GET /exec/e1/json": inspect,
            }
        )
        return Attached(engine, "c1", ["sh"], tty=tty)

    return attach


def test_output_that_comes_in_one_packet_with_the_answer_is_not_lost(run: Run) -> None:
    attached = run(frame(STDOUT, b"hello ") + frame(STDERR, b"oh") + frame(STDOUT, b"world"))

    assert list(attached.output()) == [(STDOUT, b"hello "), (STDERR, b"oh"), (STDOUT, b"world")]
    attached.close()


def test_a_terminals_output_has_no_frames(run: Run) -> None:
    attached = run(b"\x1b[1mhello", tty=True)

    assert b"".join(data for _, data in attached.output()) == b"\x1b[1mhello"
    attached.close()


def test_output_that_is_cut_short_is_not_taken_for_whole(run: Run) -> None:
    attached = run(frame(STDOUT, b"hello")[:-2])

    with pytest.raises(EngineUnreachable, match="cut a command's output short"):
        list(attached.output())
    attached.close()


def test_the_exit_code_is_that_of_the_commands_end(run: Run) -> None:
    attached = run(b"", states=[{"Running": True, "ExitCode": None}, {"Running": False, "ExitCode": 7}])

    assert list(attached.output()) == []
    assert attached.exit_code() == 7
    attached.close()


def test_a_container_that_does_not_run_refuses(serve: Serve) -> None:
    engine = serve(
        {"POST /containers/c1/exec": lambda handler: handler.send(409, {"message": "Container c1 is not running"})}
    )

    with pytest.raises(EngineRefused, match="is not running"):
        Attached(engine, "c1", ["true"])


def test_of_endless_output_the_last_part_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.engine.attached.Kept", lambda: Kept(4))
    attached = run(frame(STDOUT, b"123456") + frame(STDERR, b"abcde") + frame(STDOUT, b"78"))

    outcome = attached.outcome()
    attached.close()

    assert (outcome.stdout, outcome.stderr, outcome.dropped) == (b"5678", b"bcde", 5)
