"""A command in a container, with its input and output open: for results, terminals, pipes and copies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.engine.errors import translated
from labctl.errors import EngineRefused, EngineUnreachable
from labctl.kept import Kept
from labctl.waiting import Pending, wait_until

if TYPE_CHECKING:
    from labctl.engine.client import Engine

__all__ = ["STDERR", "STDOUT", "Attached", "ExecOutcome"]

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
        with translated(engine.where):
            created = engine.api.exec_create(
                container,
                command,
                stdin=stdin,
                tty=tty,
                environment=dict(env or {}),
                user=user,
                detach_keys=DETACH_KEYS,
            )
            self._id: str = created["Id"]
            self._response = self._start()
        # docker's own exec_start reads the bare socket, and loses what came in one packet with the answer's
        # headers: that waits in the reader's buffer. Seen for 2 in 100 commands on a busy machine.
        self._reader: Any = self._response.raw._fp.fp
        self._socket: Any = getattr(self._reader.raw, "_sock", self._reader.raw)
        self._socket.settimeout(None)

    def _start(self) -> Any:
        api = self._engine.api
        answer = api._post_json(
            api._url("/exec/{0}/start", self._id),
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            data={"Tty": self._tty, "Detach": False},
            stream=True,
        )
        api._raise_for_status(answer)
        return answer

    def send(self, data: bytes) -> None:
        """Write to the command's input."""
        with translated(self._engine.where):
            self._socket.sendall(data)

    def end_input(self) -> None:
        """Let the command read the end of its input; TLS and Windows' pipes have no way to say so."""
        if not isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, AttributeError):
                self._socket.shutdown(socket.SHUT_WR)

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Yield what the command writes, until its end: STDOUT or STDERR (a terminal knows only STDOUT), bytes."""
        with translated(self._engine.where):
            yield from self._plain() if self._tty else self._frames()

    def outcome(self) -> ExecOutcome:
        """Wait for the command's end and return what it wrote: of more than fits, the last part."""
        said = {STDOUT: Kept(), STDERR: Kept()}
        for kind, data in self.output():
            said[kind].add(data)
        code = CUT if self._is_cut else self.exit_code()
        dropped = said[STDOUT].dropped + said[STDERR].dropped
        return ExecOutcome(code, said[STDOUT].content(), said[STDERR].content(), dropped)

    def _plain(self) -> Iterator[tuple[int, bytes]]:
        while data := self._reader.read1(CHUNK):
            yield STDOUT, data

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        while len(head := self._reader.read(FRAME.size)) == FRAME.size:
            kind, left = FRAME.unpack(head)
            while left > 0:
                data = self._reader.read1(min(left, CHUNK))
                if not data:
                    raise EngineUnreachable(f"{self._engine.where} cut a command's output short")
                left -= len(data)
                yield kind, data

    def resize(self, lines: int, columns: int) -> None:
        """Tell the command's terminal its size; one that has ended needs none."""
        with contextlib.suppress(EngineRefused), translated(self._engine.where):
            self._engine.api.exec_resize(self._id, height=lines, width=columns)

    def exit_code(self) -> int:
        """Wait for the command's end, after its output's, and return its exit code."""

        def look() -> int:
            with translated(self._engine.where):
                seen = self._engine.api.exec_inspect(self._id)
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
            self._response.close()
            self._socket.close()
