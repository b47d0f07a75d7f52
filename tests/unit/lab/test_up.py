"""What `up` refuses before it makes anything, and what it takes back when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labctl import edge, host, images
from labctl.backend import Backend, FakeBackend, LabRecord
from labctl.engine import Endpoint
from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import Abandoned, EngineRefused, HostError, LabctlError, LabError, NotFoundError, UsageError
from labctl.events import Event, Warned
from labctl.lab import Context, UpOptions, bring_up
from labctl.lab.gossip import WHERE
from labctl.lab.growing import more_nodes
from labctl.lab.neighbours import ASK
from labctl.lab.standing import KEYS, refuse_too_many_cpus, refuse_unsound
from labctl.lab.up import grow
from labctl.owner import Owner
from labctl.spec import LabSpec, NodeSpec, PortSpec, read_mapping
from labctl.transport import FakeTransport, Result
from tests.guard import HANGING

from ..nodes import fake_node, raw_info

pytestmark = pytest.mark.usefixtures("state")

NOT_TRIED = UpOptions(verify=False)
BARE = LabSpec(name="demo", workers=1, swarm="empty", registry=False)


class FakeHost(Context):
    """A host whose labs are a FakeBackend's; its nodes' engines can pull what is in `pulled`."""

    def __init__(self, *, fail_on: tuple[str, ...] = (), cpus: int = 2) -> None:
        super().__init__(FakeEngine({"GET /info": {"NCPU": cpus}, "GET /containers/json": []}))
        self.unbuildable = False
        self.there = FakeBackend(fail_on=fail_on)
        self.there.name = "dind"  # what its labs say that they are made of
        for name in ("manager1", "worker1", "worker2"):
            self.there.transports[name] = FakeTransport({ASK: ""})
            self.there.engines[name] = FakeEngine(
                {
                    "GET /_ping": {"Server": "Docker/26.1.5 (linux)"},
                    "GET /info": raw_info("inactive"),
                    "POST /images/create": pull,
                },
                where=f"the engine of {name}",
            )

    def holding(self, lab: str) -> Backend:
        return self.there

    def maker(
        self, spec: LabSpec, note: Callable[[str], None] = lambda _: None, stop: threading.Event | None = None
    ) -> Backend:
        if self.unbuildable:
            raise HostError("the node image cannot be built")
        return self.there

    def refuse_taken(self, spec: LabSpec, nodes: Sequence[str]) -> None:
        """Nobody else has a name."""

    def remembered(self) -> LabSpec | None:
        found = self.there.find("demo")
        return found.spec if found else None

    def names(self) -> list[str]:
        found = self.there.find("demo")
        return [node.name for node in found.nodes] if found else []


def pull(asked: Asked) -> Answer:
    if asked.query["fromImage"] == "nosuchimg":
        return EngineRefused("manifest unknown", status=404)
    return '{"status": "Pulled"}'


@pytest.fixture(autouse=True)
def quiet_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with room for every lab."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(host, "preflight", lambda *_, **__: None)
    monkeypatch.setattr(images, "services_built", lambda _: False)
    monkeypatch.setattr(host, "free_subnet", lambda *_, **__: "10.0.0.0/24")


def one_more(**options: object) -> Callable[..., LabSpec]:
    return more_nodes("demo", ["worker2"], "worker", 1, options)


def test_a_node_that_could_not_be_made_is_not_remembered() -> None:
    here = FakeHost(fail_on=("worker2",))
    bring_up(here, BARE, NOT_TRIED)

    with pytest.raises(LabError, match="worker2 was told to fail"):
        grow(here, "demo", one_more(), NOT_TRIED)

    assert here.remembered() == BARE
    assert here.names() == ["manager1", "worker1"]


def test_anothers_lab_is_refused_before_anything_is_made_or_taken_back() -> None:
    here = FakeHost()
    bring_up(here, BARE, NOT_TRIED)
    here.there.owners["demo"] = Owner("alice", is_you=False)

    with pytest.raises(UsageError, match="lab demo belongs to alice") as caught:
        bring_up(here, BARE, NOT_TRIED)
    assert (caught.value.hint or "").startswith("`labctl up --name NAME`")
    with pytest.raises(UsageError, match="lab demo belongs to alice"):
        grow(here, "demo", one_more(), NOT_TRIED)

    assert here.names() == ["manager1", "worker1"]


def test_what_stood_of_a_lab_without_nodes_stays_when_up_fails() -> None:
    here = FakeHost(fail_on=("worker1",))
    here.there.create_base(BARE, "10.0.0.0/24")

    with pytest.raises(LabError, match="worker1 was told to fail"):
        bring_up(here, BARE, NOT_TRIED)

    found = here.there.find("demo")
    assert found is not None and (found.subnet, found.nodes) == ("10.0.0.0/24", ())


def test_what_is_retained_is_remembered() -> None:
    here = FakeHost(fail_on=("worker2",))
    bring_up(here, BARE, NOT_TRIED)

    with pytest.raises(LabError):
        grow(here, "demo", one_more(), UpOptions(retain=True, verify=False))

    spec = here.remembered()
    assert spec is not None and len(spec.all_nodes()) == 3


def test_more_cpus_than_there_are_is_refused_before_anything_is_made() -> None:
    here = FakeHost()
    bring_up(here, BARE, NOT_TRIED)

    with pytest.raises(UsageError, match=r"worker2: 99 CPUs were asked for, and this machine has 2"):
        grow(here, "demo", one_more(cpus=99), NOT_TRIED)

    assert here.remembered() == BARE


@pytest.mark.parametrize("cpus", [0.001, 2.5])
def test_cpus_that_the_engine_would_refuse_are_refused(cpus: float) -> None:
    with pytest.raises(UsageError):
        refuse_too_many_cpus(
            [NodeSpec(name="a"), NodeSpec(name="b", cpus=cpus)], FakeEngine({"GET /info": {"NCPU": 2}})
        )


def test_without_a_size_the_engine_is_not_asked_for_its_cpus() -> None:
    refuse_too_many_cpus([NodeSpec(name="a")], FakeEngine())


def test_an_image_that_cannot_be_pulled_is_named_and_a_new_lab_does_not_stay() -> None:
    here = FakeHost()

    with pytest.raises(LabError, match="manager1, worker1 cannot pull nosuchimg:7: manifest unknown") as caught:
        bring_up(here, replace(BARE, images=("nosuchimg:7",)), NOT_TRIED)

    assert "labctl image ls" in (caught.value.hint or "")
    assert here.there.labs() == []


def test_an_image_that_a_standing_lab_cannot_pull_is_not_remembered() -> None:
    here = FakeHost()
    bring_up(here, BARE, NOT_TRIED)

    with pytest.raises(LabError, match="nosuchimg:7"):
        bring_up(here, replace(BARE, images=("nosuchimg:7",)), NOT_TRIED)

    assert here.remembered() == BARE
    assert here.names() == ["manager1", "worker1"]


def nobody_has(*_: object, **__: object) -> None:
    raise NotFoundError("image", "nosuchimg:7", ())


def with_image(**more: object) -> LabSpec:
    return read_mapping({"name": "demo", "workers": 1, "swarm": "empty", "images": ["nosuchimg:7"], **more})


def test_an_image_that_nobody_can_have_is_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ensure_all", lambda *_, **__: None)
    monkeypatch.setattr(images, "ensure", nobody_has)
    here = FakeHost(fail_on=("manager1", "worker1"))

    with pytest.raises(NotFoundError, match="nosuchimg:7"):
        bring_up(here, with_image(), NOT_TRIED)


def test_a_subnet_that_another_lab_took_meanwhile_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ["10.0.0.0/24", "10.0.1.0/24"]
    monkeypatch.setattr(host, "free_subnet", lambda _, *, taken, **__: next(one for one in free if one not in taken))
    here = FakeHost()
    create = here.there.create_base

    def create_base(spec: LabSpec, subnet: str) -> None:
        if subnet == free[0]:
            raise EngineRefused("Pool overlaps with other one on this address space", status=403)
        create(spec, subnet)

    monkeypatch.setattr(here.there, "create_base", create_base)

    assert bring_up(here, BARE, NOT_TRIED).subnet == "10.0.1.0/24"


def test_what_is_built_beside_a_node_image_that_fails_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object, stop: threading.Event, **__: object) -> None:
        assert stop.wait(HANGING)
        raise Abandoned("building vote was given up")

    monkeypatch.setattr(images, "ensure", build)
    here = FakeHost()
    here.unbuildable = True

    with pytest.raises(HostError, match="the node image cannot be built"):
        bring_up(here, with_image(), NOT_TRIED)


def test_a_mirror_of_the_nodes_own_may_have_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "ensure_all", lambda *_, **__: None)
    monkeypatch.setattr(images, "ensure", nobody_has)
    here = FakeHost(fail_on=("manager1", "worker1"))

    with pytest.raises(LabctlError, match="told to fail"):
        bring_up(here, with_image(engine={"registry-mirrors": ["http://10.0.0.1"]}), NOT_TRIED)


def test_a_lab_whose_network_is_gone_is_refused_before_anything_is_made() -> None:
    here = FakeHost(fail_on=("worker2",))
    bring_up(here, BARE, NOT_TRIED)
    here.there._subnets.clear()

    with pytest.raises(LabError, match="the network of lab demo is gone") as caught:
        grow(here, "demo", one_more(), NOT_TRIED)

    assert "`labctl down -l demo` and `labctl up -l demo`" in (caught.value.hint or "")


def test_a_lab_whose_keys_are_not_here_is_refused_before_any_are_made(tmp_path: Path) -> None:
    here = FakeHost()
    record = bring_up(here, BARE, NOT_TRIED)
    for node in record.nodes:
        here.there._nodes["demo"][node.name] = replace(node, endpoint=Endpoint("tcp://127.0.0.1:1", tmp_path / "none"))

    with pytest.raises(LabError, match=r"ca\.pem, ca-key\.pem, .* of its keys are not in .*none") as caught:
        bring_up(here, BARE, NOT_TRIED)

    assert "LABCTL_STATE names another folder" in (caught.value.hint or "")
    assert not (tmp_path / "none").exists()


def test_a_lab_whose_keys_are_here_is_sound(tmp_path: Path) -> None:
    for name in KEYS:
        (tmp_path / name).touch()
    node = replace(fake_node("manager1"), endpoint=Endpoint("tcp://127.0.0.1:1", tmp_path))

    refuse_unsound(LabRecord("demo", lambda: None, "10.0.0.0/24", "labctl-demo", (node,)), [node])


def test_a_lab_of_which_only_the_base_is_left_is_made_anew() -> None:
    refuse_unsound(LabRecord("demo", lambda: None, None, None, ()), [])


def test_a_failed_up_leaves_no_new_swarm_behind_on_nodes_that_stood() -> None:
    host = FakeHost()
    bring_up(host, BARE, NOT_TRIED)
    for name in ("manager1", "worker1"):
        circle = f"curl -s -m 2 {WHERE}/clusterpeers"
        host.there.transports[name].answers |= {circle: Result(circle, 7), "pkill -HUP -x dockerd": ""}
    manager, worker = (host.there.engines[name] for name in ("manager1", "worker1"))
    none = EngineRefused("This node is not a swarm manager", status=503)
    tokens: dict[str, Answer] = {"JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"}}
    worker.script |= {"GET /swarm": none, "POST /swarm/join": EngineRefused("no way", status=500)}
    worker.script["POST /swarm/leave"] = manager.script["POST /swarm/leave"] = None
    manager.script["GET /swarm"] = none

    def founded(_asked: Asked) -> Answer:
        manager.script["GET /swarm"] = tokens
        return None

    manager.script["POST /swarm/init"] = founded

    with pytest.raises(LabctlError, match="no way"):
        bring_up(host, replace(BARE, swarm="formed"), NOT_TRIED)

    assert "POST /swarm/leave" in [str(asked) for asked in manager.asked]
    assert host.names() == ["manager1", "worker1"]


def test_a_proxy_that_fails_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    here = FakeHost()
    heard: list[Event] = []
    here.emit = heard.append

    def fail(*_: object) -> None:
        raise LabError("demo-edge ended: no room")

    monkeypatch.setattr(edge, "ensure_edges", fail)
    bring_up(here, replace(BARE, ports=(PortSpec(target=80, host=80),)), NOT_TRIED)

    assert [event.text for event in heard if isinstance(event, Warned)] == [
        "the proxy of published ports: demo-edge ended: no room"
    ]
