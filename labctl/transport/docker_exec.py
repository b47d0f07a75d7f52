"""Commands by `docker exec`: the way to a node that is a container.

Never used to find out whether a node is ready: on cgroup v2 a process that comes in by exec while the
node still moves its own processes out of the root cgroup can make that fail. The engine's API tells.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from labctl.concurrent import Stop
from labctl.engine import Engine
from labctl.engine.attached import Attached, ExecOutcome
from labctl.engine.client import tar_of
from labctl.errors import CommandFailed, EngineRefused, NodeDown, NotFoundError
from labctl.kept import Kept
from labctl.transport.base import (
    COLUMNS,
    FOLDER,
    ROWS,
    STREAM_LIMIT,
    TERM,
    Result,
    as_argv,
    bounded,
    is_a_folder,
    shown,
    whole,
)
from labctl.transport.running import STDERR, Feeder
from labctl.transport.seat import Terminal
from labctl.transport.terminal import Noted
from labctl.waiting import stretched

__all__ = ["DockerExec"]

# The engine's archive calls (`docker cp`) see a container's image and volumes, and what is mounted inside not.
MOUNTED_INSIDE = ("/run/", "/var/run/", "/proc/", "/sys/", "/dev/")


class DockerExec:
    """Runs commands in a container of an engine. `node` is its name in messages."""

    def __init__(self, engine: Engine, container: str, node: str) -> None:
        self._engine = engine
        self._container = container
        self._node = node

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
        """Run a command in the container; see Transport.run."""
        began = time.monotonic()
        argv = bounded(as_argv(command), stretched(limit))
        if stdin is not None:
            argv = self._with_stdin(argv, stdin)
        outcome = self._outcome(argv, env, stop)
        said = outcome.stdout, outcome.stderr
        return Result.of(shown(command, hide), outcome.code, said, time.monotonic() - began, outcome.dropped)

    def put(self, content: bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file in the container; its folder is made where it is missing."""
        if path.endswith("/"):
            raise is_a_folder(path, self._node)
        if not path.startswith(MOUNTED_INSIDE):
            self._put(path, content, mode)
            return
        # head ends by itself where the end of an input cannot be told.
        script = f'[ ! -d "$1" ] || exit {FOLDER}; mkdir -p "$(dirname "$1")" && head -c "$2" > "$1" && chmod "$3" "$1"'
        argv = ["/bin/sh", "-c", script, "sh", path, str(len(content)), f"{mode:o}"]
        try:
            for _ in self.stream(argv, stdin=[content]):
                pass
        except CommandFailed as failed:
            if failed.result.code == FOLDER:
                raise is_a_folder(path, self._node) from failed
            raise

    def get(self, path: str) -> bytes:
        """Read a file of the container; raises NotFoundError when it is missing."""
        if path.startswith(MOUNTED_INSIDE):
            return self._cat(path)
        import tarfile

        try:
            packed = whole(self._engine.get(self._container, path), f"{self._node}:{path}")
        except EngineRefused as refused:
            if refused.status == 404:
                raise NotFoundError(f"file on {self._node}", path, None) from refused
            raise
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            entry = archive.next()  # the path itself; of a folder, what is in it follows
            if entry is not None and entry.issym():
                return self._cat(path)
            file = archive.extractfile(entry) if entry is not None and entry.isfile() else None
            if file is None:
                raise NotFoundError(f"file on {self._node}", path, None)
            return file.read()

    def stream(
        self, command: Sequence[str], *, stdin: Iterable[bytes] = (), limit: float = STREAM_LIMIT
    ) -> Iterator[bytes]:
        """Run a command in the container on bytes; see Transport.stream."""
        began = time.monotonic()
        said = Kept()
        noted = Noted()
        with self._attached(noted.starting(bounded(command, limit))) as attached:
            feeder = Feeder(attached, stdin)
            try:
                for kind, data in attached.output():
                    if kind == STDERR:
                        said.add(data)
                    else:
                        yield data
                code = attached.exit_code()
            except (KeyboardInterrupt, GeneratorExit):
                # Nobody reads any more, and an engine does not end what it runs for somebody who has gone.
                attached.close()
                self._end(noted)
                raise
        if code != 0:
            raise CommandFailed(self._node, Result(shown(command), code, "", said.text(), time.monotonic() - began))
        feeder.check()

    def _outcome(self, argv: list[str], env: Mapping[str, str] | None, stop: Stop | None) -> ExecOutcome:
        if stop is None:
            try:
                return self._engine.execute(self._container, argv, env=env)
            except EngineRefused as refused:
                raise self._why(refused) from refused
        noted = Noted()
        with (
            self._attached(noted.starting(argv), stdin=False, env=env) as attached,
            stop.ended_by(lambda: self._end(noted), attached.cut),
        ):
            return attached.outcome()

    @contextlib.contextmanager
    def _attached(self, argv: list[str], **how: Any) -> Iterator[Attached]:
        try:
            with contextlib.closing(Attached(self._engine, self._container, argv, **how)) as attached:
                yield attached
        except EngineRefused as refused:
            raise self._why(refused) from refused

    def interactive(self, command: Sequence[str], *, user: str) -> int:
        """Give the terminal to a command in the container; see Transport.interactive."""
        from labctl.transport.client import docker_words, hand_over, is_clients
        from labctl.transport.terminal import at_terminal, pipe, sit

        if at_terminal() and is_clients():
            if down := self._down():
                raise down
            return hand_over(*docker_words(self._engine.endpoint, self._container, command, user=user))
        env = {"USER": user, "LOGNAME": user}  # as a login sets them
        if at_terminal():
            env["TERM"] = os.environ.get("TERM", "xterm")
            noted = Noted(at_terminal=True)
            with self._attached(noted.starting(command), tty=True, env=env, user=user) as attached:
                return sit(attached, cut=attached.cut, end=lambda: self._end(noted))
        noted = Noted()
        with self._attached(noted.starting(command), env=env, user=user) as attached:
            # An engine does not end what it runs for somebody who has gone (moby#9098).
            return pipe(attached, lambda: self._end(noted))

    def terminal(
        self, command: Sequence[str], *, user: str, term: str = TERM, rows: int = ROWS, columns: int = COLUMNS
    ) -> Terminal:
        """Run a command in the container with a terminal; see Transport.terminal."""
        noted = Noted(at_terminal=True)
        env = {"USER": user, "LOGNAME": user, "TERM": term}
        try:
            attached = Attached(self._engine, self._container, noted.starting(command), tty=True, env=env, user=user)
        except EngineRefused as refused:
            raise self._why(refused) from refused
        attached.resize(rows, columns)
        # An engine does not end what it runs for somebody who has gone (moby#9098).
        return Terminal(attached, cut=attached.cut, end=lambda: self._end(noted))

    def _cat(self, path: str) -> bytes:
        try:
            return whole(self.stream(["cat", path]), f"{self._node}:{path}")
        except CommandFailed as failed:
            raise NotFoundError(f"file on {self._node}", path, None) from failed

    def _end(self, noted: Noted) -> None:
        self._engine.execute(self._container, noted.ending())

    def _put(self, path: str, content: bytes, mode: int) -> None:
        folder, name = posixpath.split(path)
        try:
            try:  # into the folder itself: an archive that holds the folder as well changes its mode (/tmp is 1777)
                self._engine.put(self._container, folder, tar_of({name: (content, mode)}))
            except EngineRefused as refused:
                if refused.status != 404:
                    raise
                self._engine.execute(self._container, ["mkdir", "-p", "--", folder])
                self._engine.put(self._container, folder, tar_of({name: (content, mode)}))
        except EngineRefused as refused:
            if "cannot overwrite directory" in refused.message:
                raise is_a_folder(path, self._node) from refused
            raise EngineRefused(f"cannot write {path} in {folder} on {self._node}: {refused.message}") from refused

    def _with_stdin(self, argv: list[str], stdin: bytes) -> list[str]:
        """The API's exec has no half-close of its input everywhere, so the input goes by a file."""
        path = f"/tmp/.labctl-stdin-{time.monotonic_ns()}"
        self._put(path, stdin, 0o600)
        return ["/bin/sh", "-c", f"exec 9<{path}; rm -f {path}; exec {shlex.join(argv)} <&9"]

    def _why(self, refused: EngineRefused) -> EngineRefused | NodeDown:
        return self._down() or refused

    def _down(self) -> NodeDown | None:
        inspected = self._engine.container(self._container)
        state = str(inspected["State"]["Status"]) if inspected is not None else "gone"
        return None if state == "running" else NodeDown(self._node, state)
