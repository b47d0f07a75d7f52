"""A learner's way: progress is kept, hints come one after the other, what does not fit the lab is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import Answer, FakeEngine
from labctl.errors import CommandFailed, EngineRefused, NodeDown, NotFoundError, SpecError, UsageError
from labctl.events import Event, Noted, Warned
from labctl.exercise import Exercise, Fence, entries, find_exercise
from labctl.exercise.catalogue import next_after
from labctl.exercise.progress import Progress, done_ever, forget, last_begun, last_ever, note_ever
from labctl.exercise.session import Session
from labctl.exercise.stage import TRIES, Stage, lacking, prepare, suggested_up, way_to_fit
from labctl.exercise.template import write_template
from labctl.exercise.verify import lint
from labctl.lab import Context, Lab
from labctl.lab.gossip import WHERE
from labctl.spec import LabSpec

from ..nodes import FakeNode, fake_node, raw_info, raw_node
from .conftest import CHECKS, FRONT, TEXT, Demo, lab_with

Begin = Callable[[Exercise], Session]


def fence(code: str, **more: object) -> Fence:
    return Fence(**{"node": "host", "code": code, "language": "sh", "line": 1, **more})  # type: ignore[arg-type]  # the test's own


# -- the catalogue


def test_shipped_exercises_are_found_by_id_and_the_nearest_is_offered() -> None:
    assert find_exercise("voting-app").id == "voting-app"
    with pytest.raises(NotFoundError, match="no exercise named 'votingap': did you mean voting-app"):
        find_exercise("votingap")


def test_folders_that_a_user_names_win(demo: Demo) -> None:
    folder = demo().folder

    assert find_exercise("demo", [folder]).folder == find_exercise("demo", [folder.parent]).folder == folder
    assert find_exercise(str(folder)).folder == folder
    shipped = [entry.id for entry in entries()]
    assert [entry.id for entry in entries([folder.parent])] == sorted(["demo", *shipped])


def test_an_exercise_that_cannot_be_read_is_listed_with_its_problem(demo: Demo) -> None:
    folder = demo().folder
    (folder / "exercise.md").write_text("nothing")

    broken = next(entry for entry in entries([folder]) if entry.id == "demo")

    assert broken.exercise is None
    assert "front matter" in broken.problem
    with pytest.raises(SpecError):
        find_exercise("demo", [folder])


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder named"):
        entries([tmp_path / "nowhere"])


@pytest.mark.usefixtures("state")
def test_what_builds_on_an_exercise_is_next_and_then_what_its_track_has_below_it(tmp_path: Path) -> None:
    for id_, keys in {
        "base": "track: operate",
        "zero": "track: operate\nneeds: [base]",
        "able": "track: operate\nneeds: [zero]",
        "loner": "track: operate",
        "other": "track: troubleshoot\nneeds: [base]",
    }.items():
        (tmp_path / id_).mkdir()
        front = FRONT.replace("id: demo", f"id: {id_}\n{keys}")
        (tmp_path / id_ / "exercise.md").write_text(front + TEXT)
        (tmp_path / id_ / f"test_{id_}.py").write_text(CHECKS)
    there = [entry for entry in entries([tmp_path]) if entry.folder.is_relative_to(tmp_path.resolve())]

    assert [next_after(there, id_) for id_ in ("base", "zero", "able", "loner")] == ["zero", "able", "", "zero"]
    note_ever("zero", "first")
    assert [next_after(there, id_) for id_ in ("base", "loner", "other", "nobody")] == ["loner", "able", "", ""]


# -- progress


@pytest.mark.usefixtures("state")
def test_progress_is_kept_and_forgotten(demo: Demo) -> None:
    exercise = demo()
    progress = Progress.of("demo", exercise)
    assert (progress.current, progress.done) == ("first", {})

    assert progress.mark(exercise.step("first"))
    assert not progress.mark(exercise.step("first"))
    progress.current = "second"
    progress.hints["second"] = 1
    progress.prepared.append("second")
    progress.save()

    again = Progress.of("demo", exercise)
    assert again == progress
    assert (again.current, list(again.done), again.hints) == ("second", ["first"], {"second": 1})
    assert last_begun("demo") == exercise.folder
    forget("demo", exercise)
    assert Progress.of("demo", exercise).done == {}


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"format": 9, "done": ["first"]}', '{"format": 9}'])
@pytest.mark.usefixtures("state")
def test_progress_that_cannot_be_read_counts_as_none_and_is_kept(demo: Demo, state: Path, content: str) -> None:
    exercise = demo()
    Progress.of("demo", exercise).save()
    file = state / "labs" / "demo" / "exercises" / "demo.json"
    file.write_text(content)

    progress = Progress.of("demo", exercise)
    assert progress.done == {}
    progress.save()

    assert file.with_name("demo.json.unread").read_text() == content
    assert Progress.of("demo", exercise).current == "first"


@pytest.mark.usefixtures("state")
def test_who_has_begun_with_a_newer_labctl_is_told_what_becomes_of_that(demo: Demo, lab: Lab, state: Path) -> None:
    exercise, heard = demo(), list[Event]()
    Progress.of("demo", exercise).save()
    Session.resume(lab, exercise, heard.append)
    assert heard == []
    file = state / "labs" / "demo" / "exercises" / "demo.json"
    file.write_text('{"format": 3, "done": {"first": [1.0, "alone"]}}')

    session = Session.resume(lab, exercise, heard.append)

    assert session.progress.current == "first"
    told = [one.text for one in heard if isinstance(one, Warned)]
    assert len(told) == 1 and "noted by a newer labctl" in told[0] and f"{file}.unread" in told[0]
    session.progress.save()
    assert "alone" in file.with_name("demo.json.unread").read_text()


@pytest.mark.parametrize("done", ['{"first": "then", "second": true}', "7", "null"])
@pytest.mark.usefixtures("state")
def test_what_is_no_time_in_progress_is_left_out(demo: Demo, state: Path, done: str) -> None:
    exercise = demo()
    Progress.of("demo", exercise).save()
    (state / "labs" / "demo" / "exercises" / "demo.json").write_text('{"format": 2, "done": ' + done + "}")

    assert Progress.of("demo", exercise).done == {}


@pytest.mark.usefixtures("state")
def test_progress_of_an_older_labctl_is_read(demo: Demo, state: Path) -> None:
    exercise = demo()
    Progress.of("demo", exercise).save()
    old = '{"format": 1, "lab": "demo", "exercise": "demo", "current": "second", "done": ["first"], "hints": {}}'
    (state / "labs" / "demo" / "exercises" / "demo.json").write_text(old)

    progress = Progress.of("demo", exercise)

    assert (list(progress.done), progress.current) == (["first"], "second")


@pytest.mark.usefixtures("state")
def test_what_two_commands_note_at_once_is_all_kept(demo: Demo) -> None:
    exercise = demo()
    Progress.of("demo", exercise).save()
    guide, beside = Progress.of("demo", exercise), Progress.of("demo", exercise)

    beside.mark(exercise.step("first"))
    beside.save()
    guide.mark(exercise.step("second"))
    guide.save()
    assert set(Progress.of("demo", exercise).done) == {"first", "second"}

    forget("demo", exercise)
    guide.save()
    assert Progress.of("demo", exercise).done == {}


@pytest.mark.usefixtures("state")
def test_steps_that_an_exercise_no_longer_has_are_dropped(demo: Demo) -> None:
    progress = Progress.of("demo", demo())
    progress.done, progress.current = {"first": 1.0, "second": 2.0}, "second"
    progress.save()

    shorter = demo(text=TEXT.partition("## Second")[0], checks=CHECKS)

    assert Progress.of("demo", shorter).done == {"first": 1.0}
    assert Progress.of("demo", shorter).current == "first"


@pytest.mark.usefixtures("state")
def test_what_a_user_has_done_outlives_the_lab(demo: Demo, state: Path) -> None:
    note_ever("demo", "first")
    note_ever("demo", "first")
    note_ever("other", "look")

    assert list(done_ever("demo")) == ["first"]
    assert last_ever() == "other"
    lines = (state / "progress.txt").read_text().splitlines()
    assert [line.split()[1:] for line in lines] == [["demo", "first"], ["other", "look"]]
    (state / "progress.txt").write_bytes(b"\xff\xfe no record\n" + "\n".join(lines).encode())
    assert list(done_ever("demo")) == ["first"]


# -- the session


def test_a_check_is_remembered(demo: Demo, begin: Begin, place: Path) -> None:
    session = begin(demo())
    assert session.check(session.current).outcome == "not-yet"
    (place / "one").touch()

    assert session.check(session.current).is_done

    assert list(begin(session.exercise).progress.done) == ["first"]
    assert list(done_ever("demo")) == ["first"]


def test_a_step_that_was_seen_done_stays_done(demo: Demo, begin: Begin, place: Path) -> None:
    session = begin(demo())
    (place / "one").touch()
    session.check(session.current)
    (place / "one").unlink()

    assert session.check(session.current).outcome == "not-yet"

    assert list(session.progress.done) == ["first"]


def test_hints_come_one_after_the_other(demo: Demo, begin: Begin) -> None:
    session = begin(demo())
    step = session.current

    shown = [session.next_hint(step) for _ in range(3)]

    assert [(hint.number, hint.total, hint.text) for hint in shown if hint] == [
        (1, 2, "Use touch."),
        (2, 2, "touch one"),
        (2, 2, "touch one"),
    ]
    assert session.next_hint(session.exercise.step("second")) is None


def test_a_reset_runs_the_exercises_own_blocks_and_forgets(demo: Demo, begin: Begin, place: Path) -> None:
    session = begin(demo())
    (place / "one").touch()
    session.check(session.current)

    session.reset()

    assert list(place.iterdir()) == []
    assert begin(session.exercise).progress.done == {}
    assert list(done_ever("demo")) == ["first"]


# -- the stage


def test_names_and_addresses_are_filled_in(demo: Demo, lab: Lab) -> None:
    stage = Stage(lab, demo(), lambda _event: None, {"Web": "http://127.0.0.1:8080"})

    assert stage.fill("{{node.w1.ip}} {{ node.m1.name }} {{url.Web}}") == "10.0.0.12 manager1 http://127.0.0.1:8080"
    assert stage.fill("{{.Node.Hostname}} {{json .}} {{url.Other}}") == "{{.Node.Hostname}} {{json .}} {{url.Other}}"


def test_a_labctl_that_is_on_nobodys_path_is_this_one(
    demo: Demo, lab: Lab, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is when it was installed into a folder, and runs as `python -m labctl`."""
    alone = tmp_path / "bin" / "python3"
    alone.parent.mkdir()
    alone.symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(alone))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    stage = Stage(lab, demo(), lambda _event: None)

    stage.run(fence('labctl version > "$PLACE/said"'))

    assert (place / "said").read_text().startswith("labctl version")


def test_blocks_for_this_machine_know_the_lab_and_this_labctl(demo: Demo, lab: Lab, place: Path) -> None:
    heard: list[Event] = []
    stage = Stage(lab, demo(), heard.append)

    stage.run(fence('echo "$LABCTL_LAB $(command -v labctl)" > "$PLACE/said"\ncd /'))

    lab_name, labctl = (place / "said").read_text().split()
    assert lab_name == "demo"
    assert Path(labctl).name == "labctl"
    assert heard == [Noted('here $ echo "$LABCTL_LAB $(command -v labctl)" > "$PLACE/said"'), Noted("here $ cd /")]


def test_a_block_that_fails_is_told_unless_it_may(demo: Demo, lab: Lab) -> None:
    stage = Stage(lab, demo(), lambda _event: None)

    with pytest.raises(CommandFailed, match="here: `echo no >&2 …` exited 3: no"):
        stage.run(fence("echo no >&2\nexit 3"))
    stage.run(fence("exit 3", fail_ok=True))
    stage.run(fence("exit 3"), may_fail=True)


OVERTAKEN = "Error response from daemon: rpc error: code = Unknown desc = update out of sequence"


def test_a_block_that_the_managers_overtook_is_typed_once_more(
    demo: Demo, lab: Lab, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion writes the node a few times by itself; `docker node update` in the middle of it does nothing."""
    monkeypatch.setattr("labctl.exercise.stage.TRY_PAUSE", 0)
    stage = Stage(lab, demo(), lambda _event: None)

    stage.run(
        fence(f'echo x >> "$PLACE/tries"\n[ $(wc -l < "$PLACE/tries") -gt 2 ] || {{ echo "{OVERTAKEN}" >&2; exit 1; }}')
    )

    assert (place / "tries").read_text() == "x\nx\nx\n"
    with pytest.raises(CommandFailed, match="update out of sequence"):
        stage.run(fence(f'echo x >> "$PLACE/more"\necho "{OVERTAKEN}" >&2; exit 1'))
    assert len((place / "more").read_text().split()) == TRIES


def test_a_block_that_fails_otherwise_when_it_is_typed_once_more_is_told_as_it_first_failed(
    demo: Demo, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.exercise.stage.TRY_PAUSE", 0)
    stage = Stage(lab, demo(), lambda _event: None)

    with pytest.raises(CommandFailed, match="update out of sequence"):
        stage.run(fence(f'mkdir "$PLACE/made" || exit 4\necho "{OVERTAKEN}" >&2\nexit 1'))


def test_a_block_for_a_node_that_is_down_is_told_unless_it_may_fail(demo: Demo, lab: Lab) -> None:
    stage = Stage(lab, demo(), lambda _event: None)

    for where in ("w1", "@worker"):
        with pytest.raises(NodeDown, match="node worker1 is exited"):
            stage.run(fence("true", node=where))
        stage.run(fence("true", node=where, fail_ok=True))


def test_a_node_that_the_block_before_started_is_seen(demo: Demo, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = fake_node("worker1")
    worker.shell.answers = {"su - docker -c 'set -e\ntrue'": ""}
    started = SimpleNamespace(name="demo", nodes=(worker,))
    monkeypatch.setattr(Stage, "refresh", lambda stage: setattr(stage, "lab", started))

    Stage(lab, demo(), lambda _event: None).run(fence("true", node="w1"))

    assert len(worker.shell.commands) == 1


@pytest.mark.usefixtures("state")
def test_a_lab_that_is_too_small_is_told_with_what_to_do(demo: Demo) -> None:
    exercise = demo(front=FRONT.replace("workers: 1", "workers: 3"))
    small = lab_with("manager1", "worker1")

    assert lacking(small, exercise) == "demo needs 1 manager and 3 workers, and lab demo has 1 and 1"
    with pytest.raises(UsageError) as caught:
        prepare(small, exercise, lambda _event: None, lambda _note: None)
    assert caught.value.hint == "`labctl up --nodes 4 --name demo` makes a lab that has them."
    assert lacking(lab_with("manager1", "worker1", "worker2", "worker3"), exercise) == ""


def test_the_command_that_makes_a_fitting_lab(demo: Demo) -> None:
    assert suggested_up(demo(), None) == "labctl up --nodes 2"
    many = demo(front=FRONT.replace("managers: 1", "managers: 3"))
    assert suggested_up(many, "x") == "labctl up --managers 3 --workers 1 --name x"
    bare = demo(front=FRONT.replace("workers: 1", "workers: 1, swarm: empty"))
    assert suggested_up(bare, None) == "labctl up --nodes 2 --no-swarm"


BARE = replace(LabSpec(name="demo", managers=1, workers=1), swarm="empty")


def bare_lab(*members: str) -> Lab:
    """A lab made without a swarm; these of its nodes are in one now."""
    none = EngineRefused("This node is not a swarm manager.", status=503)
    alone: dict[str, Answer] = {"GET /swarm": none, "GET /info": raw_info("inactive")}
    leads: dict[str, Answer] = {"GET /swarm": {}, "GET /info": raw_info("active", manager=True)}
    api = {**(leads if members else alone), "GET /nodes": [raw_node(name) for name in members]}
    nodes = fake_node(api=api), fake_node("worker1", api=alone)
    return Lab(Context(FakeEngine()), FakeBackend(), LabRecord("demo", lambda: BARE, None, None, nodes))


def test_a_swarm_that_a_learner_made_by_hand_is_one(demo: Demo) -> None:
    assert lacking(bare_lab("manager1", "worker1"), demo()) == ""

    for members in ((), ("manager1",)):
        lab = bare_lab(*members)
        assert lacking(lab, demo()) == "demo wants a lab whose swarm is formed, and demo's is empty"
        assert way_to_fit(lab, demo(), None) == (
            "`labctl exercise first-swarm -l demo` forms it. "
            "Or `labctl down -l demo` first; then `labctl up --nodes 2 --name demo`"
        )


def test_a_swarm_that_is_there_is_not_to_be_made_by_hand(demo: Demo) -> None:
    bare = demo(front=FRONT.replace("workers: 1", "workers: 1, swarm: empty"))
    lab = lab_with("manager1", "worker1")

    assert lacking(lab, bare) == "demo wants a lab whose swarm is empty, and demo's is formed"
    assert way_to_fit(lab, bare, None) == (
        "`labctl down -l demo` first; then `labctl up --nodes 2 --no-swarm --name demo`"
    )


def test_an_engine_that_joined_by_hand_and_knows_nobody_starts_over(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr("labctl.lab.gossip.ENTERS_WITHIN", 0)
    monkeypatch.setattr("labctl.lab.restoring.start_over", lambda node, _backend: begun.append(node.name))
    lab = bare_lab("manager1", "worker1", "worker2")
    lost, spare = (node for node in (fake_node("worker1", address="10.0.0.12"), fake_node("worker2")))
    for node, state in ((lab.nodes[0], "active"), (lost, "active"), (spare, "inactive")):
        assert isinstance(node, FakeNode)
        node.api["GET /info"] = raw_info(state, manager=node is lab.nodes[0])
        knows = f"0) aa1 -> {node.address}\n" if node is lab.nodes[0] else ""
        node.shell.answers[f"curl -s -m 2 {WHERE}/clusterpeers"] = f"OK\ntotal entries: 1\n{knows}"
    lab.record = replace(lab.record, nodes=(lab.nodes[0], lost, spare))
    told: list[Event] = []

    prepare(lab, demo(), told.append, lambda _note: None)

    assert begun == ["worker1"], "worker2 is in no swarm: it knows nobody, and need not"
    assert "the engine of worker1 has lost its own place" in str(told)


@pytest.mark.parametrize(("error", "begun"), [("", ["worker1"]), ("the certificate has expired", [])])
def test_an_engine_whose_swarm_is_broken_for_no_reason_starts_over(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, error: str, begun: list[str]
) -> None:
    started: list[str] = []
    monkeypatch.setattr("labctl.lab.gossip.ENTERS_WITHIN", 0)
    monkeypatch.setattr("labctl.lab.restoring.start_over", lambda node, _backend: started.append(node.name))
    lab = bare_lab("manager1", "worker1")
    first, broken = lab.nodes[0], fake_node("worker1")
    assert isinstance(first, FakeNode)
    first.api["GET /info"] = raw_info("active", manager=True)
    first.shell.answers[f"curl -s -m 2 {WHERE}/clusterpeers"] = f"OK\ntotal entries: 1\n0) aa1 -> {first.address}\n"
    broken.api["GET /info"] = raw_info("error", error=error)
    lab.record = replace(lab.record, nodes=(first, broken))
    told: list[Event] = []

    prepare(lab, demo(), told.append, lambda _note: None)

    assert started == begun
    assert ("the engine of worker1 says no more than error" in str(told)) == bool(begun)


def test_an_engine_that_does_not_answer_keeps_nobody_from_beginning(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("labctl.lab.restoring.start_over", lambda node, _backend: started.append(node.name))
    lab = bare_lab("manager1", "worker1")
    first, silent = lab.nodes[0], fake_node("worker1")
    assert isinstance(first, FakeNode)
    first.api["GET /info"] = raw_info("active", manager=True)
    first.shell.answers[f"curl -s -m 2 {WHERE}/clusterpeers"] = f"OK\ntotal entries: 1\n0) aa1 -> {first.address}\n"
    silent.api["GET /info"] = EngineRefused("it does not answer")
    lab.record = replace(lab.record, nodes=(first, silent))

    prepare(lab, demo(), lambda _event: None, lambda _note: None)

    assert started == []


# -- steps and checks hold together


def test_what_fits_together_is_content(demo: Demo) -> None:
    lint(demo())


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        (CHECKS.replace('step("second")', 'step("third")'), ["there is no step third", "step second has no check"]),
        (CHECKS.replace('@pytest.mark.step("second")', "@pytest.mark.guard"), ["step second has no check"]),
        (CHECKS.replace('"""There is one."""', "pass"), ["test_one: it has no docstring"]),
        (CHECKS.replace('@pytest.mark.step("second")', ""), ["test_two belongs to no step"]),
        ("import pytest\n", ["there is not one check in it"]),
        ("x = 1\ndef (", ["test_demo.py:2: this is no Python: invalid syntax"]),
    ],
)
def test_what_does_not_fit_together_is_told(demo: Demo, checks: str, told: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        lint(demo(checks=checks))

    for one in told:
        assert any(one in problem for problem in caught.value.problems)


def test_a_new_exercise_keeps_the_rules(tmp_path: Path) -> None:
    made = write_template(tmp_path / "my-exercise")

    assert [path.name for path in made] == ["exercise.md", "test_my_exercise.py"]
    lint(find_exercise(str(tmp_path / "my-exercise")))
    with pytest.raises(UsageError, match="is there already"):
        write_template(tmp_path / "my-exercise")
    with pytest.raises(UsageError, match="'My Exercise' is no id"):
        write_template(tmp_path / "My Exercise")
