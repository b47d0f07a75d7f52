"""Images built and served for real: nothing twice, nothing half-made, and every failure in one line."""

from __future__ import annotations

import dataclasses
import io
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from labctl import images
from labctl.concurrent import together
from labctl.engine import Endpoint, Engine
from labctl.engine.client import tar_of
from labctl.errors import EngineUnreachable, HostError, NotFoundError, NotYetError, UsageError
from labctl.events import Event, Noted, Warned
from labctl.images import MirrorMode
from labctl.images.base import ensure_base
from labctl.images.building import Recipe, build
from labctl.images.catalogue import Image
from labctl.images.debootstrap import make_base
from labctl.images.names import parse
from labctl.images.own import build_folder
from labctl.images.store import OWNER, collect_garbage, held_names, open_store
from labctl.images.store import _owner as owner
from labctl.lab import Context, Lab
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING

pytestmark = pytest.mark.lab

PROBE = "labctl/probe:1"


@pytest.fixture
def engine(context: Context) -> Engine:
    """This host's engine."""
    return context.engine


@pytest.fixture
def mode(engine: Engine) -> Iterator[MirrorMode]:
    """A store of the mirror for this test alone."""
    chosen = MirrorMode(store=f"t{secrets.token_hex(4)}-mirror")
    yield chosen
    engine.remove_volume(chosen.store)


@pytest.fixture
def own_image(tmp_path: Path, engine: Engine) -> Iterator[Image]:
    """An image that nobody has built yet."""
    name = f"t{secrets.token_hex(4)}"
    (tmp_path / name).mkdir()
    dockerfile = f"FROM debian:trixie-slim\nLABEL made={name}\nRUN sleep 1 && touch /made\n"
    (tmp_path / name / "Dockerfile").write_text(dockerfile)
    yield Image(name, tmp_path / name, standin=True, names=(parse(f"labctl/{name}:1"), parse(f"{name}:latest")))
    for found in engine.images([f"labctl.image={name}"]):
        for tag in found["RepoTags"] or []:
            engine.remove_image(tag)


def services(engine: Engine) -> str:
    """The image that writes to stores."""
    return images.ensure_services(engine)


def test_ensure_does_what_is_missing_and_then_nothing(engine: Engine, mode: MirrorMode) -> None:
    heard: list[Event] = []
    images.ensure(engine, [PROBE], heard.append, mode=mode)
    assert [event for event in heard if isinstance(event, Noted) and "the mirror serves 1 more name " in event.text]

    heard.clear()
    images.ensure(engine, [PROBE], heard.append, mode=mode)

    assert heard == []
    with open_store(engine, mode, services=services(engine)) as api:
        assert api.repositories() == ["labctl/probe"]
        assert api.tags("labctl/probe") == ["1"]


def test_a_store_that_was_removed_is_filled_anew(engine: Engine, mode: MirrorMode) -> None:
    images.ensure(engine, [PROBE], mode=mode)
    engine.remove_volume(mode.store)
    assert held_names(engine, mode) == {}

    images.ensure(engine, [PROBE], mode=mode)

    with open_store(engine, mode, services=services(engine)) as api:
        assert api.tags("labctl/probe") == ["1"]


def test_one_image_is_served_under_all_its_names(engine: Engine, mode: MirrorMode, own_image: Image) -> None:
    tags = images.build_images(engine, [own_image], mode=mode)
    count = images.serve(engine, [own_image], tags, mode=mode)

    assert count == 2
    with open_store(engine, mode, services=services(engine)) as api:
        one = api.manifest(f"labctl/{own_image.name}", "1")
        other = api.manifest(f"library/{own_image.name}", "latest")
    assert one is not None and one == other
    found = engine.image(tags[own_image.name])
    assert found is not None and found["Id"] == one.image_id
    assert images.serve(engine, [own_image], tags, mode=mode) == 0


def test_beside_the_hub_no_stand_in_gets_into_the_store(engine: Engine, mode: MirrorMode, own_image: Image) -> None:
    hub = dataclasses.replace(mode, upstream="https://hub.example")
    tags = images.build_images(engine, [own_image], mode=hub)
    images.serve(engine, [own_image], tags, mode=hub)

    with open_store(engine, hub, services=services(engine)) as api:
        assert api.repositories() == [f"labctl/{own_image.name}"]


def test_what_a_killed_command_left_is_removed_by_the_next(engine: Engine, mode: MirrorMode) -> None:
    left = f"labctl-writer-{secrets.token_hex(4)}"
    marks = {"labctl.cache": "writer", OWNER: owner()}
    engine.create(left, {"Image": services(engine), "Cmd": ["registry"], "Labels": marks})
    engine.start(left)

    images.ensure(engine, [PROBE], mode=mode)

    assert engine.container(left) is None
    assert engine.containers(["labctl.cache=writer", f"{OWNER}={owner()}"]) == []


def test_two_at_once_build_once(engine: Engine, own_image: Image) -> None:
    heard: list[Event] = []

    def make() -> None:
        images.build_images(engine, [own_image], heard.append, mode=MirrorMode())

    together(make, make, make)

    assert len([event for event in heard if isinstance(event, Noted) and event.text.startswith("built")]) == 1


def test_a_build_is_never_silent(engine: Engine, own_image: Image) -> None:
    told: list[str] = []
    images.build_images(engine, [own_image], note=told.append, mode=MirrorMode())

    assert any("step 3/" in line and "sleep 1" in line for line in told)


def test_an_unknown_name_is_refused_with_the_nearest_where_the_hub_cannot_help(
    engine: Engine, mode: MirrorMode
) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean nginx:latest\?"):
        images.ensure(engine, ["ngimx:latest"], mode=mode)
    images.ensure(engine, ["ngimx:latest"], mode=dataclasses.replace(mode, upstream="https://hub.example"))


def test_without_an_engine_it_says_so(mode: MirrorMode) -> None:
    nowhere = Engine(Endpoint("unix:///nowhere/docker.sock"))

    with pytest.raises(EngineUnreachable, match="the engine does not answer"):
        images.ensure(nowhere, [PROBE], mode=mode)
    with pytest.raises(EngineUnreachable):
        images.ensure_node_image(nowhere)


# -- a folder of the user's own


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """A folder with a Dockerfile on an image of the Hub's, and something that is not to go along."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM nginx:stable-alpine\nCOPY . /usr/share/nginx/html/\n")
    (folder / "index.html").write_text("mine")
    (folder / "secret.txt").write_text("not yours")
    (folder / ".dockerignore").write_text("# what stays here\nsecret.txt\n")
    return folder


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """The name of an image that goes away with the test."""
    chosen = f"t{secrets.token_hex(4)}/web:1"
    yield chosen
    engine.remove_image(chosen)


def test_a_folder_is_built_on_a_stand_in_where_the_hub_is_out_of_reach(engine: Engine, web: Path, name: str) -> None:
    if engine.image("nginx:stable-alpine") is not None:
        pytest.skip("this host's engine has the original")
    heard: list[Event] = []

    assert build_folder(engine, web, name, heard.append, mode=MirrorMode()) == name

    assert next(event.text for event in heard if isinstance(event, Warned)).startswith(
        "FROM nginx:stable-alpine: Debian"
    )
    found = engine.image(name)
    assert found is not None and found["Config"]["Labels"]["labctl.standin"] == "nginx"
    listing = _run_in(engine, name, ["ls", "-a", "/usr/share/nginx/html"])
    assert "index.html" in listing and "secret.txt" not in listing and ".labctl.Dockerfile" not in listing


def _run_in(engine: Engine, image: str, command: list[str]) -> str:
    container = f"t{secrets.token_hex(4)}"
    engine.create(container, {"Image": image, "Entrypoint": command, "HostConfig": {"NetworkMode": "none"}})
    try:
        engine.start(container)
        engine.wait_exit(container, limit=HANGING)
        return engine.logs(container)
    finally:
        engine.remove(container)


@pytest.mark.parametrize(("asked", "is_the_hosts"), [("", False), ("host", True)])
def test_a_folder_is_built_without_the_hosts_network_unless_it_is_asked_for(
    engine: Engine, web: Path, name: str, asked: str, is_the_hosts: bool
) -> None:
    (web / "Dockerfile").write_text(f"FROM debian:trixie-slim\nRUN ls /sys/class/net > /interfaces  # {name}\n")

    build = partial(build_folder, network=asked) if asked else build_folder
    build(engine, web, name, mode=MirrorMode())

    seen = _run_in(engine, name, ["cat", "/interfaces"]).split()
    assert ("docker0" in seen) is is_the_hosts


def test_a_dockerfile_that_fails_is_told_by_its_line(engine: Engine, web: Path, name: str) -> None:
    (web / "Dockerfile").write_text("FROM debian:trixie-slim\n\n# why\nRUN echo first && \\\n    echo last; exit 3\n")

    with pytest.raises(NotYetError) as caught:
        build_folder(engine, web, name, mode=MirrorMode())

    assert f"{web}/Dockerfile:4: RUN echo first && echo last; exit 3" in caught.value.message
    assert caught.value.message.endswith("    first\n    last")
    assert "non-zero code: 3" in (caught.value.hint or "")
    assert engine.image(name) is None


@pytest.mark.parametrize(
    ("folder", "dockerfile", "said"),
    [("none", None, "is not there"), ("web/index.html", None, "is a file"), ("web", "Other", "there is no Other")],
)
def test_what_cannot_be_built_is_refused(
    engine: Engine, web: Path, folder: str, dockerfile: str | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        build_folder(
            engine,
            web.parent / folder,
            "t/web",
            dockerfile=Path(dockerfile) if dockerfile else None,
            mode=MirrorMode(),
        )


def test_ctrl_c_ends_a_build_at_once(engine: Engine, web: Path, name: str) -> None:
    nap = f"sleep 10{secrets.randbelow(10**6)}"
    (web / "Dockerfile").write_text(f"FROM debian:trixie-slim\nRUN {nap}\n")
    command = [sys.executable, "-m", "labctl", "--progress", "json", "image", "build", str(web), "-t", name]
    environment = {**os.environ, "LABCTL_HUB": "never"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if nap in line:
                break
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=HANGING) == 130
    wait_until("the engine to end the build", lambda: _no_build(engine, nap), limit=HANGING)


def _no_build(engine: Engine, command: str) -> None:
    if any(command in str(found.get("Command")) for found in engine.containers([])):
        raise Pending("it goes on")


def test_ctrl_c_ends_builds_side_by_side(engine: Engine, tmp_path: Path) -> None:
    nap = f"sleep 10{secrets.randbelow(10**6)}"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(f"FROM debian:trixie-slim\nRUN {nap} && echo {name}\n")
    program = f"""
from pathlib import Path
from labctl import images
from labctl.engine import Engine, host_endpoint
from labctl.images.catalogue import Image
found = [Image(name, Path({str(tmp_path)!r}) / name, False, ()) for name in ("one", "two")]
images.build_images(Engine(host_endpoint()), found, note=lambda text: print(text, flush=True), mode=images.MirrorMode())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        waiting_for = {"one", "two"}
        for line in running.stdout:
            waiting_for -= {name for name in waiting_for if f"{nap} && echo {name}" in line}
            if not waiting_for:
                break
        running.send_signal(signal.SIGINT)
        running.wait(timeout=HANGING)
    wait_until("the engine to end the builds", lambda: _no_build(engine, nap), limit=HANGING)


def test_what_no_name_needs_is_taken_out_of_the_store(
    engine: Engine, mode: MirrorMode, own_image: Image, tmp_path: Path
) -> None:
    tags = images.build_images(engine, [own_image], mode=mode)
    images.serve(engine, [own_image], tags, mode=mode)
    images.ensure(engine, [PROBE], mode=mode)
    before = _store_size(engine, mode)
    probe = held_names(engine, mode)[PROBE]

    dropped = collect_garbage(engine, mode, {probe}, services=services(engine))

    assert dropped == [f"labctl/{own_image.name}:1", f"library/{own_image.name}:latest"]
    assert held_names(engine, mode) == {PROBE: probe}
    assert _store_size(engine, mode) < 10 < before
    with open_store(engine, mode, services=services(engine)) as api:
        assert api.manifest(f"labctl/{own_image.name}", "1") is None
        assert api.manifest("labctl/probe", "1") is not None


def _store_size(engine: Engine, mode: MirrorMode) -> int:
    """How large a store is, in MB."""
    container = f"t{secrets.token_hex(4)}"
    mount = {"Type": "volume", "Source": mode.store, "Target": "/store", "ReadOnly": True}
    host = {"NetworkMode": "none", "Mounts": [mount]}
    engine.create(container, {"Image": services(engine), "Entrypoint": ["du", "-sm", "/store"], "HostConfig": host})
    try:
        engine.start(container)
        engine.wait_exit(container, limit=HANGING)
        return int(engine.logs(container).split()[0])
    finally:
        engine.remove(container)


# -- full disks


@pytest.fixture
def small_disk(make_lab: Callable[..., Lab], engine: Engine) -> Iterator[Engine]:
    """A node's engine with 120 MB of disk and the probe's image."""
    lab = make_lab(workers=0, swarm="empty")
    node = lab.node("manager1")
    node.expect("mount -t tmpfs -o size=120m tmpfs /var/lib/docker && pkill -x dockerd")
    wait_until("the engine of the small disk", lambda: _answers(node.engine), limit=HANGING)
    probe = images.build_images(engine, [images.read_catalogue().find("probe")])["probe"]
    list(node.engine.load_images(io.BytesIO(b"".join(engine.save_images([probe])))))
    yield node.engine
    node.engine.close()


def _answers(engine: Engine) -> None:
    try:
        engine.version()
        if engine.images():
            raise Pending("it is the old one")
    except EngineUnreachable as problem:
        raise Pending(problem.message) from None


def test_a_full_disk_in_a_build_is_one_line_and_nothing_is_left(small_disk: Engine) -> None:
    (probe,) = [tag for image in small_disk.images() for tag in image["RepoTags"] or []]
    dockerfile = f"FROM {probe}\nRUN head -c 20000000 /dev/zero > /one\nRUN dd if=/dev/zero of=/two bs=1M count=200\n"
    recipe = Recipe("big", "big:1", tar_of({"Dockerfile": (dockerfile.encode(), 0o644)}), dockerfile)

    with pytest.raises(
        HostError, match=r"^building big: the engine's disk is full, in step 3; nothing of it was kept\n"
    ):
        build(small_disk, recipe, lambda _: None)

    assert [image["RepoTags"] for image in small_disk.images()] == [[probe]]
    assert small_disk.containers([]) == []


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with 150 MB of room, and TMPDIR there."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(folder)], check=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_while_the_base_is_made_is_one_line_and_nothing_is_left(
    engine: Engine, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.images.debootstrap.ROOM", 0)
    tag = f"t{secrets.token_hex(4)}:1"

    with pytest.raises(
        HostError, match=rf"^making the base image: the disk of {tiny} is full; nothing of it was kept\n"
    ):
        make_base(engine, tag, lambda _: None)

    assert list(tiny.iterdir()) == []
    assert engine.image(tag) is None


@pytest.mark.slow
def test_the_base_is_made_of_debians_packages(engine: Engine) -> None:
    tag = f"t{secrets.token_hex(4)}:1"
    told: list[str] = []
    try:
        make_base(engine, tag, told.append)
        found = engine.image(tag)
        assert found is not None
        assert found["Config"]["Labels"] == {"labctl.image": "base"}
        assert found["Config"]["Cmd"] == ["bash"]
        assert found["Size"] < 120_000_000
        assert _run_in(engine, tag, ["cat", "/etc/debian_version"]).startswith("13")
    finally:
        engine.remove_image(tag)
    assert any("Extracting" in line for line in told)


def test_a_base_that_is_there_is_left_alone(engine: Engine) -> None:
    heard: list[Event] = []

    assert ensure_base(engine, heard.append) is False
    assert heard == []
