"""Bundles: a wrong file is refused at once, in one line."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from labctl.bundle import MANIFEST, _entry, load, read_manifest, save
from labctl.engine.fake import FakeEngine
from labctl.errors import HostError, UsageError

CONTENT = {
    "format": 1,
    "version": "0.1.0",
    "architecture": "amd64",
    "created": "2026-01-01",
    "images": {"labctl-a:1": "abc"},
}


def bundle(path: Path, content: object = CONTENT, *, name: str = MANIFEST) -> Path:
    """Write a bundle that says `content` of itself and holds one more file."""
    whole = _entry(name, json.dumps(content).encode()) + _entry("manifest.json", b"[]") + b"\0" * 1024
    path.write_bytes(gzip.compress(whole))
    return path


def test_what_a_bundle_says_of_itself_is_read(tmp_path: Path) -> None:
    found = read_manifest(bundle(tmp_path / "b.tar.gz"))

    assert (found.version, found.architecture, found.images) == ("0.1.0", "amd64", {"labctl-a:1": "abc"})
    assert found.size > 0


def test_a_bundle_is_an_ordinary_archive() -> None:
    whole = _entry("one", b"1" * 700) + _entry("two", b"") + b"\0" * 1024

    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        assert [(entry.name, entry.size) for entry in tar] == [("one", 700), ("two", 0)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is no gzipped archive"),
        (b"hello", "it is no gzipped archive"),
        (gzip.compress(b"hello"), "it is no gzipped archive"),
        (gzip.compress(b"hello")[:15], "it is no gzipped archive"),
        (gzip.compress(_entry("other", b"x")), "but no bundle"),
        (gzip.compress(_entry(MANIFEST, b"{")), "but no bundle"),
        (gzip.compress(_entry(MANIFEST, b"[1]")), "but no bundle"),
        (gzip.compress(_entry(MANIFEST, b'{"format": 1}')), "but no bundle"),
        (gzip.compress(_entry(MANIFEST, b'{"format": 7}')), "a bundle of format 7; this labctl reads 1"),
    ],
    ids=["empty", "text", "gzipped text", "cut off", "another archive", "torn", "a list", "half", "from the future"],
)
def test_what_is_no_bundle_is_refused_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "b.tar.gz"
    path.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        read_manifest(path)

    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_manifest(tmp_path / "none")
    with pytest.raises(UsageError, match="not a regular file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "nowhere"])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place = tmp_path / "missing" / "place"

    with pytest.raises(UsageError) as caught:
        save(place, FakeEngine({}))

    assert caught.value.hint
    assert kind != "pipe" or place.is_fifo()


def test_a_bundle_for_other_machines_is_not_loaded(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b.tar.gz", {**CONTENT, "architecture": "arm64"})

    with pytest.raises(HostError, match="is for arm64, and this engine is amd64"):
        load(path, FakeEngine({"GET /version": {"Arch": "amd64"}}))


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    for place, said in ((tmp_path, "is a folder"), (tmp_path / "no" / "b", "there is no folder")):
        with pytest.raises(UsageError, match=said):
            save(place, FakeEngine())
