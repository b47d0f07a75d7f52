"""A lab's registry and mirror: what is pushed is pulled, and who answers for Docker Hub's names."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labctl import images
from labctl.concurrent import each
from labctl.engine import Engine
from labctl.errors import LabError, NotFoundError
from labctl.events import Event, Noted
from labctl.images import MirrorMode
from labctl.images.catalogue import Image
from labctl.images.distribution import RegistryApi
from labctl.images.names import parse
from labctl.images.own import build_folder
from labctl.images.store import writer_port
from labctl.images.upload import push_saved
from labctl.lab import Context, Lab, UpOptions, bring_up, find_lab
from labctl.pki import known_registry_secret
from labctl.registry import RegistryInfo, catalog, ensure_registry, find_registry, load, open_registry, pull, push
from labctl.spec.addresses import registry_address
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING

pytestmark = pytest.mark.lab

STANDIN, ORIGINAL = "the stand-in", "the original"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and a worker."""
    return make_lab(workers=1)


@pytest.fixture
def engine(context: Context) -> Engine:
    """This host's engine."""
    return context.engine


@pytest.fixture
def word() -> str:
    """A name that nobody else uses."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def made(engine: Engine, tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Build a tiny image that says something, under a tag; returns the tag."""
    tags: list[str] = []

    def make(tag: str, says: str) -> str:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        (folder / "said").write_text(says)
        (folder / "Dockerfile").write_text(f'FROM labctl/probe:1\nLABEL says="{says}"\nCOPY said /said\n')
        tags.append(build_folder(engine, folder, tag, mode=MirrorMode()))
        return tags[-1]

    yield make
    for tag in tags:
        engine.remove_image(tag)


def converge(lab: Lab, mode: MirrorMode | None = None) -> tuple[RegistryInfo, list[Event]]:
    """Ensure the lab's registry; returns it and what was told."""
    heard: list[Event] = []
    assert lab.record.subnet is not None
    place = lab.backend.place_beside(lab.name, lab.record.subnet)
    info = ensure_registry(lab.context.engine, lab.name, place, heard.append, mode or MirrorMode())
    return info, heard


def says(lab: Lab, name: str) -> list[str]:
    """What the image that each node has under a name says."""
    return [(node.engine.image(name) or {})["Config"]["Labels"].get("says", "") for node in lab.nodes]


def test_it_answers_and_stays_as_it_is(lab: Lab, engine: Engine) -> None:
    before = engine.container(f"{lab.name}-registry")

    info, heard = converge(lab)

    after = engine.container(f"{lab.name}-registry")
    assert before is not None and after is not None and before["Id"] == after["Id"]
    assert before["State"]["StartedAt"] == after["State"]["StartedAt"]
    assert heard == []
    assert info.state == "running" and info.upstream == ""
    assert info.host_port == lab.registry_port()
    assert lab.record.subnet is not None and info.address == registry_address(lab.record.subnet)


def test_it_mounts_nothing_of_the_host_and_opens_nothing_to_others(lab: Lab, engine: Engine) -> None:
    found = engine.container(f"{lab.name}-registry")
    assert found is not None

    assert {mount["Type"] for mount in found["Mounts"]} == {"volume"}
    assert {mount["Destination"]: mount["RW"] for mount in found["Mounts"]} == {
        "/var/lib/registry": True,
        "/var/lib/mirror": False,
    }
    assert not found["HostConfig"]["Privileged"]
    bound = [each["HostIp"] for ports in found["HostConfig"]["PortBindings"].values() for each in ports]
    assert bound == ["127.0.0.1"]


def test_what_the_host_pushes_every_node_pulls(lab: Lab, engine: Engine, word: str, made: Callable[..., str]) -> None:
    tag = made(f"{word}:1", "pushed")

    stored = push(engine, lab.name, tag)
    pull(lab.nodes, stored.name)

    assert stored.name == f"registry:5000/{word}:1"
    assert says(lab, stored.name) == ["pushed", "pushed"]
    listed = next(each for each in catalog(open_registry(engine, lab.name)) if each.repository == word)
    assert listed == stored
    ours = engine.image(tag)
    assert ours is not None and ours["Id"] == stored.image_id


def test_a_pushed_image_may_be_called_otherwise(lab: Lab, engine: Engine, word: str, made: Callable[..., str]) -> None:
    stored = push(engine, lab.name, made(f"{word}:1", "x"), f"127.0.0.1:1234/group/{word}:2")

    assert stored.name == f"registry:5000/group/{word}:2"


def test_what_a_node_pushes_the_others_pull(lab: Lab, word: str) -> None:
    manager, worker = lab.nodes
    pull([manager], "labctl/probe:1")
    manager.expect(f"docker tag labctl/probe:1 registry:5000/{word} && docker push -q registry:5000/{word}")

    pull([worker], f"registry:5000/{word}")


def test_the_docker_cli_pushes_through_a_node_without_a_login(lab: Lab, word: str) -> None:
    environment = {**os.environ, **lab.node("w1").docker_env, "DOCKER_CONFIG": f"/nowhere/{word}"}
    pull([lab.node("w1")], "labctl/probe:1")

    for command in (["tag", "labctl/probe:1", f"registry:5000/{word}"], ["push", "-q", f"registry:5000/{word}"]):
        subprocess.run(["docker", *command], env=environment, check=True, capture_output=True, timeout=60)

    pull([lab.node("m1")], f"registry:5000/{word}")


def test_a_node_that_comes_later_pushes_too(lab: Lab, context: Context, word: str) -> None:
    bring_up(context, replace(lab.spec, workers=2), UpOptions(verify=False))
    later = find_lab(context, lab.name).node("w2")
    pull([later], "labctl/probe:1")
    try:
        later.expect(f"docker tag labctl/probe:1 registry:5000/{word} && docker push -q registry:5000/{word}")
    finally:
        find_lab(context, lab.name).remove_nodes([later])


def status_of(url: str, method: str = "GET") -> int:
    """What a registry answers one who shows nothing."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_others_on_this_host_read_and_do_not_write(
    lab: Lab, engine: Engine, word: str, made: Callable[..., str]
) -> None:
    stored = push(engine, lab.name, made(f"{word}:1", "pushed"))
    info = find_registry(engine, lab.name)

    for where in (info.url, f"http://{info.address}:5000"):
        assert status_of(f"{where}/v2/_catalog") == 200
        assert status_of(f"{where}/v2/{word}/blobs/uploads/", "POST") == 401
        assert status_of(f"{where}/v2/{word}/manifests/{stored.digest}", "DELETE") == 401
    assert status_of(f"http://{info.address}:5001/v2/{word}/blobs/uploads/", "POST") == 405
    address = info.url.removeprefix("http://")
    pulled = f"{address}/{word}:1"
    subprocess.run(["docker", "pull", "-q", pulled], check=True, capture_output=True, timeout=60)
    pushed = subprocess.run(["docker", "push", pulled], capture_output=True, text=True, timeout=60)
    engine.remove_image(pulled)
    assert pushed.returncode != 0 and "denied: only the nodes of this lab" in pushed.stderr


def test_another_users_labctl_reads_and_does_not_write(
    lab: Lab, engine: Engine, word: str, made: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = made(f"{word}:1", "pushed")
    push(engine, lab.name, tag)
    monkeypatch.setenv("LABCTL_STATE", str(tmp_path / "of somebody else"))

    with pytest.raises(LabError, match="401 only the nodes of this lab") as caught:
        push(engine, lab.name, tag, "evil:1")

    assert "LABCTL_STATE" in (caught.value.hint or "")
    assert word in [each.repository for each in catalog(open_registry(engine, lab.name))]


@pytest.mark.parametrize("network", ["labctl-{lab}", "bridge"])
def test_a_strangers_container_does_not_write(lab: Lab, engine: Engine, word: str, network: str) -> None:
    name = f"{lab.name}-stranger-{word}"
    address = find_registry(engine, lab.name).address
    ask = f"wget -q -T 4 -O- --post-data x=1 http://{address}:5000/v2/{word}/blobs/uploads/ && echo taken"
    host = {"NetworkMode": network.format(lab=lab.name)}
    body = {"Image": images.ensure_services(engine), "Entrypoint": ["sleep", "600"], "Cmd": [], "HostConfig": host}
    engine.create(name, body)
    try:
        engine.start(name)
        assert b"taken" not in engine.execute(name, ["sh", "-c", ask]).stdout
    finally:
        engine.remove(name)


def test_the_secret_is_in_no_label_variable_argument_or_log(lab: Lab, engine: Engine) -> None:
    secret = known_registry_secret(lab.name)
    login = base64.b64encode(f"labctl:{secret}".encode()).decode()
    assert secret

    for found in engine.containers([f"labctl.lab={lab.name}"]):
        shown = json.dumps(engine.container(found["Id"])) + json.dumps(engine.api.top(found["Id"]))
        shown += engine.logs(found["Id"], tail=10_000)
        assert secret not in shown and login not in shown


def test_an_image_is_loaded_onto_nodes_without_a_registry(
    lab: Lab, engine: Engine, word: str, made: Callable[..., str]
) -> None:
    load(engine, lab.nodes, made(f"{word}:1", "loaded"))

    assert says(lab, f"{word}:1") == ["loaded", "loaded"]


def test_an_image_that_is_not_there_is_told_once_for_all_nodes(lab: Lab, engine: Engine, word: str) -> None:
    with pytest.raises(LabError, match=f"^manager1, worker1 cannot pull registry:5000/{word}:1: ") as caught:
        pull(lab.nodes, f"registry:5000/{word}:1")
    assert "image push" in (caught.value.hint or "")
    for give in (lambda: push(engine, lab.name, f"{word}:1"), lambda: load(engine, lab.nodes, f"{word}:1")):
        with pytest.raises(NotFoundError, match=f"no image named '{word}:1'"):
            give()


def test_one_that_is_stopped_is_started_and_one_that_is_gone_is_made_again(
    lab: Lab, engine: Engine, word: str, made: Callable[..., str]
) -> None:
    name = f"{lab.name}-registry"
    port = find_registry(engine, lab.name).host_port
    push(engine, lab.name, made(f"{word}:1", "kept"))
    engine.kill(name)
    with pytest.raises(LabError, match=f"the registry of lab {lab.name} is exited") as caught:
        open_registry(engine, lab.name)
    assert f"labctl up -l {lab.name}" in (caught.value.hint or "")

    assert converge(lab)[0].host_port == port

    engine.remove(name)
    with pytest.raises(LabError, match="has no registry"):
        find_registry(engine, lab.name)

    converge(lab)

    assert [each.name for each in catalog(open_registry(engine, lab.name)) if each.repository == word] == [
        f"registry:5000/{word}:1"
    ]


@pytest.fixture
def store(engine: Engine, lab: Lab) -> Iterator[str]:
    """A store for this test alone; the lab gets its own one back."""
    chosen = f"t{secrets.token_hex(4)}-mirror"
    yield chosen
    converge(lab)
    engine.remove_volume(chosen)


def test_the_mirror_serves_what_is_new_without_being_started_again(
    lab: Lab, engine: Engine, store: str, word: str, tmp_path: Path
) -> None:
    mode = MirrorMode(store=store)
    converge(lab, mode)
    started = (engine.container(f"{lab.name}-registry") or {})["State"]["StartedAt"]

    for says_now in ("first", "second"):
        (tmp_path / "Dockerfile").write_text(f'FROM {_probe(engine)}\nLABEL says="{says_now}"\n')
        image = Image(word, tmp_path, standin=True, names=(parse(f"{word}:latest"),))
        tags = images.build_images(engine, [image], mode=mode)
        images.serve(engine, [image], tags, mode=mode)
        pull(lab.nodes, word)
        assert says(lab, word) == [says_now, says_now]
        engine.remove_image(tags[word])

    assert (engine.container(f"{lab.name}-registry") or {})["State"]["StartedAt"] == started


def _probe(engine: Engine) -> str:
    return images.build_images(engine, [images.read_catalogue().find("probe")])["probe"]


def test_a_service_runs_an_image_by_its_hub_name(lab: Lab, engine: Engine) -> None:
    images.ensure(engine, ["alpine:latest"], mode=MirrorMode())
    manager = lab.nodes[0]

    made = manager.expect("docker service create --quiet --name hubname alpine sleep 1000", limit=120)

    spec = manager.engine.swarm_objects("services", {"name": "hubname"})[0]["Spec"]
    assert "@sha256:" in spec["TaskTemplate"]["ContainerSpec"]["Image"]
    assert "could not be accessed on a registry" not in made.stderr
    manager.expect("docker service rm hubname")


# -- with the Hub in reach: a registry of our own takes its place


@pytest.fixture
def hub(lab: Lab, engine: Engine, word: str, made: Callable[..., str]) -> Iterator[str]:
    """A registry in the Hub's place that has the original of an image; its URL."""
    container = f"{lab.name}-upstream-{word}"
    network = f"labctl-{lab.name}"
    engine.create(
        container,
        {
            "Image": images.ensure_services(engine),
            "Cmd": ["registry"],
            "ExposedPorts": {"5000/tcp": {}},
            "HostConfig": {
                "NetworkMode": network,
                "PortBindings": {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            },
        },
    )
    engine.start(container)
    try:
        _push_original(engine, container, made(f"{word}:original", ORIGINAL), word)
        yield f"http://{container}:5000"
    finally:
        engine.remove(container)


def _push_original(engine: Engine, container: str, tag: str, word: str) -> None:
    api = RegistryApi("127.0.0.1", writer_port(engine, container))

    def answered() -> None:
        if problem := api.problem():
            raise Pending(problem)

    wait_until("the upstream registry", answered, limit=HANGING)
    push_saved(api, engine.save_images([tag]), {tag: [parse(f"{word}:latest")]})
    api.close()


def test_with_the_hub_in_reach_originals_come_through_and_are_kept(
    lab: Lab, engine: Engine, store: str, hub: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f'FROM {_probe(engine)}\nLABEL says="{STANDIN}"\n')
    image = Image(word, tmp_path, standin=True, names=(parse(f"{word}:latest"), parse(f"labctl/{word}:1")))
    tags = images.build_images(engine, [image], mode=MirrorMode())
    mode = MirrorMode(upstream=hub, store=store)
    images.serve(engine, [image], tags, mode=mode)

    info, _ = converge(lab, mode)
    pull(lab.nodes, word)
    pull(lab.nodes, f"labctl/{word}:1")

    assert info.upstream == hub
    assert says(lab, word) == [ORIGINAL, ORIGINAL]
    assert says(lab, f"labctl/{word}:1") == [STANDIN, STANDIN]

    # The room loses its network: what came through is still served.
    engine.stop(hub.removeprefix("http://").removesuffix(":5000"), grace=1)
    each(lab.nodes, lambda node: node.expect(f"docker image rm {word}"))
    pull(lab.nodes, word)
    assert says(lab, word) == [ORIGINAL, ORIGINAL]

    # And when labctl finds the Hub out of reach, the cache goes and stand-ins come.
    info, heard = converge(lab, MirrorMode(store=store))
    assert info.upstream == ""
    assert any(isinstance(event, Noted) and "out of reach" in event.text for event in heard)
    assert engine.container(f"{lab.name}-hub") is None
    engine.remove_image(tags[word])


def test_nothing_is_left_after_down(make_lab: Callable[..., Lab], engine: Engine) -> None:
    lab = make_lab(workers=0, swarm="empty")
    converge(lab, MirrorMode(upstream="http://nowhere.invalid"))
    assert find_registry(engine, lab.name).upstream == "http://nowhere.invalid"

    lab.down()

    assert engine.containers([f"labctl.lab={lab.name}"]) == []
    assert engine.volumes([f"labctl.lab={lab.name}"]) == []
