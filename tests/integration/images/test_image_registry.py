"""The stand-in for registry:2, which lessons run as a service of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Container, Stage, docker

pytestmark = pytest.mark.lab

Build = Callable[..., str]


def address(registry: Container, port: int = 5000) -> str:
    registry.ask(port, "/v2/")
    return registry.url(port, "").removeprefix("http://")


def push(image: Build, name: str) -> None:
    docker("tag", image("probe"), name)
    try:
        docker("push", name)
    finally:
        docker("rmi", name)


def test_takes_and_gives_without_a_login(image: Build, stage: Stage) -> None:
    registry = stage.start(image("registry"), publish=5000)
    name = f"{address(registry)}/first/hello:1"
    push(image, name)
    assert registry.ask(5000, "/v2/_catalog").body.strip() == '{"repositories":["first/hello"]}'
    docker("pull", name)
    docker("rmi", name)


def test_keeps_what_it_has_in_its_volume(image: Build, stage: Stage) -> None:
    volume = f"{stage.volume()}:/var/lib/registry"
    first = stage.start(image("registry"), publish=5000, volume=volume)
    push(image, f"{address(first)}/kept:1")
    first.stop()
    second = stage.start(image("registry"), publish=5000, volume=volume)
    assert "kept" in second.ask(5000, "/v2/_catalog").body


def test_settings_by_environment(image: Build, stage: Stage) -> None:
    environment = {"REGISTRY_HTTP_ADDR": "0.0.0.0:9090", "REGISTRY_STORAGE_DELETE_ENABLED": "true"}
    registry = stage.start(image("registry"), env=environment, publish=9090)
    assert registry.ask(9090, "/v2/").status == 200
    unknown = f"/v2/nothing/manifests/sha256:{'0' * 64}"
    assert registry.ask(9090, unknown, method="DELETE").status == 404  # 405 where deleting is off
    plain = stage.start(image("registry"), publish=5000)
    assert plain.ask(5000, unknown, method="DELETE").status == 405


def test_configuration_file(image: Build, stage: Stage) -> None:
    start = "sed s/:5000/:6000/ /etc/docker/registry/config.yml > /my.yml; exec /entrypoint.sh /my.yml"
    registry = stage.start(image("registry"), "-c", start, options=["--entrypoint", "sh"], publish=6000)
    assert registry.ask(6000, "/v2/").status == 200


def test_program(image: Build, stage: Stage) -> None:
    registry = stage.start(image("registry"), publish=5000)
    push(image, f"{address(registry)}/some:1")
    collected = registry.execute("registry", "garbage-collect", "--dry-run", "/etc/docker/registry/config.yml")
    assert "blobs marked" in collected
    assert " 2.8" in stage.once(image("registry"), "registry", "--version").stdout


def test_ends_soon(image: Build, stage: Stage) -> None:
    registry = stage.start(image("registry"), publish=5000)
    registry.ask(5000, "/v2/")
    assert registry.stop() < CONTRACT_STOP
    assert registry.exit_code() == 0
    assert registry.inspect()["Config"]["Labels"]["labctl.standin"] == "registry"
