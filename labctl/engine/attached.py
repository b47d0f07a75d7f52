"""A command in a container, with its input and output open: for results, terminals, pipes and copies."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, cast

from labctl.engine.errors import translated
from labctl.errors import EngineRefused, EngineUnreachable
from labctl.kept import Kept
from labctl.waiting import Pending, wait_until

if TYPE_CHECKING:
    from labctl.engine.client import Engine

__all__ = ["STDERR", "STDOUT", "Attached", "ExecOutcome", "frames"]

STDOUT, STDERR = 1, 2  # what a frame's first byte says (Engine API, "Attach to a container", stream format)
FRAME = struct.Struct(">BxxxL")
CHUNK = 1 << 16
CUT = 137  # the exit code of one that nobody waits for any more: it counts as killed
# An engine keeps some keys for itself ("detach"), by default Ctrl-P, which every shell uses. This one nobody types.
DETACH_KEYS = "ctrl-^,ctrl-@,ctrl-^"
EXIT_LIMIT = 10.0  # seconds between the end of a command's output and the engine's word on its exit code


@dataclass(frozen=True)
class ExecOutcome:
    """How a command in a container ended. Of each output at most the last MOST_OUTPUT bytes: `dropped` were more."""

    code: int
    stdout: bytes
    stderr: bytes
    dropped: int = 0


class Attached:
    """A command that runs in a container now. Raises EngineRefused or EngineUnreachable, like an Engine."""

    def __init__(
        self,
        engine: Engine,
        container: str,
        command: list[str],
        *,
        stdin: bool = True,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
        user: str = "",
    ) -> None:
        self._engine = engine
        self._tty = tty
        self._is_cut = False
        created = engine.post(
            f"/containers/{container}/exec",
            {
                "Cmd": command,
                "AttachStdin": stdin,
                "AttachStdout": True,
                "AttachStderr": True,
                "Tty": tty,
                "Env": [f"{name}={value}" for name, value in (env or {}).items()],
                "User": user,
                "DetachKeys": DETACH_KEYS,
            },
        )
        self._id = str(created["Id"])
        with translated(engine.where):
            self._socket, self._reader = engine.wire.upgrade(
                f"/exec/{self._id}/start", json.dumps({"Tty": tty, "Detach": False}).encode()
            )

    def send(self, data: bytes) -> None:
        """Write to the command's input."""
        with translated(self._engine.where):
            self._socket.sendall(data)

    def end_input(self) -> None:
        """Let the command read the end of its input; TLS and Windows' pipes have no way to say so."""
        if not hasattr(self._socket, "unwrap"):  # ssl's has that
            with contextlib.suppress(OSError, AttributeError):
                self._socket.shutdown(socket.SHUT_WR)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the command writes, until its end: STDOUT or STDERR (a terminal knows only STDOUT), bytes."""
        with translated(self._engine.where):
            yield from self._plain() if self._tty else frames(_pieces(self._reader), self._engine.where)

    def outcome(self) -> ExecOutcome:
        """Wait for the command's end and return what it wrote: of more than fits, the last part."""
        said = {STDOUT: Kept(), STDERR: Kept()}
        for kind, data in self.output():
            said[kind].add(data)
        code = CUT if self._is_cut else self.exit_code()
        dropped = said[STDOUT].dropped + said[STDERR].dropped
        return ExecOutcome(code, said[STDOUT].content(), said[STDERR].content(), dropped)

    def _plain(self) -> Iterator[tuple[int, bytes]]:
        for data in _pieces(self._reader):
            yield STDOUT, data

    def resize(self, lines: int, columns: int) -> None:
        """Tell the command's terminal its size; one that has ended needs none."""
        with contextlib.suppress(EngineRefused):
            self._engine.post(f"/exec/{self._id}/resize", h=lines, w=columns)

    def exit_code(self) -> int:
        """Wait for the command's end, after its output's, and return its exit code."""

        def look() -> int:
            seen = self._engine.get_json(f"/exec/{self._id}/json")
            if seen["Running"] or seen["ExitCode"] is None:
                raise Pending("it still runs")
            return int(seen["ExitCode"])

        return wait_until("the command's exit code", look, limit=EXIT_LIMIT, pause=0.02)

    def cut(self) -> None:
        """Let a thread that waits for the command wait no longer; the command is not ended by that."""
        self._is_cut = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the command; it is not ended by that."""
        with contextlib.suppress(OSError):
            self._reader.close()
            self._socket.close()


def frames(pieces: Iterable[bytes], where: str) -> Iterator[tuple[int, bytes]]:
    """Take a stream of frames apart: STDOUT or STDERR, and bytes, as they come. Raises EngineUnreachable.

    A frame's bytes are passed on before all of them are there; the head tells how many come.
    """
    buffer, kind, left = b"", 0, 0
    for piece in pieces:
        buffer += piece
        while buffer:
            if left == 0:
                if len(buffer) < FRAME.size:
                    break
                kind, left = FRAME.unpack(buffer[: FRAME.size])
                buffer = buffer[FRAME.size :]
                continue
            data, buffer = buffer[:left], buffer[left:]
            left -= len(data)
            yield kind, data
    if left:
        raise EngineUnreachable(f"{where} cut a command's output short")


def _pieces(reader: IO[bytes]) -> Iterator[bytes]:
    while data := cast(Any, reader).read1(CHUNK):
        yield data
