"""The folders of images/ keep the rules of their README, and docs/images.md promises nothing untested."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from labctl.images import read_catalogue
from labctl.images.names import parse

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "images"
DOCS = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
FOLDERS = sorted(path.parent for path in IMAGES.glob("*/image.yaml"))
folders = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def instructions(folder: Path) -> list[str]:
    """The Dockerfile's instructions, one a line, without comments."""
    lines = [line for line in (folder / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    return [" ".join(text.split()) for text in "\n".join(lines).replace("\\\n", " ").split("\n") if text.strip()]


def stage_of(folder: Path) -> str:
    """The instruction that the image itself is based on."""
    return [text for text in instructions(folder) if text.startswith("FROM ")][-1]


@folders
def test_base_is_debian(folder: Path) -> None:
    assert instructions(folder)[0].split(" AS ")[0] == "FROM debian:trixie-slim"
    assert stage_of(folder) in ("FROM debian:trixie-slim", "FROM scratch")


@folders
def test_packages_come_alone_and_leave_nothing(folder: Path) -> None:
    built_in = stage_of(folder) == "FROM debian:trixie-slim"
    for text in instructions(folder):
        if "apt-get install" in text:
            assert "apt-get install -y --no-install-recommends" in text
            assert text.startswith("RUN ") and "apt-get update &&" in text
            assert not built_in or text.endswith("&& apt-get clean && rm -rf /var/lib/apt/lists/*")


@folders
def test_every_builder_can_read_it(folder: Path) -> None:
    text = (folder / "Dockerfile").read_text()
    assert not re.search(r"--(chmod|link|mount|start-interval)|<<|^# syntax", text, re.MULTILINE)


@folders
def test_marked_when_it_stands_in(folder: Path) -> None:
    standin = "standin: true" in (folder / "image.yaml").read_text()
    assert standin == any(text.startswith("LABEL labctl.standin=") for text in instructions(folder))


@folders
def test_told_in_the_docs(folder: Path) -> None:
    headings = re.findall(r"^## (.*)$", DOCS, re.MULTILINE)
    assert any(re.search(rf"\b{folder.name}\b", heading) for heading in headings)


def test_first_steps_are_the_same_to_the_letter() -> None:
    on_debian = [folder for folder in FOLDERS if stage_of(folder) == "FROM debian:trixie-slim"]
    assert len({instructions(folder)[1] for folder in on_debian}) == 1
    for package in ("python3-redis", "docker-registry", "busybox-static"):
        steps = {text for folder in FOLDERS for text in instructions(folder) if f" {package} " in text}
        assert len(steps) == 1, package


def test_files_of_one_name_are_the_same() -> None:
    contents: dict[str, set[bytes]] = defaultdict(set)
    for path in IMAGES.glob("*/*.py"):
        if path.name != "app.py":
            contents[path.name].add(path.read_bytes())
    assert {name for name, found in contents.items() if len(found) > 1} == set()


def test_catalogue_reads_and_no_name_is_served_twice() -> None:
    catalogue = read_catalogue(IMAGES)
    names = [reference.path for image in catalogue.images.values() for reference in image.names]
    assert len(names) == len(set(names))
    assert {folder.name for folder in FOLDERS} <= set(catalogue.images)


@pytest.mark.parametrize(
    "name",
    [
        "nginx", "nginx:alpine", "redis:alpine", "redis:3.0.6", "redis:3.0.7", "postgres:9.4", "postgres:9.6",
        "postgres:15-alpine", "registry:2", "registry:2.6", "alpine", "busybox", "friendlyhello", "username/repo:tag",
        "bretfisher/examplevotingapp_vote", "bretfisher/examplevotingapp_result", "bretfisher/examplevotingapp_worker",
        "dockersamples/visualizer", "dockersamples/visualizer:stable", "bretfisher/visualizer", "hello-world",
        "labctl/probe:1", "labctl/vote:1",
        "labctl/vote:2", "labctl/result:1", "labctl/worker:1",
    ],
)  # fmt: skip
def test_what_tutorials_name_is_there(name: str) -> None:
    assert parse(name) in read_catalogue(IMAGES).find(name).names


def test_docs_and_tests_know_the_same_tests() -> None:
    told = set(re.findall(r"`(test_\w+)` \|$", DOCS, re.MULTILINE))
    written: set[str] = set()
    for path in (ROOT / "tests" / "integration" / "images").glob("test_*.py"):
        written |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert told == written


def test_every_row_of_the_docs_names_its_test() -> None:
    rows = [line for line in DOCS.splitlines() if line.startswith("| ") and not line.startswith("| what |")]
    assert [row for row in rows if not re.search(r"\| `test_\w+` \|$", row)] == []
