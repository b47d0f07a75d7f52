"""Builds images/ as a person would, with a plain `docker build`, and gives each test a network of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.images import ensure_base
from labctl.images.catalogue import folders_of
from tests.integration.images.containers import Stage, docker

if TYPE_CHECKING:
    from labctl.lab import Context

SOURCES = Path(__file__).parents[3] / "images"


@pytest.fixture(scope="session")
def image(context: Context) -> Callable[..., str]:
    """A function from a folder of images/ to the tag of the image built of it."""
    ensure_base(context.engine)
    built: dict[tuple[str, str], str] = {}

    def build(name: str, version: str = "") -> str:
        key = (name, version)
        if key not in built:
            tag = f"labctl-test/{name}:{version or 'latest'}"
            arguments = ["--build-arg", f"VERSION={version}"] if version else []
            with tempfile.TemporaryDirectory() as context:
                for place, folder in folders_of(SOURCES / name).items():
                    shutil.copytree(folder, Path(context) / place, dirs_exist_ok=True)
                docker("build", "--network", "host", "--tag", tag, *arguments, context)
            built[key] = tag
        return built[key]

    return build


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A network and its containers, gone with the test."""
    stage = Stage()
    stage.open()
    yield stage
    stage.close()
