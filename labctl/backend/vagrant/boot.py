"""Machines on their way up: one `vagrant up` for all of them, and what each was last heard to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from labctl.backend.vagrant.tool import Tool

__all__ = ["Boot", "console_tail"]

TAIL = 4096  # bytes of a console that are read for its last line


class Boot:
    """A `vagrant up` of several machines that runs in the background. `note` hears each step of each of them."""

    def __init__(self, folder: Path, provider: str, machines: Sequence[str], note: Callable[[str], None]) -> None:
        self._note = note
        self._said: dict[str, str] = {}
        tool = Tool(folder, provider, heard=self._hear)
        pool = ThreadPoolExecutor(1, "labctl-vagrant")
        self._running: Future[None] = pool.submit(tool.up, list(machines))
        pool.shutdown(wait=False)

    def check(self) -> None:
        """Raise what made Vagrant give up, if it did."""
        if self._running.done():
            self._running.result()

    def wait(self) -> None:
        """Wait for Vagrant's end. Raises what went wrong."""
        self._running.result()

    def said(self, machine: str) -> str:
        """What Vagrant said of the machine last."""
        return self._said.get(machine, "nothing yet")

    def _hear(self, machine: str, text: str) -> None:
        self._said[machine] = text
        self._note(f"{machine}: {text.rstrip('.')}")


def console_tail(path: Path) -> str:
    """The last line of a console's log; empty when it said nothing."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
