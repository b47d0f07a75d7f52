"""The base image: from the Hub where it can be reached, else made; and never twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.engine import Engine
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused
from labctl.events import Event, Noted
from labctl.images import base, debootstrap
from labctl.images.base import base_problem, ensure_base
from labctl.images.ensuring import _is_current
from labctl.images.mode import MirrorMode
from labctl.images.recipes import sources_of

HUB, NO_HUB = MirrorMode("https://hub.example", "own"), MirrorMode()


class PullingEngine(FakeEngine):
    """Has the base once it was pulled; the first `failures` pulls fail."""

    def __init__(self, *, failures: int = 0, there: bool = False) -> None:
        super().__init__()
        self.failures, self.there, self.pulls = failures, there, 0

    def image(self, name: str) -> dict[str, Any] | None:
        """The base, if it is there."""
        return {"Id": "sha256:1"} if self.there else None

    def pull(self, name: str) -> Iterator[dict[str, Any]]:
        """Pull, or fail."""
        self.pulls += 1
        yield {"status": "Pulling from library/debian"}
        if self.pulls <= self.failures:
            raise EngineRefused("toomanyrequests")
        self.there = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tags that were made of packages."""
    tags: list[str] = []
    monkeypatch.setattr(base, "make_base", lambda _engine, tag, _note, **_: tags.append(tag))
    return tags


@pytest.mark.usefixtures("state")
def test_with_the_hub_in_reach_it_is_pulled(made: list[str], heard: list[Event]) -> None:
    engine = PullingEngine(failures=1)

    assert ensure_base(engine, heard.append, mode=HUB)

    assert engine.pulls == 2 and made == []
    assert heard == [Noted("debian:trixie-slim came from Docker Hub")]


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(("mode", "pulls"), [(HUB, 2), (NO_HUB, 0)])
def test_else_it_is_made_of_packages(made: list[str], heard: list[Event], mode: MirrorMode, pulls: int) -> None:
    engine = PullingEngine(failures=9)

    assert ensure_base(engine, heard.append, mode=mode)

    assert engine.pulls == pulls and made == ["debian:trixie-slim"]
    assert heard == [Noted("debian:trixie-slim was made of Debian's packages")]


def test_one_that_is_there_is_left_alone(made: list[str]) -> None:
    engine: Engine = PullingEngine(there=True)

    assert not ensure_base(engine, mode=HUB)
    assert made == []


def test_what_the_store_holds_is_compared_with_what_lies_in_the_folder_now(tmp_path: Path) -> None:
    (tmp_path / "vote").mkdir()
    (tmp_path / "vote" / "Dockerfile").write_text("FROM debian")
    sources = sources_of({"": tmp_path / "vote"})
    second = sources_of({"": tmp_path / "vote"}, "2")

    assert _is_current(f"labctl-vote:{sources}-b1", tmp_path, "b1")
    assert _is_current(f"labctl-vote-2:{second}-b1", tmp_path, "b1")
    assert _is_current(f"labctl-vote:{sources}-b1", tmp_path, "")
    assert not _is_current(f"labctl-vote:{sources}-b1", tmp_path, "b2")
    assert not _is_current(f"labctl-vote-2:{sources}-b1", tmp_path, "b1")
    assert not _is_current("labctl-gone:1-b1", tmp_path, "b1")
    assert not _is_current("", tmp_path, "b1")


@pytest.mark.parametrize(
    ("engine", "mode", "user", "says"),
    [
        (PullingEngine(there=True), NO_HUB, 1000, ""),
        (PullingEngine(), HUB, 1000, ""),
        (PullingEngine(), NO_HUB, 0, ""),
        (PullingEngine(), NO_HUB, 1000, "takes root"),
    ],
)
def test_whether_it_can_be_had_is_known_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, engine: PullingEngine, mode: MirrorMode, user: int, says: str
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(debootstrap, "KEYRINGS", (Path("/"),))

    problem = base_problem(engine, mode=mode)

    assert bool(problem) == bool(says) and says in problem
    assert engine.pulls == 0
