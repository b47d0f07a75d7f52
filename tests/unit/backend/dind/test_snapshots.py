"""Snapshots of containers, on an engine in memory: what is saved, put back, refused, and cleared away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import DindBackend
from labctl.backend.dind import snapshots as module
from labctl.backend.dind.copying import COPY, MEASURE
from labctl.backend.dind.saved import FORMAT, body_of
from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused, HostError, LabctlError, LabError
from labctl.owner import marks
from labctl.spec import LabSpec, labels, note_of

pytestmark = pytest.mark.usefixtures("state")

GONE = EngineRefused("no such thing", status=404)
SPEC = LabSpec(name="demo", workers=1)


class MemoryEngine(FakeEngine):
    """Containers with a disk each, volumes with a text in each, and images; a copier copies texts.

    `fails` maps "POST /containers/x/rename" to what the engine refuses it with, once; `full` lets copies fail, and
    `room` is what the disk has left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.things: dict[str, dict[str, Any]] = {}
        self.volumes_: dict[str, dict[str, Any]] = {}
        self.images_: dict[str, dict[str, Any]] = {}
        self.fails: dict[str, LabctlError] = {}
        self.full = False
        self.room = 10**12
        self._ids = count(1)
        self._one_by_one = threading.RLock()

    def answer(self, asked: Asked) -> Answer:
        with self._one_by_one:
            return self._answered(asked)

    def _answered(self, asked: Asked) -> Answer:
        if str(asked) in self.fails:
            failure = self.fails.pop(str(asked))
            assert isinstance(failure, EngineRefused)
            return failure
        _, kind, *rest = asked.path.split("/")
        handler: Callable[..., Answer] = getattr(self, f"_{kind}")
        return handler(asked, *rest)

    def _networks(self, asked: Asked, *_rest: str) -> Answer:
        if asked.method == "DELETE":
            return None
        return [{"Name": "labctl-demo", "Labels": marks("demo", "network")}]

    def _volumes(self, asked: Asked, *rest: str) -> Answer:
        if asked.method == "GET":
            return {"Volumes": [one for one in self.volumes_.values() if _bears(one, asked)]}
        if asked.method == "DELETE":
            self.volumes_.pop(rest[0], None)
            return None
        self.volume(asked.body["Name"], asked.body["Labels"])
        return {}

    def _images(self, asked: Asked, *rest: str) -> Answer:
        if rest == ("json",):
            return [one for one in self.images_.values() if _bears(one, asked)]
        name = asked.path.removeprefix("/images/").removesuffix("/json")
        if asked.method == "DELETE":
            if any(one["Config"]["Image"] == name for one in self.things.values()):
                return EngineRefused("a container uses it", status=409)
            self.images_.pop(name)
            return None
        return self.images_.get(name, GONE)

    def _commit(self, asked: Asked) -> Answer:
        name = f"{asked.query['repo']}:{asked.query['tag']}"
        self.images_[name] = {"Id": name, "RepoTags": [name], "Labels": asked.body["Labels"]}
        return {"Id": name}

    def _containers(self, asked: Asked, name: str, verb: str = "") -> Answer:
        if name == "json":
            return [_listed(one) for one in self.things.values() if _bears(one["Config"], asked)]
        if name == "create":
            return {"Id": self.container_(asked.query["name"], asked.body)["Id"]}
        found = next((one for one in self.things.values() if name in (one["Id"], one["Name"][1:])), None)
        if found is None:
            return GONE
        if asked.method == "DELETE":
            self.things.pop(found["Name"][1:])
            return None
        if verb == "rename":
            self.things[asked.query["name"]] = self.things.pop(found["Name"][1:])
            found["Name"] = f"/{asked.query['name']}"
        if verb in ("start", "kill", "stop"):
            found["State"]["Status"] = "running" if verb == "start" else "exited"
        if verb in ("wait", "logs"):
            return self._copied(found, verb)
        return {**found, "SizeRw": 7} if verb == "json" else None

    def _copied(self, copier: dict[str, Any], verb: str) -> Answer:
        script = copier["Config"]["Entrypoint"][-1]
        places = {mount["Target"]: mount["Source"] for mount in copier["HostConfig"]["Mounts"]}
        assert set(places.values()) <= set(self.volumes_), "an engine would make such a volume"
        if self.full and script == COPY:
            return {"StatusCode": 1} if verb == "wait" else b"cp: error: No space left on device\n"
        if script == MEASURE:
            lines = [f"1\n{len(self.volumes_[volume]['text'])}" for volume in places.values()]
            said = "\n".join([*lines, f"{self.room} 1000"])
        else:
            if script == COPY:
                self.volumes_[places["/to"]]["text"] = self.volumes_[places["/from"]]["text"]
            text = self.volumes_[places["/from"]]["text"]
            said = f"sum-of-{text.replace(' ', '-')}  -\n1\n{len(text)}"
        return {"StatusCode": 0} if verb == "wait" else said.encode()

    def volume(self, name: str, given: dict[str, str], text: str = "") -> None:
        self.volumes_[name] = {"Name": name, "Labels": given, "CreatedAt": "", "text": text}

    def container_(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        id_ = f"c{next(self._ids)}"
        config = {key: value for key, value in body.items() if key not in ("HostConfig", "NetworkingConfig")}
        mounts = []
        if "NetworkingConfig" in body:
            self.volume(f"disk-{id_}", marks("demo", "volume"))
            mounts = [{"Name": f"disk-{id_}", "Destination": "/var/lib/docker"}]
        self.things[name] = {
            "Id": id_,
            "Name": f"/{name}",
            "State": {"Status": "created"},
            "Config": {"Tty": True, **config},
            "HostConfig": body["HostConfig"],
            "Mounts": mounts,
            "NetworkSettings": {"Networks": body.get("NetworkingConfig", {}).get("EndpointsConfig", {})},
        }
        return self.things[name]

    def disk(self, machine: str) -> dict[str, Any]:
        """The volume of a node."""
        return self.volumes_[self.things[machine]["Mounts"][0]["Name"]]


def _bears(one: dict[str, Any], asked: Asked) -> bool:
    wanted = json.loads(asked.query.get("filters", "{}")).get("label", [])
    return all(pair.partition("=")[2] == one["Labels"].get(pair.partition("=")[0]) for pair in wanted)


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    return {"Id": one["Id"], "Names": [one["Name"]], "Labels": one["Config"]["Labels"], "State": one["State"]["Status"]}


def node(name: str, role: str, number: int) -> dict[str, Any]:
    address, port = f"10.0.0.{number}", f"4000{number}"
    own = {labels.NODE: name, labels.ROLE: role, labels.ADDRESS: address, labels.PORT: port}
    return {
        "Image": "labctl-node:1",
        "Hostname": name,
        "Labels": {**marks("demo", "node"), **own},
        "HostConfig": {"NetworkMode": "labctl-demo", "SecurityOpt": ["seccomp=unconfined"], "UsernsMode": ""},
        "NetworkingConfig": {
            "EndpointsConfig": {"labctl-demo": {"IPAMConfig": {"IPv4Address": address}, "Aliases": [name]}}
        },
    }


@pytest.fixture
def engine(state: Path) -> MemoryEngine:
    """A lab of two nodes and a registry."""
    engine = MemoryEngine()
    for number, (name, role) in enumerate([("manager1", "manager"), ("worker1", "worker")], start=1):
        engine.container_(f"demo-{name}", node(name, role, number))["State"]["Status"] = "paused"
        engine.disk(f"demo-{name}")["text"] = f"{name} then"
    engine.volume("demo-registry", marks("demo", "volume"), "pushed then")
    engine.volume("labctl-demo-spec-1", {**marks("demo", "spec"), labels.SPEC: note_of(SPEC)})
    return engine


@pytest.fixture
def backend(engine: MemoryEngine) -> DindBackend:
    return DindBackend(engine)


def silent(_text: str) -> None:
    pass


def save(backend: DindBackend, name: str = "fresh") -> None:
    backend.prepare_save("demo", name)
    backend.save_snapshot("demo", name, silent)


def restore(backend: DindBackend, name: str = "fresh") -> None:
    backend.prepare_restore("demo", name, silent)
    backend.restore_snapshot("demo", name)


def names(engine: MemoryEngine) -> tuple[set[str], set[str], set[str]]:
    return set(engine.things), set(engine.volumes_), set(engine.images_)


def test_disks_registry_and_spec_come_back_on_containers_of_the_same_name(
    engine: MemoryEngine, backend: DindBackend
) -> None:
    save(backend)
    before = backend.find("demo")
    for machine in ("demo-manager1", "demo-worker1"):
        engine.disk(machine)["text"] = "changed"
    engine.volumes_["demo-registry"]["text"] = "changed"
    backend.remember(LabSpec(name="demo", workers=5))

    restore(backend)

    after = backend.find("demo")
    assert before is not None and after is not None
    assert [(one.name, one.address, one.endpoint.url, one.machine) for one in after.nodes] == [
        (one.name, one.address, one.endpoint.url, one.machine) for one in before.nodes
    ]
    assert [one.state for one in after.nodes] == ["running", "running"]
    assert (after.spec, after.restoring) == (SPEC, "")
    assert [engine.disk(f"demo-{name}")["text"] for name in ("manager1", "worker1")] == [
        "manager1 then",
        "worker1 then",
    ]
    assert engine.volumes_["demo-registry"]["text"] == "pushed then"
    assert set(engine.things) == {"demo-manager1", "demo-worker1"}
    assert engine.things["demo-worker1"]["Config"]["Image"] == "labctl.snapshot/demo/worker1:fresh"


def test_it_is_listed_with_its_nodes_managers_first_and_its_size(engine: MemoryEngine, backend: DindBackend) -> None:
    save(backend)

    (found,) = backend.snapshots("demo")

    assert (found.name, found.nodes) == ("fresh", ("manager1", "worker1"))
    assert found.size == len("manager1 then" + "worker1 then" + "pushed then") + 2 * 7
    assert json.loads(note(engine)["Labels"][labels.SAVED])["size"] == found.size, "doctor reads it"


def test_one_that_is_removed_leaves_nothing_but_images_in_use(engine: MemoryEngine, backend: DindBackend) -> None:
    before = names(engine)
    save(backend)
    backend.delete_snapshot("demo", "fresh")
    assert names(engine) == before
    backend.delete_snapshot("demo", "fresh")  # twice is fine

    save(backend)
    restore(backend)
    backend.delete_snapshot("demo", "fresh")
    assert set(engine.images_) == {"labctl.snapshot/demo/manager1:fresh", "labctl.snapshot/demo/worker1:fresh"}

    removed = backend.destroy("demo")
    assert (engine.things, engine.images_) == ({}, {})
    assert "labctl.snapshot/demo/worker1:fresh" in removed


@pytest.mark.parametrize("request_", ["POST /commit", "POST /volumes/create"])
def test_one_that_fails_half_way_leaves_nothing(engine: MemoryEngine, backend: DindBackend, request_: str) -> None:
    before = names(engine)
    engine.fails[request_] = EngineRefused("not today", status=500)

    with pytest.raises(EngineRefused, match="not today"):
        save(backend)

    assert names(engine) == before


def test_a_disk_that_becomes_full_is_told_once(engine: MemoryEngine, backend: DindBackend) -> None:
    before = names(engine)
    engine.full = True

    with pytest.raises(LabctlError) as said:
        save(backend)

    assert said.value.message == "the engine's disk is full"
    assert names(engine) == before


def test_without_room_nothing_is_begun(engine: MemoryEngine, backend: DindBackend) -> None:
    save(backend)
    before = names(engine)
    engine.room = 64 * 2**20

    with pytest.raises(HostError, match="snapshot more takes 0 MiB, and the engine's disk has 64 MiB left"):
        backend.prepare_save("demo", "more")
    with pytest.raises(HostError, match="what snapshot fresh brings back takes 0 MiB"):
        backend.prepare_restore("demo", "fresh", silent)

    assert names(engine) == before


def test_one_that_was_changed_or_lost_a_part_is_refused_and_leaves_nothing(
    engine: MemoryEngine, backend: DindBackend
) -> None:
    save(backend)
    saved = json.loads(note(engine)["Labels"][labels.SAVED])
    disk = saved["parts"][1]["disk"]["volume"]
    before = set(engine.things)
    engine.volumes_[disk]["text"] = "worker1 th"

    with pytest.raises(LabError, match=r"worker1 in snapshot fresh is not what was saved: .* 10 bytes of 12"):
        backend.prepare_restore("demo", "fresh", silent)
    assert set(engine.things) == before

    del engine.volumes_[disk]
    with pytest.raises(LabError, match="snapshot fresh has nothing of worker1 any more"):
        backend.prepare_restore("demo", "fresh", silent)
    engine.images_.clear()
    with pytest.raises(LabError, match="has nothing of manager1, worker1 any more"):
        backend.prepare_restore("demo", "fresh", silent)
    assert set(engine.things) == before


def note(engine: MemoryEngine) -> dict[str, Any]:
    """The volume that notes a snapshot."""
    return next(one for one in engine.volumes_.values() if labels.SAVED in one["Labels"])


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (json.dumps({"format": FORMAT + 1, "more": "?"}), f"saved by a newer labctl .format {FORMAT + 1}"),
        (
            json.dumps({"format": FORMAT, "parts": [], "spec": '{"hollow":1}'}),
            "saved by a newer labctl .it says hollow",
        ),
        (json.dumps({"format": FORMAT, "parts": [], "registry": None}), "cannot be read"),
        ("[]", "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_listed_kept_refused_and_removed(
    engine: MemoryEngine, backend: DindBackend, written: str, told: str
) -> None:
    save(backend)
    note(engine)["Labels"][labels.SAVED] = written
    before = names(engine)

    assert [(one.name, one.nodes, one.size) for one in backend.snapshots("demo")] == [("fresh", (), None)]
    with pytest.raises(LabError, match=told):
        backend.prepare_restore("demo", "fresh", silent)

    assert names(engine) == before
    backend.delete_snapshot("demo", "fresh")
    assert not engine.images_ and not [name for name in engine.volumes_ if "saved" in name]


def test_a_restore_that_fails_half_way_leaves_all_stopped_and_marked_and_is_done_again(
    engine: MemoryEngine, backend: DindBackend
) -> None:
    save(backend)
    for one in engine.things.values():
        one["State"]["Status"] = "running"
    backend.prepare_restore("demo", "fresh", silent)
    engine.fails["POST /containers/demo-worker1.restored/rename"] = EngineRefused("not today", status=500)

    with pytest.raises(LabError, match=r"could not be put back to snapshot fresh: .*not today") as said:
        backend.restore_snapshot("demo", "fresh")

    assert "`labctl snapshot restore fresh` does it again" in (said.value.hint or "")
    assert not [one for one in engine.things.values() if one["State"]["Status"] == "running"]
    half = backend.find("demo")
    assert half is not None and half.restoring == "fresh"

    restore(backend)

    whole = backend.find("demo")
    assert whole is not None and whole.restoring == ""
    assert [(one.name, one.state) for one in whole.nodes] == [("manager1", "running"), ("worker1", "running")]
    assert set(engine.things) == {"demo-manager1", "demo-worker1"}


@pytest.mark.parametrize("failure", [None, LabError("not today")])
def test_ctrl_c_waits_for_the_end_and_what_failed_is_told(
    monkeypatch: pytest.MonkeyPatch, failure: LabError | None
) -> None:
    ended = []

    def interrupted(futures: Sequence[Future[object]]) -> None:
        raise KeyboardInterrupt

    def do() -> None:
        ended.append(True)
        if failure:
            raise failure

    monkeypatch.setattr(module, "gather", interrupted)
    with pytest.raises(LabError if failure else KeyboardInterrupt):
        module._to_its_end(do)
    assert ended


def test_a_container_of_somebody_else_in_a_nodes_place_stays(engine: MemoryEngine, backend: DindBackend) -> None:
    save(backend)
    engine.things["demo-worker1"]["Config"]["Labels"] = {}

    with pytest.raises(LabError, match="a container named demo-worker1 is there and is not this lab's"):
        backend.prepare_restore("demo", "fresh", silent)

    assert set(engine.things) == {"demo-manager1", "demo-worker1"}


def test_what_killed_commands_left_goes_and_what_is_anothers_stays(engine: MemoryEngine, backend: DindBackend) -> None:
    save(backend)
    kept = names(engine)
    wreck = {**marks("demo", "saved"), labels.SNAPSHOT: "wreck"}
    engine.volume("labctl-demo-saved-wreck", wreck)
    engine.images_["wreck:1"] = {"Id": "i1", "RepoTags": ["wreck:1"], "Labels": wreck}
    engine.images_["i2"] = {"Id": "i2", "RepoTags": ["<none>:<none>"], "Labels": wreck}
    engine.container_("demo-worker1.restored", node("worker1", "worker", 2))
    engine.container_("demo-worker1.replaced", node("worker1", "worker", 2))
    engine.container_("copier", {"Image": "x", "Labels": marks("demo", "copier"), "HostConfig": {}})
    anothers = {**wreck, labels.OWNER: "eve@0123456789abcdef"}
    engine.volume("theirs", anothers)
    engine.images_["theirs:1"] = {"Id": "i3", "RepoTags": ["theirs:1"], "Labels": anothers}
    record = backend.find("demo")
    assert record is not None and [one.name for one in record.nodes] == ["manager1", "worker1"]

    backend.delete_snapshot("demo", "no such")

    things, volumes, images = names(engine)
    assert things == kept[0]
    assert {one for one in volumes if not one.startswith("disk-")} == {
        *(one for one in kept[1] if not one.startswith("disk-")),
        "theirs",
    }
    assert images == {*kept[2], "theirs:1"}


def test_the_body_of_a_container_makes_it_again_but_for_what_an_engine_gives_it() -> None:
    body = node("worker1", "worker", 2)
    inspected: dict[str, Any] = {
        "Id": "abcdef0123456789",
        "Config": {**{key: body[key] for key in ("Image", "Hostname", "Labels")}, "Cmd": None, "Domainname": ""},
        "HostConfig": {**body["HostConfig"], "MaskedPaths": [], "Memory": 0, "Privileged": False, "PidsLimit": 9},
        "NetworkSettings": {
            "Networks": {
                "labctl-demo": {"Aliases": ["worker1", "w1", "abcdef012345"], "IPAddress": "10.0.0.2"},
                "another": {"Aliases": []},
            }
        },
    }
    inspected["Config"]["Labels"] = {**body["Labels"], labels.SNAPSHOT: "older"}

    again = body_of(inspected, "labctl-demo")

    assert "Image" not in again and "Cmd" not in again and "Domainname" not in again
    assert again["Labels"] == body["Labels"]
    assert again["HostConfig"] == {
        "NetworkMode": "labctl-demo",
        "SecurityOpt": ["seccomp=unconfined"],
        "MaskedPaths": [],
        "PidsLimit": 9,
    }
    assert again["NetworkingConfig"]["EndpointsConfig"] == {
        "labctl-demo": {"IPAMConfig": {"IPv4Address": "10.0.0.2"}, "Aliases": ["worker1", "w1"]}
    }
