"""A lab is found by its labels, by the name that is meant, and its nodes by theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine import Endpoint
from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import EngineRefused, LabError, NotFoundError, UsageError
from labctl.lab import Context, Lab, find_lab, lab_names
from labctl.lab.leaving import with_nodes
from labctl.node import Node
from labctl.owner import YOU, Owner, own_mark
from labctl.spec import LabSpec, as_noted, labels, read_mapping, spec_noted

from ..nodes import fake_node, raw_info, raw_node


def container(lab: str, node: str, **marks: str) -> dict[str, Any]:
    role = "manager" if node.startswith("manager") else "worker"
    known = {labels.LAB: lab, labels.KIND: "node", labels.NODE: node, labels.ROLE: role, labels.ADDRESS: "10.0.0.11"}
    return {"Id": node, "Names": [f"/{lab}-{node}"], "State": "running", "Labels": known | {labels.PORT: "1"} | marks}


def engine_with(*containers: dict[str, Any]) -> FakeEngine:
    """An engine that filters by the lab's name, as a real one does, and has only containers."""

    def listed(asked: Asked) -> Answer:
        wanted = asked.query["filters"]
        return [
            one for one in containers if f'{labels.LAB}={one["Labels"][labels.LAB]}"' in wanted or "=" not in wanted
        ]

    return FakeEngine({"GET /containers/json": listed, "GET /networks": [], "GET /volumes": {"Volumes": []}})


def lab_of(*nodes: Node, spec: LabSpec | None = None, owner: Owner = YOU) -> Lab:
    record = LabRecord("demo", lambda: spec, "10.0.0.0/24", "labctl-demo", nodes, owner)
    backend = FakeBackend()
    backend.hold(record)
    return Lab(Context(FakeEngine()), backend, record)


@pytest.mark.usefixtures("state")
def test_a_lab_is_found_by_its_name() -> None:
    context = Context(engine_with(container("demo", "manager1"), container("other", "manager1")))

    assert find_lab(context, "demo").name == "demo"
    assert lab_names(context) == ["demo", "other"]


@pytest.mark.usefixtures("state")
def test_where_no_name_is_said_the_lab_called_lab_is_meant() -> None:
    context = Context(engine_with(container("lab", "manager1"), container("other", "manager1")))

    assert find_lab(context).name == "lab"


@pytest.mark.usefixtures("state")
def test_where_no_name_is_said_the_only_lab_is_meant() -> None:
    assert find_lab(Context(engine_with(container("workshop", "manager1")))).name == "workshop"


@pytest.mark.usefixtures("state")
def test_where_several_could_be_meant_none_is_chosen() -> None:
    context = Context(engine_with(container("a", "manager1"), container("b", "manager1")))

    with pytest.raises(UsageError, match="there are several labs: a, b") as caught:
        find_lab(context)

    assert "LABCTL_LAB" in (caught.value.hint or "")


@pytest.mark.usefixtures("state")
def test_a_lab_that_is_not_there_is_answered_with_the_nearest() -> None:
    context = Context(engine_with(container("workshop", "manager1", **{labels.OWNER: own_mark()})))

    with pytest.raises(NotFoundError, match="no lab named 'workshp': did you mean workshop"):
        find_lab(context, "workshp")


@pytest.mark.usefixtures("state")
def test_nobody_is_sent_to_a_lab_of_somebody_else_or_to_one_of_a_quite_different_name() -> None:
    theirs = container("workshop", "manager1", **{labels.OWNER: "alice@0123456789abcdef"})
    mine = container("o3-s", "manager1", **{labels.OWNER: own_mark()})

    with pytest.raises(NotFoundError, match=r"no lab named 'workshp': there is: o3-s\n"):
        find_lab(Context(engine_with(theirs, mine)), "workshp")
    with pytest.raises(NotFoundError, match=r"no lab named 'h3-b': there is: o3-s\n"):
        find_lab(Context(engine_with(theirs, mine)), "h3-b")
    with pytest.raises(NotFoundError, match=r"no lab named 'workshp'\n"):
        find_lab(Context(engine_with(theirs)), "workshp")


def test_where_there_is_no_lab_at_all_the_way_to_one_is_told() -> None:
    with pytest.raises(NotFoundError, match="no lab named 'lab': there is no lab at all") as caught:
        find_lab(Context(engine_with()))

    assert "labctl up" in (caught.value.hint or "")


def test_a_node_answers_to_its_name_and_its_short_name() -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"))

    assert lab.node("w1") is lab.node("worker1")


def test_a_filter_means_nodes() -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"), fake_node("worker2"))

    assert [node.name for node in lab.select("@worker")] == ["worker1", "worker2"]


def test_a_spec_that_is_lost_is_rebuilt_from_the_nodes() -> None:
    spec = lab_of(fake_node("manager1"), fake_node("worker1"), fake_node("worker2")).spec

    found = [(node.name, node.role) for node in spec.all_nodes()]
    assert spec.name == "demo"
    assert found == [("manager1", "manager"), ("worker1", "worker"), ("worker2", "worker")]


def test_a_spec_that_is_known_is_taken_as_it_is() -> None:
    spec = LabSpec(name="demo", workers=7)

    assert lab_of(fake_node("manager1"), spec=spec).spec is spec


def test_the_registrys_port_is_on_its_label() -> None:
    lab = lab_of(fake_node("manager1"))
    lab.context = Context(engine_with(container("demo", "registry", **{labels.KIND: "registry", labels.PORT: "34567"})))

    assert lab.registry_port() == 34567


def test_a_lab_without_a_registry_has_no_port_of_it() -> None:
    lab = lab_of(fake_node("manager1"))
    lab.context = Context(engine_with())

    assert lab.registry_port() is None


def test_nodes_that_stay_keep_the_labels_that_a_filter_gave_them() -> None:
    spec = read_mapping({"workers": 2, "node_labels": {"worker1": {"ssd": "true"}, "@all": {"zone": "a"}}})
    left = with_nodes(spec, [node for node in spec.all_nodes() if node.name != "worker1"])

    assert spec_noted(as_noted(left), source="a label") == left
    assert [(node.name, left.labels_of(node)) for node in left.all_nodes()] == [
        ("manager1", {"zone": "a"}),
        ("worker2", {"zone": "a"}),
    ]


def test_the_last_node_is_not_taken_out_of_its_lab() -> None:
    lab = lab_of(fake_node("manager1"))

    with pytest.raises(UsageError, match="manager1 is all that the lab has") as caught:
        lab.remove_nodes(lab.nodes)

    assert "labctl down" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["worker2", "w2"])
def test_a_node_that_is_gone_is_told_as_gone_and_not_as_unknown(name: str) -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"), spec=LabSpec(name="demo", workers=2))

    for ask in (lab.node, lab.select):
        with pytest.raises(LabError, match="node worker2 is gone") as caught:
            ask(name)
        assert caught.value.hint == "`labctl up` recreates it; `labctl node rm worker2` takes it out of the lab."


def test_the_first_manager_answers_to_manager_as_it_does_inside() -> None:
    lab = lab_of(fake_node("manager1"), fake_node("manager2", role="manager"), fake_node("worker1"))

    assert lab.node("manager") is lab.node("manager1")
    assert [node.name for node in lab.select("w1,manager")] == ["worker1", "manager1"]


def test_manager_means_no_other_node_where_the_first_one_is_gone() -> None:
    lab = lab_of(fake_node("manager2", role="manager"), fake_node("worker1"), spec=LabSpec(name="d", managers=3))

    for ask in (lab.node, lab.select):
        with pytest.raises(LabError, match="node manager1 is gone"):
            ask("manager")


def test_a_group_is_of_the_nodes_that_are_there() -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"), spec=LabSpec(name="demo", workers=2))

    assert [node.name for node in lab.select("@all")] == ["manager1", "worker1"]
    with pytest.raises(NotFoundError, match="did you mean worker1"):
        lab.node("worker11")


@pytest.mark.usefixtures("state")
def test_a_node_that_is_gone_is_taken_out_of_the_spec_and_off_the_swarms_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    spec = LabSpec(name="demo", workers=2)
    manager = fake_node("manager1", api={"GET /swarm": {}})
    manager.api["GET /nodes"] = [raw_node("manager1", leader=True), raw_node("worker2", state="down")]
    manager.shell.answers["docker node rm --force id-worker2"] = ""
    lab = lab_of(manager, fake_node("worker1"), spec=spec)
    lab.remove_nodes("worker2")

    assert manager.shell.commands == ["docker node rm --force id-worker2"]
    found = lab.backend.find("demo")
    assert found is not None and found.spec is not None
    assert [node.name for node in found.spec.all_nodes()] == ["manager1", "worker1"]


THEIRS = Owner("alice", is_you=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda lab: lab.stop(),
        lambda lab: lab.start(),
        lambda lab: lab.kill(lab.nodes),
        lambda lab: lab.suspend(),
        lambda lab: lab.resume(),
        lambda lab: lab.remove_nodes(lab.nodes[:1]),
        lambda lab: lab.down(),
        lambda lab: lab.run("true"),
        lambda lab: lab.copy("m1:/etc/hosts", "hosts"),
        lambda lab: lab.add_ports(8080),
        lambda lab: lab.remove_ports(8080),
        lambda lab: lab.pull("nginx:latest"),
        lambda lab: lab.load("nginx:latest"),
        lambda lab: lab.push("nginx:latest"),
        lambda lab: lab.inject_fault("kill", "w1"),
        lambda lab: lab.heal_faults(),
        lambda lab: lab.provision(),
        lambda lab: lab.docker_env("m1"),
        lambda lab: lab.ssh_config(),
        lambda lab: lab.stack_services("web"),
    ],
)
@pytest.mark.usefixtures("state")
def test_nothing_changes_somebody_elses_lab(monkeypatch: pytest.MonkeyPatch, change: Callable[[Lab], object]) -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"), owner=THEIRS)
    monkeypatch.setattr("labctl.lab.finding.find_lab", lambda *_: lab)

    with pytest.raises(UsageError, match="lab demo belongs to alice") as caught:
        change(lab)

    assert not (caught.value.hint or "").startswith("`labctl up"), "the lab is not to be made"

    found = lab.backend.find("demo")
    assert found is not None and [node.state for node in found.nodes] == ["running", "running"]


@pytest.mark.usefixtures("state")
def test_somebody_elses_lab_is_removed_where_that_was_asked_for() -> None:
    lab = lab_of(fake_node("manager1"), owner=THEIRS)
    lab.context = Context(engine_with())

    lab.down(others=True)

    assert lab.backend.find("demo") is None


@pytest.mark.usefixtures("state")
def test_a_lab_that_went_to_somebody_else_meanwhile_is_not_removed() -> None:
    lab = lab_of(fake_node("manager1"))
    assert isinstance(lab.backend, FakeBackend)
    lab.backend.owners["demo"] = THEIRS

    with pytest.raises(UsageError, match="lab demo belongs to alice"):
        lab.down()


@pytest.mark.usefixtures("state")
def test_nodes_that_two_take_out_at_once_both_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    spec = LabSpec(name="demo", workers=2, swarm="empty")
    no_manager = EngineRefused("This node is not a swarm manager.", status=503)
    api: dict[str, Answer] = {"GET /info": raw_info("inactive"), "GET /swarm": no_manager}
    nodes = [replace(fake_node(name, api=api), lab="demo") for name in ("manager1", "worker1", "worker2")]
    lab = lab_of(*nodes, spec=spec)
    one, another = replace(lab), replace(lab)  # both have looked before either is at work

    one.remove_nodes([nodes[1]])
    another.remove_nodes([nodes[2]])

    found = lab.backend.find("demo")
    assert found is not None and found.spec is not None
    assert [node.name for node in found.nodes] == ["manager1"]
    assert [node.name for node in found.spec.all_nodes()] == ["manager1"]


@pytest.mark.usefixtures("state")
def test_a_lab_that_has_grown_since_somebody_was_asked_is_not_removed() -> None:
    lab = lab_of(fake_node("manager1"), fake_node("worker1"))

    with pytest.raises(LabError, match="worker1 came to lab demo meanwhile"):
        lab.down(only=["manager1"])


@pytest.mark.usefixtures("state")
def test_where_no_name_is_said_your_own_lab_comes_before_those_of_others() -> None:
    theirs = container("lab", "manager1", **{labels.OWNER: "alice@0123456789abcdef"})
    mine = container("workshop", "manager1", **{labels.OWNER: own_mark()})

    assert find_lab(Context(engine_with(theirs, mine))).name == "workshop"
    assert find_lab(Context(engine_with(theirs))).record.owner == THEIRS


@pytest.mark.usefixtures("state")
def test_the_nearest_name_is_never_that_of_somebody_elses_lab() -> None:
    theirs = container("workshop", "manager1", **{labels.OWNER: "alice@0123456789abcdef"})
    mine = container("demo", "manager1", **{labels.OWNER: own_mark()})

    with pytest.raises(NotFoundError, match=r"no lab named 'workshp': there is: demo\n"):
        find_lab(Context(engine_with(theirs, mine)), "workshp")


def test_a_lab_without_a_node_names_what_helps() -> None:
    with pytest.raises(LabError, match="lab demo has no node") as caught:
        lab_of().manager()

    assert "`labctl up -l demo`" in str(caught.value.hint)
    assert "`labctl down -l demo`" in str(caught.value.hint)


def test_a_lab_whose_keys_are_not_here_is_neither_started_nor_made_smaller(tmp_path: Path) -> None:
    def elsewhere(name: str) -> Node:
        return replace(fake_node(name, state="exited"), endpoint=Endpoint("tcp://127.0.0.1:1", tmp_path / "none"))

    lab = lab_of(elsewhere("manager1"), elsewhere("worker1"))

    for change in (lab.start, lambda: lab.remove_nodes([lab.node("worker1")], force=True)):
        with pytest.raises(LabError, match=r"lab demo stands, and ca\.pem, .* of its keys are not in"):
            change()
