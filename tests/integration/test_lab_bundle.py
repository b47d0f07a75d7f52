"""Bundles written and loaded for real, with one small image in the place of all."""

from __future__ import annotations

import os
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labctl import bundle, images
from labctl.engine import Engine
from labctl.errors import HostError
from labctl.images.recipes import layers_identity
from labctl.lab import Context

pytestmark = pytest.mark.lab


@pytest.fixture
def engine(context: Context) -> Engine:
    """This host's engine."""
    return context.engine


@pytest.fixture
def tag(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The one image that bundles hold in these tests."""
    probe = images.build_images(engine, [images.read_catalogue().find("probe")])["probe"]
    chosen = f"labctl-t{secrets.token_hex(4)}:1-1"
    engine.tag(probe, chosen)
    monkeypatch.setattr(bundle, "_all_tags", lambda *_: [chosen])
    monkeypatch.setattr(bundle, "BASE", chosen)
    yield chosen
    engine.remove_image(chosen)


@pytest.fixture
def file(tmp_path: Path, tag: str, engine: Engine) -> Path:
    """A bundle of that image."""
    told: list[str] = []
    made = bundle.save(tmp_path / "labctl.tar.gz", engine, note=told.append)
    assert made.images == {tag: layers_identity(engine.image(tag) or {})}
    assert told and "saved" in told[-1]
    return tmp_path / "labctl.tar.gz"


def test_what_was_saved_is_there_after_loading(file: Path, tag: str, engine: Engine) -> None:
    before = engine.image(tag)
    engine.remove_image(tag)
    assert engine.image(tag) is None

    loaded = bundle.load(file, engine)

    after = engine.image(tag)
    assert before is not None and after is not None and before["RootFS"] == after["RootFS"]
    assert loaded == bundle.read_manifest(file)
    assert loaded.architecture == engine.version()["Arch"]
    assert [left.name for left in file.parent.iterdir()] == [file.name]


def test_the_engines_own_loader_takes_it_too(file: Path, tag: str, engine: Engine) -> None:
    engine.remove_image(tag)

    with file.open("rb") as archive:
        list(engine.load_images(archive))

    assert engine.image(tag) is not None


def test_the_list_comes_first(file: Path) -> None:
    with tarfile.open(file) as archive:
        assert archive.getnames()[0] == bundle.MANIFEST
        assert "manifest.json" in archive.getnames()


def test_a_damaged_bundle_is_told_as_one(file: Path, tag: str, engine: Engine) -> None:
    whole = file.read_bytes()
    engine.remove_image(tag)
    file.write_bytes(whole[: len(whole) * 2 // 3])

    with pytest.raises(HostError, match=f"{file} is damaged") as caught:
        bundle.load(file, engine)

    assert "Copy the file once more" in (caught.value.hint or "")
    assert engine.image(tag) is None


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, tag: str, engine: Engine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=True)
    try:
        with pytest.raises(HostError, match=f"^the bundle cannot be written to {place}: No space left on device; noth"):
            bundle.save(place / "labctl.tar.gz", engine)
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)
