"""Who uses the session's lab: a file beside a lock, that the workers of xdist and their controller share.

A worker that is killed leaves its name in it; the controller, which outlives all workers, removes what is left then.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

from labctl.pytest_plugin.options import is_own
from labctl.pytest_plugin.telling import is_worker, say

__all__ = ["Place", "Use", "folder_of", "forget", "place_of", "places_of"]

WAIT = 3600.0  # seconds that others may take to make the lab: a first one builds images
FOLDER = pytest.StashKey[Path]()
GIVEN = "labctl_folder"  # how the controller tells a worker


@dataclass
class Use:
    """A lab of this session. `name` is noted before the lab is made, so that nothing is left of a maker that dies."""

    name: str = ""
    made: bool = False  # by this session, which removes it
    ready: bool = False
    users: list[str] = field(default_factory=list)
    failed: bool = False  # a test has
    gone: str = ""  # the lab that did not come up, and was removed again
    problem: str = ""  # why there is none
    engineless: bool = False  # no engine answered


@dataclass
class Place:
    """Where a Use is kept, for one worker or for all."""

    file: Path
    user: str
    config: pytest.Config

    @contextmanager
    def held(self) -> Iterator[Use]:
        """Hold the use against other workers, and note what it is at the end of the block."""
        from labctl.locking import Busy, held_file

        def waiting(_: str) -> None:
            say(self.config, f"{self.user} waits for the lab that another worker makes")

        with ExitStack() as stack:
            try:
                stack.enter_context(held_file(self.file.with_suffix(".lock"), wait=WAIT, waiting=waiting))
            except Busy:
                told = f"labctl: another worker has been making the lab for {WAIT:g} s"
                raise pytest.fail.Exception(told, pytrace=False) from None
            use = self.read()
            try:
                yield use
            finally:
                self.note(use)

    def read(self) -> Use:
        """The use as it was noted last."""
        return Use(**json.loads(self.file.read_text())) if self.file.is_file() else Use()

    def note(self, use: Use) -> None:
        """Note it, whole or not at all."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(use)))
        fresh.replace(self.file)


def folder_of(config: pytest.Config) -> Path:
    """The folder of this session, made where it is missing; a worker's controller has made it."""
    if is_worker(config):
        return Path(config.workerinput[GIVEN])  # type: ignore[attr-defined]  # xdist's
    if FOLDER not in config.stash:
        import tempfile

        config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="labctl-pytest-"))
    return config.stash[FOLDER]


def place_of(config: pytest.Config) -> Place:
    """The place of this process's lab."""
    user = config.workerinput["workerid"] if is_worker(config) else "main"  # type: ignore[attr-defined]  # xdist's
    return Place(folder_of(config) / f"{user if is_own(config) else 'shared'}.json", user, config)


def places_of(config: pytest.Config) -> list[Place]:
    """All places of the session, as its controller sees them."""
    found = sorted(config.stash[FOLDER].glob("*.json")) if FOLDER in config.stash else []
    return [Place(file, "the controller", config) for file in found]


def forget(config: pytest.Config) -> None:
    """Remove the folder."""
    if FOLDER in config.stash:
        shutil.rmtree(config.stash[FOLDER], ignore_errors=True)
        del config.stash[FOLDER]
