"""The base image made of Debian's packages: what is found out before anything is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import HostError
from labctl.images import debootstrap
from labctl.images.debootstrap import DEFAULT_MIRROR, debian_mirror, make_base


@pytest.mark.parametrize(
    ("file", "text", "mirror"),
    [
        ("sources.list", "deb http://ftp.de.debian.org/debian bookworm main\n", "http://ftp.de.debian.org/debian"),
        ("sources.list", "deb [arch=amd64] https://mirror.lan/debian/ trixie main\n", "https://mirror.lan/debian"),
        ("sources.list", "# deb http://old.lan/debian x main\n", DEFAULT_MIRROR),
        ("sources.list", "deb http://security.debian.org/debian-security x main\n", DEFAULT_MIRROR),
        ("sources.list", "deb http://archive.ubuntu.com/ubuntu noble main\n", DEFAULT_MIRROR),
        ("sources.list.d/debian.sources", "Types: deb\nURIs: http://m.lan/debian\nSuites: x\n", "http://m.lan/debian"),
        ("sources.list.d/node.sources", "Types: deb\nURIs: https://deb.nodesource.com/node_20.x\n", DEFAULT_MIRROR),
    ],
)
def test_the_mirror_is_the_one_that_this_machine_uses(tmp_path: Path, file: str, text: str, mirror: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)

    assert debian_mirror(tmp_path) == mirror


def test_without_any_sources_it_is_debians_own(tmp_path: Path) -> None:
    assert debian_mirror(tmp_path / "none") == DEFAULT_MIRROR


def test_without_root_it_says_how_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(HostError, match="which takes root") as caught:
        make_base(FakeEngine(), "x", lambda _: None)

    assert "bundle load" in (caught.value.hint or "")


def test_what_is_missing_is_named_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program: None if program == "debootstrap" else f"/usr/bin/{program}")
    monkeypatch.setattr(debootstrap, "KEYRINGS", (Path("/nowhere/keyring.gpg"),))

    with pytest.raises(HostError, match="and debootstrap, debian-archive-keyring is missing") as caught:
        make_base(FakeEngine(), "x", lambda _: None)

    assert "labctl doctor --fix" in (caught.value.hint or "")


def test_a_place_without_room_is_refused_before_anything_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(debootstrap, "KEYRINGS", (Path(__file__),))
    monkeypatch.setattr(debootstrap, "ROOM", 1 << 60)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with pytest.raises(HostError, match=f"{tmp_path} has only") as caught:
        make_base(FakeEngine(), "x", lambda _: None)

    assert "TMPDIR" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_runs_left_is_removed_and_what_others_use_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import os

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "labctl-base-999999999-abc" / "root1").mkdir(parents=True)
    (tmp_path / f"labctl-base-{os.getpid()}-abc").mkdir()

    debootstrap._sweep()

    assert [left.name for left in tmp_path.iterdir()] == [f"labctl-base-{os.getpid()}-abc"]
