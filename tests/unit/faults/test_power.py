"""Faults of a node as a machine: a strike that goes on without labctl, and outages that are somebody else's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labctl.backend import FakeBackend
from labctl.errors import EngineRefused, EngineUnreachable, LabError, UsageError
from labctl.faults import Fault, Scene, active, heal, inject, kind_named, notes, planned
from labctl.node import Node
from labctl.state import lab_path

from .scenes import node, scene_of


class Slow(FakeBackend):
    """Whose engine goes on to stop a node when `cut_short` is raised into the one who asked."""

    cut_short: BaseException | None = None
    after: float = 0.3
    during: Callable[[], Any] = staticmethod(lambda: None)

    def stop(self, node: Node, *, grace: int = 10) -> None:
        self.during()
        later = threading.Timer(self.after, lambda: FakeBackend.stop(self, node))
        later.daemon = True  # one that is never waited for holds up nobody at the end
        later.start()
        if self.cut_short is not None:
            raise self.cut_short
        time.sleep(self.after * 2)


@pytest.fixture
def scene() -> Scene:
    made = scene_of(*(replace(node(name), run_id="1") for name in ("manager1", "worker1", "worker2")))
    slow = Slow()
    slow.hold(made.backend.find("lab"))  # type: ignore[arg-type]
    made.backend = slow
    return made


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The faults that a lease was armed for."""
    armed: list[str] = []

    def arm(_lab: str, fault: Fault) -> int:
        armed.append(fault.id)
        return 2**22 + 1  # no process

    monkeypatch.setattr("labctl.faults.notes.arm", arm)
    return armed


def slow(scene: Scene) -> Slow:
    assert isinstance(scene.backend, Slow)
    return scene.backend


def state(scene: Scene, name: str) -> str:
    found = scene.node(name)
    return "gone" if found is None else found.state


def noted() -> list[str]:
    return sorted(path.stem for path in (lab_path("lab") / "faults").glob("*.json"))


def struck(scene: Scene, kind: str, target: str) -> Fault:
    (fault,) = inject(scene, planned(kind_named(kind), [target]))
    return fault


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), EngineUnreachable("it takes long")])
def test_a_node_that_goes_down_after_labctl_was_cut_short_comes_back(
    scene: Scene, leases: list[str], problem: BaseException
) -> None:
    slow(scene).cut_short = problem
    with pytest.raises(type(problem)):
        inject(scene, planned(kind_named("stop"), ["worker1"], {}, 15.0))
    time.sleep(0.5)
    assert len(leases) == 1
    assert state(scene, "worker1") == "running"
    assert noted() == []


def test_a_labctl_that_is_cut_short_twice_leaves_the_note_and_the_lease(
    scene: Scene, leases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    slow(scene).cut_short = KeyboardInterrupt()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("labctl.faults.power.wait_until", interrupted)
        inject(scene, planned(kind_named("stop"), ["worker1"], {}, 15.0))

    assert noted() == leases
    assert [one.state for one in active(scene)] in (["striking"], ["acts"])
    assert [one.target for one in heal(scene)] == ["worker1"]
    assert state(scene, "worker1") == "running"
    assert noted() == []


def test_what_the_engine_refuses_is_not_waited_for(scene: Scene) -> None:
    slow(scene).cut_short = EngineRefused("no")
    slow(scene).after = 3600
    with pytest.raises(EngineRefused):
        struck(scene, "stop", "worker1")
    assert noted() == []


def test_a_look_while_a_node_is_being_stopped_tells_so_and_changes_nothing(scene: Scene, leases: list[str]) -> None:
    seen: list[list[Fault]] = []
    slow(scene).during = lambda: seen.append(active(scene))

    (fault,) = inject(scene, planned(kind_named("stop"), ["worker1"], {}, 20.0))

    assert [(one.id, one.state) for one in seen[0]] == [(fault.id, "striking")]
    assert noted() == [fault.id]
    assert [(one.id, one.state) for one in active(scene)] == [(fault.id, "acts")]


def test_whoever_heals_waits_for_the_one_who_strikes(scene: Scene) -> None:
    healed: list[list[Fault]] = []
    threads: list[threading.Thread] = []

    def begin() -> None:
        threads.append(threading.Thread(target=lambda: healed.append(heal(scene))))
        threads[0].start()
        time.sleep(0.1)

    slow(scene).during = begin
    fault = struck(scene, "stop", "worker1")
    threads[0].join()
    assert healed == [[fault]]
    assert state(scene, "worker1") == "running"
    assert noted() == []


def test_of_two_that_strike_one_node_at_once_the_second_waits_and_is_refused(scene: Scene) -> None:
    problems: list[Exception] = []
    threads: list[threading.Thread] = []

    def second() -> None:
        try:
            struck(scene, "stop", "worker1")
        except LabError as problem:
            problems.append(problem)

    def begin() -> None:
        threads.append(threading.Thread(target=second))
        threads[0].start()
        time.sleep(0.1)

    slow(scene).during = begin
    fault = struck(scene, "stop", "worker1")
    threads[0].join()
    assert [type(problem).__name__ for problem in problems] == ["NodeDown"]
    assert noted() == [fault.id]


def test_a_note_does_not_outlive_the_outage_that_it_is_about(scene: Scene) -> None:
    fault = struck(scene, "kill", "worker1")
    scene.backend.start(scene.nodes[1])  # behind labctl's back
    FakeBackend.stop(slow(scene), scene.nodes[1])
    tried: list[object] = []
    scene.start = tried.append

    assert heal(scene, [fault.id]) == [fault]
    assert state(scene, "worker1") == "exited"
    assert tried == [], "nor is it started to try the lab with it"
    assert noted() == []


def test_another_machine_of_the_same_name_has_nothing_to_do_with_it(scene: Scene) -> None:
    fault = struck(scene, "kill", "worker1")
    slow(scene)._nodes["lab"]["worker1"] = replace(scene.nodes[1], state="exited", run_id="another machine")

    assert active(scene) == []
    kind_named("kill").heal(scene, fault)
    assert state(scene, "worker1") == "exited"


def test_whoever_stops_nodes_himself_ends_their_faults(scene: Scene) -> None:
    first, second = struck(scene, "kill", "worker1"), struck(scene, "kill", "worker2")

    notes.end("lab", ["worker1"])

    assert noted() == [second.id]
    kind_named("kill").heal(scene, first)
    assert state(scene, "worker1") == "exited"


def test_a_note_that_was_ended_is_not_written_again_by_the_one_who_strikes(scene: Scene) -> None:
    slow(scene).during = lambda: notes.end("lab", ["worker1"])
    struck(scene, "stop", "worker1")
    assert noted() == []


def test_a_note_of_an_older_labctl_is_read(scene: Scene) -> None:
    fault = struck(scene, "kill", "worker1")
    path = notes.path_of("lab", fault.id)
    path.write_text(json.dumps({**fault.as_json(), "lease": None}))

    assert active(scene) == [fault]
    heal(scene)
    assert state(scene, "worker1") == "running"


def test_what_is_no_id_names_no_file() -> None:
    for id_ in ("../x", "/etc/passwd", ""):
        with pytest.raises(LabError, match="no fault's id"):
            notes.forget("lab", id_)


def test_the_lease_runs_labctl_and_not_what_lies_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it has to say is in the lab's folder."""
    for name in ("random", "click", "labctl"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    (fault,) = planned(kind_named("kill"), ["worker1"], {}, 0.1)
    notes.write("lab", fault, notes.Note())

    pid = notes.arm("lab", fault)

    log, until = lab_path("lab") / "faults" / "lease.log", time.monotonic() + 60
    while not log.read_text() and time.monotonic() < until:
        time.sleep(0.1)
    assert pid > 0
    assert "no lab named" in log.read_text() or "engine" in log.read_text()
    assert not (tmp_path / "ran").exists()


def test_a_fault_on_no_node_is_refused() -> None:
    with pytest.raises(UsageError, match="acts on a node: which"):
        planned(kind_named("cut"), [])
