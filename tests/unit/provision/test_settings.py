"""The program by which the playbook writes files: whole, where they differ, and it says which."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from labctl.assets import asset


def write(files: dict[Path, str]) -> list[str]:
    """Run it, and return the paths that it says."""
    told = json.dumps({str(path): content for path, content in files.items()})
    program = [sys.executable, str(asset("playbooks") / "files/settings.py")]
    done = subprocess.run(program, input=told, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.splitlines()


def test_what_is_missing_or_different_is_written_and_told(tmp_path: Path) -> None:
    new, same, other = tmp_path / "a/b/new", tmp_path / "same", tmp_path / "other"
    same.write_text("x\n")
    same.chmod(0o644)
    other.write_text("old\n")

    assert write({new: "{{ no template }}\n", same: "x\n", other: "new\n"}) == [str(new), str(other)]
    assert new.read_text() == "{{ no template }}\n" and other.read_text() == "new\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "other", "same"]


def test_a_second_time_nothing_is(tmp_path: Path) -> None:
    files = {tmp_path / "a/one": "1\n", tmp_path / "two": ""}

    assert len(write(files)) == 2
    assert write(files) == []


def test_a_mode_that_is_another_is_put_right(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.write_text("x\n")
    path.chmod(0o666)

    assert write({path: "x\n"}) == [str(path)]
    assert path.stat().st_mode & 0o777 == 0o644
