"""The commands on images, the registry and ports, as a person types them."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Context, Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def labctl(shared_lab: Lab, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command on the shared lab; returns its exit code and what it wrote on stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["--lab", shared_lab.name, "--progress", "plain", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


@pytest.fixture
def name(context: Context) -> Iterator[str]:
    """The name of an image that goes away with the test."""
    chosen = f"t{secrets.token_hex(4)}/web:1"
    yield chosen
    context.engine.remove_image(chosen)


@pytest.fixture
def web(shared_lab: Lab) -> Iterator[str]:
    """A service that publishes a port."""
    name = f"t{secrets.token_hex(3)}_web"
    manager = shared_lab.manager()
    manager.expect(f"docker service create --quiet --name {name} --publish 30090:8080 labctl/probe:1", limit=60)
    yield name
    manager.expect(f"docker service rm {name}")


def test_images_are_listed_with_what_they_stand_in_for(labctl: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = labctl("image", "ls", "--output", "json")

    listed = json.loads(out)
    images = {each["name"]: each for each in listed["images"]}
    assert code == 0
    assert images["nginx"]["kind"] == "stand-in"
    assert {key: value for key, value in images["nginx"]["names"][0].items() if key != "served"} == {
        "name": "nginx:latest",
        "standin": True,
    }
    assert images["probe"]["state"] == "served"
    assert labctl("image", "ls")[1].splitlines()[0].split() == ["IMAGE", "KIND", "STATE", "SIZE", "NAMES"]


def test_a_folder_of_ones_own_is_built_pushed_and_pulled(
    labctl: Callable[..., tuple[int, str, str]], tmp_path: Path, name: str
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM labctl/probe:1\n")

    assert labctl("image", "build", str(tmp_path), "-t", name)[:2] == (0, f"{name}\n")
    code, out, _ = labctl("image", "push", name, "--as", "mine:2")
    assert (code, out) == (0, "registry:5000/mine:2\n")
    assert labctl("image", "pull", "registry:5000/mine:2", "--nodes", "@worker")[0] == 0
    assert "image pull registry:5000/mine:2`" in labctl("image", "pull", "mine:2")[2]
    assert labctl("image", "load", name, "--nodes", "worker1")[0] == 0
    code, out, _ = labctl("registry", "catalog", "-o", "json")
    assert "registry:5000/mine:2" in [each["name"] for each in json.loads(out)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("image", "build"), 2, "nothing to build"),
        (("image", "build", "ngimx"), 2, "no image named 'ngimx': did you mean nginx?"),
        (("image", "build", "/"), 2, "/ is a folder, and its image has no name"),
        (("image", "build", "/nowhere", "-t", "x"), 2, "/nowhere is not there"),
        (("image", "build", "a", "b", "-t", "x"), 2, "`-t NAME` takes one folder"),
        (("image", "build", "/", "-t", "No Name"), 2, "'No Name' is no image name"),
        (("image", "push", "t/none:1"), 2, "no image named 't/none:1'"),
        (("image", "pull", "nginx", "--nodes", "@nobody"), 2, "'@nobody' is no filter"),
        (("image", "prune", "--all"), 2, "Nobody is here to answer"),
        (("bundle", "load", "/nowhere"), 2, "there is no file /nowhere"),
        (("bundle", "save", "/"), 2, "/ is a folder; a bundle is a file"),
        (("port", "add", "http"), 2, "'http' is no port"),
        (("port", "add", "0"), 2, "'0' is no port"),
        (("port", "add", "99999"), 2, "'99999' is no port"),
        (("port", "rm", "31999"), 2, "no way to a port named '31999/tcp'"),
        (("open", "nobody"), 2, "no service named 'nobody'"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    labctl: Callable[..., tuple[int, str, str]], words: tuple[str, ...], code: int, said: str
) -> None:
    ended, out, err = labctl(*words)

    told = [line for line in err.splitlines() if line.startswith("labctl: ")]
    assert (ended, out) == (code, "")
    assert len(told) == 1 and said in told[0]
    assert "Traceback" not in err


def test_an_image_that_nobody_has_is_told_with_the_nearest(
    labctl: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABCTL_HUB", "never")

    code, _, err = labctl("image", "pull", "nginx:2.27")

    assert code == 2
    assert "labctl: no image named 'nginx:2.27': did you mean nginx:1.27?" in err


def test_the_registry_says_where_it_is(labctl: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = labctl("registry", "url")
    status = json.loads(labctl("registry", "status", "-o", "json")[1])

    assert code == 0
    assert out.strip() == status["url"]
    # Reading is open; at /v2/ itself it asks who comes, as Docker Hub does.
    with urllib.request.urlopen(f"{out.strip()}/v2/_catalog", timeout=30) as answer:
        assert answer.status == 200
    assert status["state"] == "running"
    assert status["container"] in labctl("registry", "status")[1]


def test_a_services_port_is_opened_listed_and_not_taken_away(
    labctl: Callable[..., tuple[int, str, str]], web: str
) -> None:
    code, out, _ = labctl("open", "web", "--print")  # its stack's name may be left out
    assert code == 0
    with urllib.request.urlopen(out.strip(), timeout=10) as answer:
        assert answer.status == 200

    listed = {each["service"]: each for each in json.loads(labctl("ports", "-o", "json")[1])}
    assert listed[web]["urls"] == [out.strip()] and listed[web]["port"] == 30090
    assert out.strip() in labctl("ports")[1]

    def ports() -> set[int]:  # of the whole lab, which other tests open ports on too
        return {each["port"] for each in json.loads(labctl("port", "ls", "-o", "json")[1])}

    assert 30090 in ports()

    code, _, err = labctl("port", "rm", "30090")
    assert code == 2
    assert "closes when the service goes" in err
    assert 30090 in ports()


def test_a_service_that_publishes_nothing_is_told_so(
    labctl: Callable[..., tuple[int, str, str]], shared_lab: Lab
) -> None:
    manager = shared_lab.manager()
    manager.expect("docker service create --quiet --name silent labctl/probe:1", limit=60)

    code, _, err = labctl("open", "silent")

    manager.expect("docker service rm silent")
    assert code == 1
    assert "silent publishes no port" in err and "--publish-add" in err
