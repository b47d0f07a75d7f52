"""A lock is for one at a time, tells who holds it, is free when its holder dies, and is no trap."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labctl import locking
from labctl.errors import LabError
from labctl.locking import Busy, held_file, login, shared_folder
from labctl.state import lab_lock

HOLDS = """
import sys, time
from pathlib import Path
from labctl.locking import held_file
with held_file(Path(sys.argv[1]), wait=0, shared=True):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """What this machine's users share, for this test alone."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(locking, "PLACES", ((tmp_path / "missing", "no"), (folder, "locks")))
    return folder / "locks"


def test_who_holds_it_is_told_and_a_holder_that_is_killed_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy) as caught, held_file(path, wait=0.1):
            pass
    finally:
        holder.kill()
        holder.communicate()

    assert f"pid {holder.pid} of {login()}, since " in caught.value.holder
    with held_file(path, wait=60):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="there the file says nothing")
@pytest.mark.parametrize("typed", [["--unlock-key", "SWMKEY-1-x"], ["--unlock-key=SWMKEY-1-x"]])
def test_a_key_that_was_typed_is_in_no_lock_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["labctl", "start", *typed, "-l", "demo"])
    path = tmp_path / "a.lock"

    with held_file(path, wait=0):
        said = path.read_text()

    assert "SWMKEY" not in said
    assert "labctl start --unlock-key" in said and "*** -l demo" in said


def test_one_who_waits_is_told_once_whom_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(locking, "TOLD_AFTER", 0.0)
    told: list[str] = []

    path = tmp_path / "a.lock"
    with held_file(path, wait=0), pytest.raises(Busy), held_file(path, wait=0.3, waiting=told.append):
        pass

    assert len(told) == 1 and f"pid {os.getpid()} of" in told[0]


def test_the_shared_folder_is_for_all_and_so_are_its_locks(place: Path) -> None:
    before = os.umask(0o077)
    try:
        assert shared_folder() == place
        with held_file(place / "x.lock", wait=0, shared=True):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE(place.stat().st_mode) == 0o1777
    assert stat.S_IMODE((place / "x.lock").stat().st_mode) == 0o666


def test_two_state_folders_wait_for_each_other_on_one_engine_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: Path
) -> None:
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "one"))
    with lab_lock("demo", engine="E:1"):
        monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "two"))
        held = rf"changing lab 'demo' for 0 s: pid {os.getpid()} of"
        with pytest.raises(LabError, match=held), lab_lock("demo", engine="E:1", wait=0):
            pass
        with lab_lock("demo", engine="E:2", wait=0), lab_lock("other", engine="E:1", wait=0):
            pass
    assert len(list(place.iterdir())) == 3


def test_a_link_in_the_shared_folder_leads_nowhere(place: Path, tmp_path: Path, state: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with lab_lock("demo", engine="E:1"):
        pass
    (lock,) = place.iterdir()
    lock.unlink()
    lock.symlink_to(victim)

    with lab_lock("demo", engine="E:1", wait=0):
        pass

    assert victim.read_text() == "mine"
    assert state.is_dir()


def test_a_folder_that_is_a_link_is_not_used(place: Path, tmp_path: Path) -> None:
    place.symlink_to(tmp_path)

    assert shared_folder() is None


def test_what_a_holder_wrote_cannot_move_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held_file(path, wait=0):
        path.write_bytes(b"\x1b[2Jpid 1\x07\nmore")
        with pytest.raises(Busy) as caught, held_file(path, wait=0):
            pass

    assert caught.value.holder == "[2Jpid 1"


def test_a_lock_that_was_cleared_away_meanwhile_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with held_file(path, wait=0):
        path.unlink()
        with held_file(path, wait=0):
            assert path.exists()
