"""The swarm as a page; and in the same lab the first commands of tutorials, under Docker Hub names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labctl import images
from labctl.lab import Context, Lab
from labctl.waiting import Pending, wait_until
from tests.integration.images.containers import CONTRACT_STOP, LIMIT, Stage

pytestmark = pytest.mark.lab

Build = Callable[..., str]
SOCKET = "/var/run/docker.sock"
MOUNT = f"--mount type=bind,src={SOCKET},dst={SOCKET}"
NAMES = ["dockersamples/visualizer:stable", "alpine:latest", "redis:3.0.6", "redis:3.0.7"]


@pytest.fixture(scope="module")
def lab(context: Context, shared_lab: Lab) -> Lab:
    """The shared lab, with the images of this file to be had."""
    images.ensure(context.engine, NAMES)
    return shared_lab


@pytest.fixture
def services(lab: Lab) -> Iterator[Callable[..., str]]:
    """Creates a service and waits for it; removes it with the test."""
    made: list[str] = []

    def create(arguments: str) -> str:
        made.append(lab.manager().expect(f"docker service create --quiet {arguments}", limit=120).stdout.strip())
        return made[-1]

    yield create
    if made:
        lab.manager().expect(["docker", "service", "rm", *made])


def overview(lab: Lab, port: int) -> dict[str, Any]:
    """What the visualizer behind a published port shows."""

    def probe() -> dict[str, Any]:
        result = lab.manager().run(f"curl --silent --max-time 5 http://localhost:{port}/api")
        if not result.ok:
            raise Pending(f"curl ends with {result.code}")
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return wait_until("the visualizer", probe, limit=LIMIT)


def test_page_stands_alone(image: Build, stage: Stage) -> None:
    visualizer = stage.start(image("visualizer"), publish=8080)
    page = visualizer.ask(8080)
    assert page.status == 200
    for outside in ("http://", "https://", "//cdn"):
        assert outside not in page.body


def test_says_what_to_do_without_a_socket(image: Build, stage: Stage) -> None:
    visualizer = stage.start(image("visualizer"), publish=8080)
    answer = visualizer.ask(8080, "/api")
    assert answer.status == 503
    assert f"{SOCKET} is not there: mount it" in json.loads(answer.body)["error"]


def test_ends_soon(image: Build, stage: Stage) -> None:
    visualizer = stage.start(image("visualizer"), publish=8080)
    visualizer.ask(8080)
    assert visualizer.stop() < CONTRACT_STOP
    assert visualizer.exit_code() == 0
    assert visualizer.inspect()["Config"]["Labels"]["labctl.standin"] == "visualizer"


def test_shows_nodes_and_tasks(lab: Lab, services: Callable[..., str]) -> None:
    services(f"--name seen -p 8801:8080 --constraint node.role==manager {MOUNT} dockersamples/visualizer:stable")
    swarm = overview(lab, 8801)
    assert {node["name"] for node in swarm["nodes"]} == {"manager1", "worker1", "worker2"}
    manager = swarm["nodes"][0]
    assert (manager["role"], manager["leader"], manager["state"]) == ("manager", True, "ready")
    assert "seen.1" in [task["name"] for task in manager["tasks"]]


def test_shows_what_waits_for_a_node(lab: Lab, services: Callable[..., str]) -> None:
    services(f"--name seen -p 8802:8080 --constraint node.role==manager {MOUNT} dockersamples/visualizer:stable")
    services("--detach --name nowhere --constraint node.labels.none==here alpine:latest")

    def probe() -> str:
        waiting = overview(lab, 8802)["waiting"]
        if not waiting or not waiting[0]["error"]:
            raise Pending(str(waiting))
        return f"{waiting[0]['name']}: {waiting[0]['error']}"

    said = wait_until("the waiting task", probe, limit=LIMIT)
    assert said.startswith("nowhere.1: no suitable node")


def test_says_what_to_do_on_a_worker(lab: Lab, services: Callable[..., str]) -> None:
    services(f"--name seen -p 8803:8080 --constraint node.role==worker {MOUNT} dockersamples/visualizer:stable")
    assert "no swarm manager: add --constraint node.role==manager" in overview(lab, 8803)["error"]


def test_ping_service_of_the_first_lesson(lab: Lab, services: Callable[..., str]) -> None:
    service = services("--name helloworld --replicas 1 alpine ping docker.com")
    running = lab.manager().expect(f"docker service ps -q --filter desired-state=running {service}").stdout.split()
    assert len(running) == 1


def test_update_from_one_tag_to_the_next(lab: Lab, services: Callable[..., str]) -> None:
    service = services("--name redis --replicas 2 --update-delay 1s redis:3.0.6")
    lab.manager().expect(f"docker service update --quiet --image redis:3.0.7 {service}", limit=120)
    tasks = f"docker service ps --filter desired-state=running --format '{{{{.Image}}}}' {service}"
    assert lab.manager().expect(tasks).stdout.split() == ["redis:3.0.7"] * 2
