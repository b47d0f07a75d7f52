"""Labs that another version of labctl made: an older one's are read, a newer one's are used and not changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError
from labctl.lab import Context, Lab, find_lab
from labctl.lab.checking import looked_over
from labctl.lab.status import status_of
from labctl.owner import YOU, own_mark
from labctl.spec import LabSpec, labels, read_mapping

from ..nodes import fake_node

OLD = {"name": "demo", "nodes": [{"name": "boss", "role": "manager"}, {"name": "w1"}], "ports": ["8080"], "cpus": 2}
# What may come: a key that this labctl does not know, and another format.
NEWER = ({"name": "demo", "hollow": 1000}, {"format": 7, "name": "demo"})


def engine_with(noted: object, owner: str = "") -> FakeEngine:
    """An engine with a lab of one node whose spec is noted so; nothing says whose it is, unless `owner` does."""
    own = {labels.LAB: "demo"} | ({labels.OWNER: owner} if owner else {})
    node = {labels.KIND: "node", labels.NODE: "boss", labels.ROLE: "manager", labels.ADDRESS: "10.0.0.11"}
    container = {"Id": "b", "Names": ["/demo-boss"], "State": "exited", "Labels": own | node | {labels.PORT: "1"}}
    spec = {"Name": "s", "Labels": own | {labels.KIND: "spec", labels.SPEC: json.dumps(noted)}}
    return FakeEngine(
        {"GET /containers/json": [container], "GET /networks": [], "GET /volumes": {"Volumes": [spec]}},
    )


@pytest.mark.usefixtures("state")
def test_a_lab_of_an_older_labctl_is_read() -> None:
    """Of before it noted whose a lab is, or wrote ports in full."""
    lab = find_lab(Context(engine_with(OLD)), "demo")

    assert lab.spec == read_mapping(OLD)
    assert [str(port) for port in lab.spec.ports] == ["8080:8080/tcp"]
    assert (lab.record.newer, [node.name for node in lab.nodes]) == ("", ["boss"])


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("noted", NEWER)
def test_a_lab_of_a_newer_labctl_is_found_with_its_nodes(noted: object) -> None:
    lab = find_lab(Context(engine_with(noted)), "demo")

    assert lab.record.spec is None and lab.record.newer
    assert lab.node("boss").address == "10.0.0.11"
    assert lab.spec.name == "demo", "rebuilt from the nodes, for what only looks"


def newer_lab() -> Lab:
    nodes = (fake_node("manager1"), fake_node("worker1"))
    engine = FakeEngine({"GET /containers/json": [], "GET /volumes": {"Volumes": []}})
    backend = NewerBackend()
    backend.hold(LabRecord("demo", lambda: LabSpec(name="demo"), "10.0.0.0/24", "labctl-demo", nodes, YOU))
    record = backend.find("demo")
    assert record is not None
    return Lab(Context(engine), backend, record)


class NewerBackend(FakeBackend):
    """Labs whose spec this labctl cannot read; noting another one would lose it."""

    def find(self, lab: str) -> LabRecord | None:
        from labctl.spec import spec_noted

        found = super().find(lab)
        return None if found is None else replace(found, read_spec=lambda: spec_noted(NEWER[0], source="a label"))

    def remember(self, spec: LabSpec) -> None:
        raise AssertionError("what the newer labctl noted is written over")


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize(
    "change",
    [
        lambda lab: lab.add_nodes(verify=False),
        lambda lab: lab.remove_nodes("worker1"),
        lambda lab: lab.save_snapshot("fresh"),
        lambda lab: lab.restore_snapshot("fresh"),
        lambda lab: looked_over(lab.context, LabSpec(name="demo")),
    ],
)
def test_what_would_lose_something_of_it_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Lab], Any]
) -> None:
    lab = newer_lab()
    monkeypatch.setattr(Context, "holding", lambda *_: lab.backend)
    monkeypatch.setattr("labctl.lab.finding.find_lab", lambda *_: lab)

    with pytest.raises(LabError, match=r"lab demo was made by a newer labctl.*: it says hollow") as caught:
        change(lab)

    assert "`pip install --upgrade swarm-labctl`" in (caught.value.hint or "")
    assert "`labctl down -l demo`" in (caught.value.hint or "")


@pytest.mark.usefixtures("state")
def test_it_is_stopped_and_removed_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = newer_lab()

    assert [node.name for node in lab.stop("worker1")] == ["worker1"]
    assert lab.down()
    assert lab.backend.find("demo") is None


@pytest.mark.usefixtures("state")
def test_status_says_so_and_calls_the_lab_good_or_bad_for_what_it_is() -> None:
    context = Context(engine_with(NEWER[0], own_mark()))

    found = status_of(context, find_lab(context, "demo").record)

    assert "made by a newer labctl" in found.warnings[0] and "swarm-labctl" in found.warnings[0]
    assert not any("newer" in problem for problem in found.problems)
