"""The steps that several Dockerfiles begin with."""

from __future__ import annotations

from labctl.images.catalogue import read_catalogue
from labctl.images.sharing import shared_beginnings

TOOLS = "FROM debian\n# why\nRUN apt-get update \\\n && apt-get install tools\n"
PYTHON = f"{TOOLS}RUN install python\n"


def test_each_shared_beginning_is_built_once_the_shorter_ones_first() -> None:
    shared = shared_beginnings(
        {
            "nginx": f"{TOOLS}RUN install nginx\n",
            "vote": f"{PYTHON}COPY app.py /\nRUN compile\n",
            "result": f"{PYTHON}COPY app.py /\nRUN compile\n",
            "probe": "FROM debian AS build\nRUN other\n",
        }
    )

    tools = "FROM debian\nRUN apt-get update \\\n && apt-get install tools\n"
    assert shared == [tools, f"{tools}RUN install python\n"]


def test_nothing_after_a_files_own_step_is_shared() -> None:
    same = "FROM debian\nARG VERSION=1\nRUN build $VERSION\n"

    assert shared_beginnings({"one": same, "other": same}) == []


def test_one_image_alone_shares_nothing() -> None:
    assert shared_beginnings({"one": TOOLS}) == []
    assert shared_beginnings({}) == []


def test_a_second_stage_is_nobodys_beginning() -> None:
    staged = "FROM debian AS build\nRUN one\nFROM scratch\nCOPY --from=build / /\n"

    assert shared_beginnings({"one": staged, "other": staged}) == ["FROM debian AS build\nRUN one\n"]


def test_the_projects_own_images_share_their_tools() -> None:
    images = read_catalogue().images
    dockerfiles = {name: (images[name].folder / "Dockerfile").read_text() for name in ("nginx", "redis", "postgres")}

    assert len(shared_beginnings(dockerfiles)) >= 1
