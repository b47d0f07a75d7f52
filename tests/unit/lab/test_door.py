"""The verbs of `Lab` that the command line has too: what they give, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError, NodeDown, NotFoundError, UsageError
from labctl.lab import Context, Lab, images
from labctl.lab.everywhere import NodeResult
from labctl.spec import LabSpec
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_node, raw_service, raw_task

SERVICE = raw_service("app_web") | {"ID": "s1"}
SERVICE["Spec"] |= {"Labels": {"com.docker.stack.namespace": "app"}}


@pytest.fixture
def nodes() -> tuple[FakeNode, FakeNode]:
    return fake_node("manager1"), fake_node("worker1", address="10.0.0.12", state="exited")


@pytest.fixture
def lab(nodes: tuple[FakeNode, ...], monkeypatch: pytest.MonkeyPatch, state: Path) -> Lab:
    record = LabRecord("demo", lambda: LabSpec(name="demo", workers=1), "10.0.0.0/24", "labctl-demo", nodes)
    backend = FakeBackend()
    backend.hold(record)
    found = Lab(Context(FakeEngine()), backend, record)
    monkeypatch.setattr("labctl.lab.finding.find_lab", lambda *_: found)
    monkeypatch.setattr(Lab, "manager", lambda self, **_: nodes[0])
    return found


def test_a_command_runs_where_it_is_asked_for_and_a_node_that_is_down_is_a_result(
    lab: Lab, nodes: tuple[FakeNode, ...]
) -> None:
    nodes[0].shell.answers["uptime"] = Result("uptime", 7, "up\n")
    heard: list[NodeResult] = []

    first, second = lab.run("uptime", on_result=heard.append)

    assert (first.node, first.code, first.stdout) == ("manager1", 7, "up\n")
    assert (second.node, second.code) == ("worker1", None) and "worker1 is" in second.stderr
    assert {one.node for one in heard} == {"manager1", "worker1"}
    assert [one.node for one in lab.run("uptime", "m1")] == ["manager1"]
    assert lab.run("uptime", []) == []
    with pytest.raises(NotFoundError, match="did you mean worker1"):
        lab.run("uptime", "wroker1")


def test_the_docker_cli_is_led_to_a_manager_or_to_a_node(lab: Lab, nodes: tuple[FakeNode, ...]) -> None:
    url = "tcp://127.0.0.1:1"
    told = {"DOCKER_TLS_VERIFY": "1", "DOCKER_HOST": url, "DOCKER_CERT_PATH": "", "DOCKER_MACHINE_NAME": "manager1"}

    assert lab.docker_env() == lab.docker_env("m1") == lab.docker_env(nodes[0]) == nodes[0].docker_env == told
    assert nodes[0].url == url
    for ask in (lambda: nodes[1].url, lambda: nodes[1].docker_env, lambda: lab.docker_env("w1")):
        with pytest.raises(NodeDown, match="worker1"):
            ask()


def test_without_a_swarm_it_is_the_first_node_that_runs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise LabError("no manager answers")

    monkeypatch.setattr(Lab, "manager", nobody)
    with pytest.raises(LabError, match="no manager"):
        lab.docker_env()
    lab.record = LabRecord("demo", lambda: LabSpec(swarm="empty"), None, None, lab.nodes)

    assert lab.docker_env()["DOCKER_MACHINE_NAME"] == "manager1"


def test_what_cannot_be_copied_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "m1:file").write_text("x")
    here = lab.copy(tmp_path / "m1:file", tmp_path / "copy:1")

    assert here == str(tmp_path / "copy:1") and Path(here).read_text() == "x", (
        "a Path is on this host, whatever it says"
    )
    with pytest.raises(UsageError, match="no such file"):
        lab.copy(tmp_path / "missing", tmp_path)
    with pytest.raises(UsageError, match="is a folder"):
        lab.copy(tmp_path, tmp_path / "other")
    with pytest.raises(NotFoundError, match="nobody"):
        lab.copy("nobody:/etc/hosts", tmp_path)


def test_stacks_are_listed_and_a_stack_that_is_not_there_is_answered_with_the_nearest(
    lab: Lab, nodes: tuple[FakeNode, ...]
) -> None:
    api: dict[str, Any] = {
        "GET /services": [SERVICE], "GET /nodes": [raw_node("manager1"), raw_node("worker1")],
        "GET /tasks": [raw_task("t1"), raw_task("t2", slot=2, state="rejected", Err="no room")],
    }  # fmt: skip
    nodes[0].api.update(api)

    assert lab.stacks() == {"app": 1}
    assert [(one.name, one.wanted, one.image) for one in lab.stack_services("app")] == [("app_web", 2, "nginx:latest")]
    assert {one.service for one in lab.stack_tasks("app")} == {"app_web"}
    assert [(one.name, one.node, one.state, one.error, one.digest) for one in lab.stack_tasks("app")] == [
        ("app_web.1", "worker1", "running", "", "sha256:abc"),
        ("app_web.2", "worker1", "rejected", "no room", "sha256:abc"),
    ]
    nodes[0].api.update(
        {"GET /tasks": [], "GET /services": lambda asked: [] if "filters" in asked.query else [SERVICE]}
    )
    for ask in (lab.stack_services, lab.stack_tasks):
        with pytest.raises(NotFoundError, match="no stack named 'ap': did you mean app"):
            ask("ap")


def test_an_image_is_pulled_where_it_is_asked_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(images, "pull", lambda _lab, _image, on: asked.append([node.name for node in on]))
    monkeypatch.setattr(images, "load", lambda _lab, _image, on: asked.append([node.name for node in on]))

    lab.pull("nginx:1", "@worker")
    lab.load("web:1")

    assert asked == [["worker1"], ["manager1", "worker1"]]
    with pytest.raises(NotFoundError, match="worker2"):
        lab.load("web:1", "worker2")


def test_nobodys_faults_are_nobodys(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("labctl.faults.heal", lambda _scene, ids: asked.append(ids))

    lab.heal_faults()
    lab.heal_faults([])
    lab.heal_faults("3fa2b1")

    assert asked == [None, [], ["3fa2b1"]]
    with pytest.raises(NotFoundError, match="no fault named 'ct'"):
        lab.inject_fault("ct", "worker1")


def test_what_a_machine_said_needs_a_node_that_is_there(lab: Lab) -> None:
    assert list(lab.node_logs("worker1", tail=3)) == []
    with pytest.raises(NotFoundError, match="worker7"):
        lab.node_logs("worker7")


def test_containers_are_not_provisioned(lab: Lab) -> None:
    with pytest.raises(UsageError, match="the nodes of lab demo are containers"):
        lab.provision()


def test_what_cannot_be_built_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    monkeypatch.setattr("labctl.lab.supplying.open_context", lambda *_: Context(FakeEngine()))

    for folder, name, network, told in (
        (tmp_path / "none", "web:1", "bridge", "none"),
        (tmp_path, "Web web", "bridge", "Web web"),
        (tmp_path, "web:1", "hsot", "network='hsot': expected one of bridge, host, none"),
    ):
        with pytest.raises(UsageError, match=told):
            Lab.build_image(folder, name, network=network)  # type: ignore[arg-type]  # one of them is a mistake


def test_a_removal_that_is_cut_off_says_how_to_finish_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C, while the block removes the lab: its name may never have been typed."""
    lab = Lab(
        Context(FakeEngine()), FakeBackend(), LabRecord("lab-1a2b3c", lambda: None, None, None, ()), made_here=True
    )

    def cut(_lab: Lab) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Lab, "down", cut)

    with pytest.raises(KeyboardInterrupt) as caught, lab:
        pass

    assert any("`labctl down -l lab-1a2b3c` removes it" in note for note in caught.value.__notes__)
