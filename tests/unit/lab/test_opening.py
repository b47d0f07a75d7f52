"""`Lab.up`: which lab is meant, what it shall be, and whether this call made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import FakeBackend, LabRecord, NodePlan
from labctl.engine.fake import FakeEngine
from labctl.errors import LabError, NotFoundError, SpecError, UsageError
from labctl.events import Event, Noted, quiet
from labctl.lab import Context, Lab, UpOptions, finding, opening
from labctl.spec import LabSpec, NodeSpec

from .waiting_lab import FakeContext, lab_in_memory

Grown = list[tuple[str, LabSpec, UpOptions | None]]


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch, state: Path, tmp_path: Path) -> FakeBackend:
    """A host on which all labs are in memory."""
    made = FakeBackend()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def opened(emit: Any = quiet, transport: str | None = None, unlock_key: str | None = None) -> Context:
        engine = FakeEngine({"GET /containers/json": [], "GET /networks": [], "GET /volumes": {"Volumes": []}})
        return FakeContext(engine, emit, "ssh" if transport == "ssh" else "exec", made=made, unlock_key=unlock_key)

    monkeypatch.setattr("labctl.lab.lab.open_context", opened)
    monkeypatch.setattr(finding, "lab_names", lambda _: made.labs())
    return made


@pytest.fixture(autouse=True)
def grown(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend) -> Iterator[Grown]:
    """What `up` was asked for; nodes in memory are all that it makes."""
    asked: Grown = []

    def grow(context: Context, name: str, extend: Callable[[LabRecord | None], LabSpec], options: Any) -> LabRecord:
        spec = extend(backend.find(name))
        asked.append((name, spec, options))
        context.emit(Noted("made"))
        backend.create_base(spec, "10.0.0.0/24")
        there = {node.name for node in (backend.find(name) or LabRecord(name, lambda: None, None, None, ())).nodes}
        for number, node in enumerate(spec.all_nodes(), start=11):
            if node.name not in there:
                backend.create_node(spec, NodePlan(node, f"10.0.0.{number}", {}))
        found = backend.find(name)
        assert found is not None
        return found

    monkeypatch.setattr(opening, "grow", grow)
    monkeypatch.setattr("labctl.lab.up.grow", grow)
    yield asked


def test_a_lab_without_a_name_gets_one_of_its_own(grown: Grown) -> None:
    labs = [Lab.up(nodes=2), Lab.up(LabSpec(workers=0)), Lab.up()]

    assert len({lab.name for lab in labs}) == 3
    assert all(lab.name.startswith("lab-") and lab.made_here for lab in labs)
    assert [len(lab.nodes) for lab in labs] == [2, 1, 4]
    assert [spec.name for _, spec, _ in grown] == [lab.name for lab in labs]


def test_a_name_that_another_lab_has_is_not_taken(monkeypatch: pytest.MonkeyPatch, backend: FakeBackend) -> None:
    backend.create_base(LabSpec(name="lab-aaaaaa"), "10.0.0.0/24")
    made_up = iter(["aaaaaa", "bbbbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(made_up))

    assert Lab.up(nodes=1).name == "lab-bbbbbb"


@pytest.mark.parametrize("how", [{"name": "demo"}, {"spec": LabSpec(name="demo")}])
def test_a_lab_that_stands_is_converged_and_is_not_this_calls(how: dict[str, Any]) -> None:
    first = Lab.up(name="demo", nodes=2)
    again = Lab.up(**how)

    assert (first.made_here, again.made_here) == (True, False)
    assert [node.name for node in Lab.up(name="demo", workers=2).nodes] == [
        "manager1", "worker1", "worker2", *(["worker3"] if "spec" in how else []),
    ]  # fmt: skip


def test_a_spec_that_is_called_lab_is_not_one_without_a_name() -> None:
    assert Lab.up(LabSpec(name="lab", workers=0)).name == "lab"
    assert Lab.up(LabSpec(name="lab", workers=0), memory="1g").name == "lab"


def test_keywords_win_over_a_spec_and_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("name: filed\nnodes: [{name: one, role: manager}]\nports: [8080]\n")
    spec = LabSpec(nodes=(NodeSpec(name="one", role="manager"),), memory="1g")

    filed, keyed = Lab.up(file, ports=(9090,)), Lab.up(spec, nodes=3, name="keyed", memory="2g")
    listed: Any = [NodeSpec(name="one", role="manager")]
    assert [node.name for node in Lab.up(LabSpec(nodes=listed)).nodes] == ["one"]

    assert (filed.name, [node.name for node in filed.nodes]) == ("filed", ["one"])
    assert [port.target for port in filed.spec.ports] == [9090]
    assert (keyed.name, len(keyed.nodes), keyed.spec.memory) == ("keyed", 3, "2g")


def test_what_cannot_be_meant_is_refused_in_words() -> None:
    name: Any = "demo"
    asked: list[tuple[Callable[[], Lab], type[UsageError], str]] = [
        (lambda: Lab.up(name), UsageError, "'demo' is no LabSpec and no Path"),
        (lambda: Lab.up(nodes=3, workers=2), UsageError, "say either nodes or workers"),
        (lambda: Lab.up(nodes=1, managers=2), UsageError, "managers 2 is more than nodes 1"),
        (lambda: Lab.up(memory="1k"), SpecError, "memory: 1k is too little"),
        (lambda: Lab.up(LabSpec(memory="1k")), SpecError, "memory: 1k is too little"),
        (lambda: Lab.up(LabSpec(backend="dind", box="x/y")), SpecError, "box: x/y is for virtual machines"),
    ]
    for ask, error, said in asked:
        with pytest.raises(error, match=said):
            ask()


def test_a_block_removes_what_it_made_and_leaves_what_stood(backend: FakeBackend) -> None:
    with Lab.up(nodes=1) as made:
        assert backend.labs() == [made.name]
        with Lab.up(name=made.name), Lab.find(made.name):
            pass
        assert backend.labs() == [made.name]
    assert backend.labs() == []

    with Lab.up(nodes=1) as gone:
        gone.down()  # twice is fine
    with pytest.raises(ZeroDivisionError), Lab.up(nodes=1):
        raise ZeroDivisionError
    assert backend.labs() == []


def test_who_hears_a_verb_does_not_hear_the_next(heard: list[Event]) -> None:
    lab = Lab.up(name="demo", nodes=1, on_event=heard.append, verify=False, unlock_key="SWMKEY-1")
    assert heard == [Noted("made")]

    lab.stop()
    assert (len(heard), lab.context.unlock_key) == (1, "SWMKEY-1")
    lab.down(on_event=heard.append)
    assert len(heard) == 1, "the fake backend tells nobody"


def test_labs_are_found_by_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    Lab.up(name="one", nodes=1)
    Lab.up(name="two", nodes=1)
    monkeypatch.setenv("LABCTL_LAB", "two")

    assert (Lab.find().name, Lab.find("one").name) == ("two", "one")
    assert [lab.name for lab in Lab.all()] == ["one", "two"]
    monkeypatch.setenv("LABCTL_LAB", "")
    with pytest.raises(UsageError, match="several labs: one, two"):
        Lab.find()


@pytest.mark.usefixtures("state")
def test_the_key_and_the_way_are_the_environments_where_they_are_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from labctl.lab import open_context

    assert open_context().unlock_key is None
    monkeypatch.setenv("LABCTL_UNLOCK_KEY", "SWMKEY-1")
    monkeypatch.setenv("LABCTL_TRANSPORT", "ssh")
    assert (open_context().unlock_key, open_context().transport) == ("SWMKEY-1", "ssh")
    assert open_context(transport="exec", unlock_key="SWMKEY-2").unlock_key == "SWMKEY-2"


def test_nodes_are_added_by_name_or_by_count(grown: Grown) -> None:
    lab = Lab.up(name="demo", nodes=2)

    assert [node.name for node in lab.add_nodes(count=2, labels={"disk": "ssd"})] == ["worker2", "worker3"]
    assert [node.name for node in lab.add_nodes("extra", bare=True, engine={"debug": True}, cpus=1)] == ["extra"]
    assert [node.name for node in lab.nodes] == ["manager1", "worker1", "worker2", "worker3", "extra"]
    spec = grown[-1][1]
    extra = spec.all_nodes()[-1]
    assert (extra.engine, extra.cpus, spec.joins("extra"), spec.joins("worker3")) == ({"debug": True}, 1, False, True)
    for names, count in (("a", 1), ((), 0), ("extra", None)):
        with pytest.raises(UsageError):
            lab.add_nodes(names, count=count)


# -- what a lab knows of itself


def test_the_properties_are_of_the_objects_own_last_verb_and_refresh_looks_again() -> None:
    lab = lab_in_memory(workers=2)
    other = replace(lab)

    assert [node.name for node in lab.stop(["w1", "@worker:1"])] == ["worker1", "worker2"]
    assert [node.state for node in lab.nodes] == ["running", "exited", "exited"]
    assert [node.state for node in other.nodes] == ["running"] * 3
    assert other.refresh() is other
    assert [node.state for node in other.nodes] == ["running", "exited", "exited"]
    assert lab.stop([]) == [] and lab.node("m1").is_running, "an empty list is nobody"
    assert [node.state for node in lab.kill("manager1")] == ["exited"]


def test_a_verb_that_fails_leaves_the_properties_true(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lab_in_memory()

    def stop(self: FakeBackend, node: Any, *, grace: int = 10) -> None:
        self._set(node, "exited")
        raise LabError("no")

    monkeypatch.setattr(FakeBackend, "stop", stop)
    with pytest.raises(LabError, match="no"):
        lab.stop("worker1")

    assert [node.state for node in lab.nodes] == ["running", "exited"]


def test_a_name_that_means_no_node_is_told_with_the_nearest() -> None:
    lab = lab_in_memory()

    with pytest.raises(NotFoundError, match="did you mean worker1"):
        lab.stop(["manager1", "worker"])
    assert [node.state for node in lab.nodes] == ["running", "running"]


def test_a_stack_that_is_not_there_is_told_when_the_others_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def remove(_lab: Lab, names: tuple[str, ...], _limit: float) -> tuple[dict[str, tuple[str, ...]], list[Any]]:
        asked.append(names)
        missing = [NotFoundError("stack", name, ["web"]) for name in names if name != "web"]
        return {"web": ("worker1",)}, missing

    monkeypatch.setattr("labctl.lab.removing.remove_stacks", remove)
    lab = lab_in_memory()

    assert lab.remove_stack("web") == {"web": ("worker1",)}
    with pytest.raises(NotFoundError, match="did you mean web"):
        lab.remove_stack("web", "wbe")
    assert asked == [("web",), ("web", "wbe")]


def test_a_plan_tells_what_up_would_do_and_changes_nothing(
    backend: FakeBackend, grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.lab.checking._preflight", lambda *_: None)
    monkeypatch.setattr(Context, "refuse_taken", lambda *_: None)
    monkeypatch.setattr(backend, "name", "dind")
    lab = Lab.up(name="demo", nodes=2)

    same, more, fresh = Lab.plan(name="demo"), Lab.plan(name="demo", workers=2), Lab.plan(nodes=2)

    assert (same.changes, [node.name for node in more.create]) == (False, ["worker2"])
    assert fresh.is_new and fresh.spec.name.startswith("lab-") and fresh.changes
    assert (len(grown), backend.labs()) == (1, [lab.name])
    with pytest.raises(SpecError):
        Lab.plan(name="demo", managers=9)
    with pytest.raises(UsageError, match="is no LabSpec"):
        Lab.plan("demo")  # type: ignore[arg-type]  # the mistake
