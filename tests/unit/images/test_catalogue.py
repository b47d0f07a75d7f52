"""The catalogue: what image.yaml files say, and what a name means."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import NotFoundError, SpecError
from labctl.images.catalogue import read_catalogue, read_images
from labctl.images.mode import MirrorMode
from labctl.images.names import parse

WEB = """\
format: 1
name: web
standin: true
names: [nginx:latest, "nginx:1.27", "labctl/web:1"]
variants:
  "2":
    build_args: {VERSION: "2"}
    names: [labctl/web:2]
summary: A web server
versions: ours
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalogue of one image."""
    return image(tmp_path, "web", WEB)


def image(top: Path, name: str, text: str) -> Path:
    """Write an image's folder and return the catalogue's."""
    (top / name).mkdir()
    (top / name / "image.yaml").write_text(text)
    (top / name / "Dockerfile").write_text("FROM scratch\n")
    return top


def test_the_projects_own_catalogue_is_sound() -> None:
    catalogue = read_catalogue()

    assert {"services", "probe", "nginx", "redis", "postgres", "vote", "result", "worker"} <= set(catalogue.images)
    for each in catalogue.images.values():
        assert (each.folder / "Dockerfile").is_file()
        assert each.summary and each.versions and each.names


@pytest.mark.parametrize("name", ["web", "nginx", "nginx:1.27", "docker.io/library/nginx:latest", "labctl/web:1"])
def test_an_image_is_found_by_its_own_name_and_by_each_that_it_is_served_under(folder: Path, name: str) -> None:
    assert read_catalogue(folder).find(name).name == "web"


def test_a_variant_is_an_image_of_its_own_made_of_the_same_files(folder: Path) -> None:
    catalogue = read_catalogue(folder)
    first, second = catalogue.find("web"), catalogue.find("labctl/web:2")

    assert second.name == "web-2"
    assert second.build_args == {"VERSION": "2"}
    assert second.folder == first.folder
    assert second.sources() != first.sources()


def test_a_name_that_is_not_there_gets_the_nearest_one(folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no image named 'ngimx:1.27': did you mean nginx:1.27\?"):
        read_catalogue(folder).find("ngimx:1.27")


def test_a_name_of_another_registry_is_never_ours(folder: Path) -> None:
    with pytest.raises(NotFoundError):
        read_catalogue(folder).find("registry:5000/library/nginx:latest")


def test_with_the_hub_in_reach_only_our_own_names_are_served(folder: Path) -> None:
    web = read_catalogue(folder).find("web")

    assert [name.familiar for name in web.served(MirrorMode())] == ["nginx:latest", "nginx:1.27", "labctl/web:1"]
    assert [name.familiar for name in web.served(MirrorMode("https://hub", "own"))] == ["labctl/web:1"]


def test_only_other_peoples_names_are_stood_in_for(folder: Path) -> None:
    web = read_catalogue(folder).find("web")

    assert web.stands_in(parse("nginx"))
    assert not web.stands_in(parse("labctl/web:1"))


def test_what_only_the_host_runs_is_served_to_no_node() -> None:
    assert read_catalogue().find("services").served(MirrorMode()) == ()


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    image(tmp_path, "web", WEB)
    image(tmp_path, "bad", WEB.replace("name: web", "name: bad").replace("standin: true", "standin: maybe\nsize: 3"))
    image(tmp_path, "other", WEB)
    image(tmp_path, "torn", "format: [1")
    image(tmp_path, "twin", WEB.replace("name: web", "name: twin").replace("labctl/web", "labctl/twin"))
    image(tmp_path, "far", WEB.replace("name: web", "name: far").replace("nginx:latest", "quay.io/nginx:latest"))

    with pytest.raises(SpecError) as caught:
        read_catalogue(tmp_path)

    problems = "\n".join(caught.value.problems)
    assert "bad/image.yaml: standin: Input should be a valid boolean" in problems
    assert "bad/image.yaml: size: Extra inputs are not permitted" in problems
    assert "other/image.yaml: name: 'web', and the folder is other" in problems
    assert "torn/image.yaml: " in problems
    assert "web/image.yaml: names: nginx:latest is twin's already" in problems
    assert "far/image.yaml: names.0: Value error, quay.io/nginx:latest is no name of Docker Hub" in problems


@pytest.mark.parametrize("text", ["", "- a\n", "hello", "format: 2\n"])
def test_a_file_that_says_nothing_of_an_image_is_refused(tmp_path: Path, text: str) -> None:
    image(tmp_path, "web", text)

    with pytest.raises(SpecError):
        read_images(tmp_path / "web")
