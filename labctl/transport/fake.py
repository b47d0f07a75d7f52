"""A transport for tests. It refuses what was not scripted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from labctl.concurrent import Stop
from labctl.errors import CommandFailed, NotFoundError
from labctl.transport.base import COLUMNS, ROWS, STREAM_LIMIT, TERM, Result, is_a_folder, shown
from labctl.transport.running import STDOUT
from labctl.transport.seat import Terminal

__all__ = ["FakeTransport"]

Answer = Result | str | Callable[[str], Result]


class FakeTransport:
    """Answers scripted commands from a mapping of command -> answer (text means: exit 0 with that output).

    `commands` lists what was run, `files` holds what was put, `streamed` what `stream` was fed, `ended` what a
    Stop ended; an answer that is a function may wait for that. `typed` is what terminals were sent, `sizes` are theirs.
    """

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers = dict(answers or {})
        self.commands: list[str] = []
        self.files: dict[str, bytes] = {}
        self.streamed: list[bytes] = []
        self.ended: list[str] = []
        self.users: list[str] = []
        self.typed: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []

    def run(
        self,
        command: str | Sequence[str],
        *,
        limit: float = 60.0,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        hide: Sequence[str] = (),
        stop: Stop | None = None,
    ) -> Result:
        """Answer as scripted; raises AssertionError for any other command."""
        text = shown(command)
        self.commands.append(text)
        if text not in self.answers:
            raise AssertionError(f"not scripted: {text!r}; scripted: {sorted(self.answers)}")
        answer = self.answers[text]
        if isinstance(answer, str):
            return Result(shown(command, hide), 0, answer)
        with stop.ended_by(lambda: self.ended.append(text), lambda: None) if stop else contextlib.nullcontext():
            return answer if isinstance(answer, Result) else answer(text)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Remember the file."""
        if path.endswith("/") or any(name.startswith(f"{path}/") for name in self.files):
            raise is_a_folder(path, "the fake node")
        self.files[path] = content

    def get(self, path: str) -> bytes:
        """Return a file that was put; raises NotFoundError for another."""
        if path not in self.files:
            raise NotFoundError("file", path, self.files)
        return self.files[path]

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """Answer as scripted; what came in is in `streamed`."""
        self.streamed.append(b"".join(stdin))
        result = self.run(command, limit=limit)
        yield result.stdout.encode()
        if not result.ok:
            raise CommandFailed("the fake node", result)

    def interactive(self, command: Sequence[str], *, user: str) -> int:
        """Run as scripted and return the code; `users` tells whose terminal each was."""
        self.users.append(user)
        return self.run(command).code

    def terminal(
        self, command: Sequence[str], *, user: str, term: str = TERM, rows: int = ROWS, columns: int = COLUMNS
    ) -> Terminal:
        """Show what is scripted, and end."""
        self.users.append(user)
        self.sizes.append((rows, columns))
        return Terminal(_Shown(self, self.run(command)), cut=lambda: None, end=lambda: None)


class _Shown:
    """A command that has shown all, and hears what is typed."""

    def __init__(self, fake: FakeTransport, result: Result) -> None:
        self._fake, self._result = fake, result

    def send(self, data: bytes) -> None:
        self._fake.typed.append(data)

    def end_input(self) -> None:
        pass

    def output(self) -> Iterator[tuple[int, bytes]]:
        if self._result.stdout:
            yield STDOUT, self._result.stdout.encode()

    def resize(self, lines: int, columns: int) -> None:
        self._fake.sizes.append((lines, columns))

    def exit_code(self) -> int:
        return self._result.code

    def close(self) -> None:
        pass
