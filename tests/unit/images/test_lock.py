"""One command at a time makes an image on an engine, whoever runs it; who waits hears why, and can be stopped."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import Abandoned, HostError
from labctl.images.lock import held


class Engine(FakeEngine):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def identity(self) -> str:
        return self.name


@pytest.fixture
def shared_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who work here share a folder for locks, as users of one machine do."""
    monkeypatch.setattr("labctl.state.shared_folder", lambda: tmp_path)


def as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "another"))


@pytest.mark.usefixtures("shared_locks")
def test_users_with_state_folders_of_their_own_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two registries that write to one store at once spoil each other's blobs: "blob unknown to registry"."""
    notes: list[str] = []

    with held("mirror", notes.append, engine=Engine("E1")):
        as_another(tmp_path, monkeypatch)
        second = held("mirror", notes.append, engine=Engine("E1"), limit=0)
        with pytest.raises(HostError, match=r"has been making mirror for .*pid \d+ of"), second:
            pass

    assert "mirror is being made already" in notes[0]


@pytest.mark.usefixtures("shared_locks")
def test_another_engine_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held("mirror", print, engine=Engine("E1")):
        as_another(tmp_path, monkeypatch)
        with held("mirror", print, engine=Engine("E2"), limit=0):
            pass


def test_who_waits_can_be_stopped() -> None:
    stop = threading.Event()
    stop.set()

    with held("base", print), pytest.raises(Abandoned, match="base was given up"), held("base", print, stop=stop):
        pass
