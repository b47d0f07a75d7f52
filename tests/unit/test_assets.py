"""The folders that are not Python are found, and a digest tells when what is in them has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labctl.assets import asset, digest_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "image"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM debian")
    (folder / "sub" / "run").write_text("exec")
    return folder


@pytest.mark.parametrize("name", ["dind", "images"])
def test_what_travels_with_the_package_is_found(name: str) -> None:
    assert asset(name).is_dir()


def test_an_incomplete_installation_says_what_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match="installed without its nothing"):
        asset("nothing")


def test_a_digest_is_twelve_hex_digits(tree: Path) -> None:
    assert len(digest_of([tree])) == 12
    int(digest_of([tree]), 16)


def test_a_digest_stays_while_nothing_changes(tree: Path) -> None:
    before = digest_of([tree])
    os.utime(tree / "Dockerfile", (0, 0))

    assert digest_of([tree]) == before


def test_a_digest_does_not_depend_on_where_the_folder_is(tree: Path) -> None:
    before = digest_of([tree])

    assert digest_of([tree.rename(tree.parent / "elsewhere")]) == before


def test_what_python_caches_is_no_content(tree: Path) -> None:
    before = digest_of([tree])
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "run.pyc").write_bytes(b"cache")

    assert digest_of([tree]) == before


def test_a_digest_changes_with_content(tree: Path) -> None:
    before = digest_of([tree])
    (tree / "sub" / "run").write_text("exec sh")

    assert digest_of([tree]) != before


def test_a_digest_changes_with_what_may_be_executed(tree: Path) -> None:
    before = digest_of([tree])
    (tree / "sub" / "run").chmod(0o755)

    assert digest_of([tree]) != before


def test_a_digest_changes_with_a_files_name(tree: Path) -> None:
    before = digest_of([tree])
    (tree / "sub" / "run").rename(tree / "run")

    assert digest_of([tree]) != before


def test_a_digest_changes_with_what_is_added_to_it(tree: Path) -> None:
    assert digest_of([tree]) != digest_of([tree], "debian:trixie-slim")


def test_a_single_file_has_a_digest_too(tree: Path) -> None:
    before = digest_of([tree / "Dockerfile"])
    (tree / "Dockerfile").write_text("FROM scratch")

    assert digest_of([tree / "Dockerfile"]) != before
