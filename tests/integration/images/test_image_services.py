"""What a lab needs beside its nodes: registry, mirror and edge."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from labctl.images.distribution import RegistryApi
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING
from tests.integration.images.containers import CONTRACT_STOP, Container, Stage, docker, fetch

pytestmark = pytest.mark.lab

Build = Callable[..., str]


def upload(registry: Container, port: int, name: str, headers: Mapping[str, str] | None = None) -> int:
    """Begin an upload; the status is 202 where a registry takes pushes."""
    return registry.ask(port, f"/v2/{name}/blobs/uploads/", body="", method="POST", headers=headers).status


def push_image(image: Build, registry: Container, repository: str) -> str:
    """Push the probe into the registry under a name of its own; returns its digest."""
    assert registry.ask(5000, "/v2/").status == 200  # the engine takes connections before the registry does
    address = registry.url(5000, "").removeprefix("http://")
    docker("tag", image("probe"), f"{address}/{repository}")
    try:
        docker("push", f"{address}/{repository}")
        digests = docker("inspect", "--format", "{{json .RepoDigests}}", f"{address}/{repository}").stdout
    finally:
        docker("rmi", f"{address}/{repository}")
    return str(next(digest for digest in json.loads(digests) if digest.startswith(address))).partition("@")[2]


def manifest_status(registry: Container, port: int, path: str) -> int:
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    return registry.ask(port, f"/v2/{path}", headers=accept).status


def test_registry_takes_gives_and_deletes(image: Build, stage: Stage) -> None:
    registry = stage.start(image("services"), "registry", publish=5000)
    digest = push_image(image, registry, "lesson/probe:1")
    assert manifest_status(registry, 5000, "lesson/probe/manifests/1") == 200
    assert registry.ask(5000, f"/v2/lesson/probe/manifests/{digest}", method="DELETE").status == 202
    assert manifest_status(registry, 5000, "lesson/probe/manifests/1") == 404


def test_registry_answers_and_ends_by_itself(image: Build, stage: Stage) -> None:
    registry = stage.start(image("services"), "registry", publish=5000)
    assert registry.ask(5000, "/v2/").status == 200
    assert registry.stop() < CONTRACT_STOP
    assert registry.exit_code() == 0


def test_registry_says_nothing_while_all_is_well(image: Build, stage: Stage) -> None:
    registry = stage.start(image("services"), "registry", publish=5000)
    registry.ask(5000, "/v2/")
    assert registry.logs() == ""


def test_mirror_reads_the_same_store_and_takes_no_push(image: Build, stage: Stage) -> None:
    store = f"{stage.volume()}:/var/lib/registry"
    registry = stage.start(image("services"), "registry", publish=5000, volume=store)
    push_image(image, registry, "library/nginx:latest")
    mirror = stage.start(image("services"), "mirror", publish=5000, volume=store)
    assert manifest_status(mirror, 5000, "library/nginx/manifests/latest") == 200
    assert upload(mirror, 5000, "library/nginx") == 405


def test_mirror_of_an_upstream_fetches_and_keeps(image: Build, stage: Stage) -> None:
    # The container outlives its registry: a connection refused is told at once, an address that is gone after 30 s.
    start = "services registry & exec sleep 600"
    upstream = stage.start(image("services"), "-c", start, options=["--entrypoint", "sh", "--init"], publish=5000)
    push_image(image, upstream, "library/nginx:latest")
    environment = {"MIRROR_UPSTREAM": f"http://{upstream.address()}:5000"}
    mirror = stage.start(image("services"), "mirror", env=environment, publish=5000)
    assert manifest_status(mirror, 5000, "library/nginx/manifests/latest") == 200
    assert manifest_status(mirror, 5000, "library/redis/manifests/latest") == 404
    address = mirror.url(5000, "").removeprefix("http://")
    docker("pull", f"{address}/library/nginx:latest")
    docker("rmi", f"{address}/library/nginx:latest")
    upstream.execute("sh", "-c", "kill $(pidof docker-registry)")
    assert manifest_status(mirror, 5000, "library/nginx/manifests/latest") == 200


def test_mirror_without_its_upstream_serves_what_it_has(image: Build, stage: Stage) -> None:
    store = f"{stage.volume()}:/var/lib/registry"
    registry = stage.start(image("services"), "registry", publish=5000, volume=store)
    push_image(image, registry, "library/nginx:latest")
    environment = {"MIRROR_UPSTREAM": "http://127.0.0.1:9"}
    mirror = stage.start(image("services"), "mirror", env=environment, publish=5000, volume=store)
    assert manifest_status(mirror, 5000, "library/nginx/manifests/latest") == 200
    assert upload(mirror, 5000, "library/nginx") == 405
    assert "serving what it holds, read-only" in mirror.logs()


SECRET = "0123456789abcdef" * 4
BASIC = {"Authorization": "Basic " + base64.b64encode(f"labctl:{SECRET}".encode()).decode()}


@pytest.fixture
def secret(tmp_path: Path) -> Sequence[str]:
    """Options of `docker run` that give a container the secret; here a mount serves."""
    (tmp_path / "secret").write_text(SECRET)
    return ["--volume", f"{tmp_path / 'secret'}:/etc/labctl/registry-secret:ro"]


def test_both_in_one_container(image: Build, stage: Stage, secret: Sequence[str]) -> None:
    options = [*secret, "--publish", "127.0.0.1::5001"]
    both = stage.start(image("services"), "registry+mirror", publish=5000, options=options)
    assert upload(both, 5000, "x", BASIC) == 202
    assert upload(both, 5001, "x") == 405
    assert both.stop() < CONTRACT_STOP
    assert both.exit_code() == 0


def test_both_without_a_secret_do_not_start(image: Build, stage: Stage) -> None:
    both = stage.start(image("services"), "registry+mirror")
    assert both.wait_for_end() == 2
    assert "would be open to all" in both.logs()


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic bGFiY3RsOmd1ZXNzZWQ="}, {"Authorization": "Bearer x"}]
)
def test_a_guarded_registry_is_read_by_all_and_written_with_the_secret(
    image: Build, stage: Stage, secret: Sequence[str], headers: dict[str, str]
) -> None:
    registry = stage.start(image("services"), "registry", publish=5000, options=secret)
    assert upload(registry, 5000, "x", BASIC) == 202
    assert registry.ask(5000, "/v2/_catalog", headers=headers).status == 200
    asked = registry.ask(5000, "/v2/", headers=headers)
    assert asked.status == 401
    assert asked.headers["WWW-Authenticate"].startswith('Bearer realm="http://127.0.0.1:')
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        refused = registry.ask(5000, "/v2/x/manifests/1", headers=headers, method=method, body="")
        assert (refused.status, "only the nodes of this lab" in refused.body) == (401, True)
    assert SECRET not in registry.logs()


def test_dockers_own_client_logs_in_with_the_secret_and_only_reads_without(
    image: Build, stage: Stage, secret: Sequence[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    registry = stage.start(image("services"), "registry", publish=5000, options=secret)
    registry.ask(5000, "/v2/")
    address = registry.url(5000, "").removeprefix("http://")
    docker("tag", image("probe"), f"{address}/probe")
    try:
        refused = docker("push", f"{address}/probe", check=False)
        assert refused.returncode != 0 and "denied: only the nodes of this lab" in refused.stderr
        assert docker("login", "-u", "labctl", "--password-stdin", address, check=False, stdin="no").returncode != 0
        docker("login", "-u", "labctl", "--password-stdin", address, stdin=SECRET)
        docker("push", f"{address}/probe")
        docker("logout", address)
        docker("pull", f"{address}/probe")
    finally:
        docker("rmi", f"{address}/probe")


def test_who_writes_without_the_secret_is_told_by_address(image: Build, stage: Stage, secret: Sequence[str]) -> None:
    node = stage.start(image("services"), "-c", "exec sleep 600", options=["--entrypoint", "sh", "--init"])
    ask = "wget -q -O- --post-data x=1 http://guarded:5000/v2/x/blobs/uploads/ 2>&1 && echo taken || true"
    for rule, said in (
        ({"WRITERS": node.address()}, "taken"),
        ({"WRITERS": "0.0.0.0/0", "NOT_WRITERS": f"192.0.2.1 {node.address()}"}, "401 Unauthorized"),
        ({}, "401 Unauthorized"),
    ):
        guarded = stage.start(image("services"), "registry", publish=5000, options=secret, env=rule, alias="guarded")
        guarded.ask(5000, "/v2/_catalog")
        assert said in node.execute("sh", "-c", ask), rule
        docker("rm", "--force", guarded.name)


def test_a_large_layer_goes_through_in_pieces_and_parts_of_it_come_back(
    image: Build, stage: Stage, secret: Sequence[str]
) -> None:
    registry = stage.start(image("services"), "registry", publish=5000, options=secret)
    registry.ask(5000, "/v2/_catalog")
    host, _, port = registry.url(5000, "").removeprefix("http://").partition(":")
    content = bytes(range(256)) * 40_000
    with contextlib.closing(RegistryApi(host, int(port), secret=SECRET)) as api:
        place = api.begin_upload("x")
        assert place.startswith("/v2/x/"), "a place on whatever it was asked as"
        place = api.upload(place, [content], len(content))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        api.finish_upload(place, digest)
        assert api.blob("x", digest) == content
    part = registry.ask(5000, f"/v2/x/blobs/{digest}", headers={"Range": "bytes=65-66"})
    assert (part.status, part.body) == (206, "AB")


def test_both_end_when_one_does(image: Build, stage: Stage, secret: Sequence[str]) -> None:
    both = stage.start(image("services"), "registry+mirror", publish=5000, options=secret)
    both.ask(5000, "/v2/")
    both.execute("sh", "-c", "kill -9 $(pidof docker-registry | cut -d' ' -f1)")
    assert both.wait_for_end() != 0
    assert "one of the registry's programs ended" in both.logs()


def test_secret_differs_at_every_start(image: Build, stage: Stage) -> None:
    registries = [stage.start(image("services"), "registry", publish=5000) for _ in range(2)]
    secrets = set()
    for registry in registries:
        registry.ask(5000, "/v2/")
        secrets.add(registry.execute("grep", "secret", "/run/registry.yml"))
    assert len(secrets) == 2


FILES = "mkdir -p /var/lib/edge && cd /var/lib/edge && echo {nodes} > nodes.json && echo {ways} > fixed.json && "


def start_edge(stage: Stage, image: str, nodes: list[Container], way: list[object], publish: str) -> Container:
    """A proxy as it is where the engine publishes its ports, told one way and where the nodes are."""
    files = FILES.format(
        nodes=shlex.quote(json.dumps([node.address() for node in nodes])), ways=shlex.quote(json.dumps([way]))
    )
    options = ["--entrypoint", "sh", "--init", "--publish", f"127.0.0.1::{publish}"]
    return stage.start(image, "-c", f"{files} exec services edge published", options=options)


def test_edge_goes_round_its_nodes(image: Build, stage: Stage) -> None:
    nodes = [stage.start(image("probe"), options=["--hostname", name]) for name in ("one", "two")]
    edge = start_edge(stage, image("services"), nodes, [80, 8080, "tcp", 80, False], "80")
    wait_until_all_seen(edge, {"one\n", "two\n"})


def wait_until_all_seen(edge: Container, wanted: set[str]) -> None:
    seen: set[str] = set()

    def probe() -> None:
        seen.add(edge.ask(80).body)
        if seen != wanted:
            raise Pending(str(seen))

    wait_until(f"answers of {wanted}", probe, limit=HANGING, pause=0.02)


def test_edge_leaves_out_a_dead_node(image: Build, stage: Stage) -> None:
    alive = stage.start(image("probe"), options=["--hostname", "alive"])
    dead = stage.start(image("probe"), options=["--hostname", "dead"])
    edge = start_edge(stage, image("services"), [alive, dead], [80, 8080, "tcp", 80, False], "80")
    wait_until_all_seen(edge, {"alive\n", "dead\n"})
    dead.stop()
    url = edge.url(80)
    assert [fetch(url).body for _ in range(6)] == ["alive\n"] * 6
    assert alive.inspect()["State"]["Running"]


def test_edge_carries_udp(image: Build, stage: Stage) -> None:
    echo = (
        "import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('', 53))\nwhile 1: s.sendto(*s.recvfrom(9))"
    )
    node = stage.start(image("vote"), "python3", "-c", echo)
    edge = start_edge(stage, image("services"), [node], [5353, 53, "udp", 53, False], "5353/udp")
    host, port = docker("port", edge.name, "5353/udp").stdout.split()[0].rsplit(":", 1)

    def probe() -> bytes:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            try:
                client.sendto(b"ping", (host, int(port)))
                return client.recv(9)
            except OSError as problem:
                raise Pending(str(problem)) from None

    assert wait_until("an answer over UDP", probe, limit=HANGING) == b"ping"


def test_edge_ends_at_once(image: Build, stage: Stage) -> None:
    node = stage.start(image("probe"))
    edge = start_edge(stage, image("services"), [node], [80, 8080, "tcp", 80, False], "80")
    edge.ask(80)
    assert edge.stop() < CONTRACT_STOP
    assert edge.exit_code() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sleep"], "expected registry, mirror, registry+mirror or edge, not 'sleep'"),
        (["edge"], "edge needs host or published, not ''"),
        (["edge", "80/tcp"], "edge needs host or published, not '80/tcp'"),
    ],
)
def test_bad_arguments_are_told_in_a_line(image: Build, stage: Stage, arguments: list[str], said: str) -> None:
    result = stage.once(image("services"), *arguments)
    assert result.returncode == 2
    assert said in result.stderr.splitlines()[-1]
