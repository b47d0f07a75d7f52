"""What an image is made of, and the tag that says so."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused
from labctl.images.node import node_folders
from labctl.images.recipes import archive_of, find_built, layers_identity, recipe_for, sources_of, tag_for

NOT_THERE = EngineRefused("no such image", status=404)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image's folder, with what Python leaves behind."""
    (tmp_path / "web" / "__pycache__").mkdir(parents=True)
    (tmp_path / "web" / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    (tmp_path / "web" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "web" / "run").chmod(0o755)
    (tmp_path / "web" / "__pycache__" / "app.pyc").write_bytes(b"x")
    return tmp_path / "web"


def test_the_tag_changes_with_the_files_the_variant_and_the_base(folder: Path) -> None:
    before = sources_of({"": folder})
    assert sources_of({"": folder}) == before
    assert sources_of({"": folder}, "2") != before

    (folder / "run").write_text("#!/bin/bash\n")

    assert sources_of({"": folder}) != before
    assert tag_for("web", before, "abc123") == f"labctl-web:{before}-abc123"


def test_an_image_that_was_built_of_the_same_is_found() -> None:
    engine = FakeEngine({"GET /images/labctl-web:s-b/json": {"Id": "sha256:1"}})

    assert find_built(engine, "web", "s", "b") == "labctl-web:s-b"


def test_an_image_that_was_not_built_is_not_found() -> None:
    assert find_built(FakeEngine({"GET /images/labctl-web:s-b/json": NOT_THERE}), "web", "s", "b") is None


def test_without_the_base_an_image_of_the_same_files_is_as_good() -> None:
    images = [{"RepoTags": None}, {"RepoTags": ["mine:1", "labctl-web:s-9f9f9f"]}]

    assert find_built(FakeEngine({"GET /images/json": images}), "web", "s", "") == "labctl-web:s-9f9f9f"
    assert find_built(FakeEngine({"GET /images/json": []}), "web", "s", "") is None


def test_an_image_is_known_by_its_layers_whatever_its_id() -> None:
    one = {"Id": "sha256:1", "RootFS": {"Layers": ["sha256:a", "sha256:b"]}}
    same = {"Id": "sha256:2", "RootFS": {"Layers": ["sha256:a", "sha256:b"]}}
    other = {"Id": "sha256:1", "RootFS": {"Layers": ["sha256:b", "sha256:a"]}}

    assert layers_identity(one) == layers_identity(same) != layers_identity(other)


def test_the_context_is_roots_and_without_leftovers(folder: Path) -> None:
    archive = archive_of({"": folder, "mesh": folder})

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        entries = {entry.name: entry for entry in tar}

    assert sorted(entries) == ["Dockerfile", "mesh/Dockerfile", "mesh/run", "run"]
    assert entries["run"].mode & 0o777 == 0o755
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in entries.values()} == {(0, 0, "root", 0)}
    assert archive == archive_of({"": folder, "mesh": folder})


def test_a_recipe_bears_the_labels_that_it_is_found_by(folder: Path) -> None:
    recipe = recipe_for("web", {"": folder}, "s", "b", {"VERSION": "2"})

    assert recipe.labels == {"labctl.image": "web", "labctl.sources": "s"}
    assert recipe.build_args == {"VERSION": "2"}
    assert recipe.where == "web/Dockerfile"


def test_the_node_image_is_made_of_dind_and_the_mesh_agent() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive_of(node_folders()))) as tar:
        names = tar.getnames()

    assert {"Dockerfile", "rootfs/usr/lib/labctl/node", "mesh/__main__.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
