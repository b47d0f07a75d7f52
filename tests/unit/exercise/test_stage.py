"""The lab made ready: an exercise's files are on the nodes, and the learner's own."""

from __future__ import annotations

from labctl.assets import digest_of
from labctl.backend import FakeBackend, LabRecord
from labctl.engine.fake import FakeEngine
from labctl.exercise.stage import prepare
from labctl.lab import Context, Lab
from labctl.spec import read_mapping
from labctl.transport import Result

from ..nodes import FakeNode, fake_node, raw_info
from .conftest import Demo

PLACE_ON_NODES = "/exercise/demo"
PEERS = "curl -s -m 2 http://127.0.0.1:61999/clusterpeers"


def put_there(demo: Demo, *, before: str = "") -> FakeNode:
    """Prepare the demo, which has a file, on one manager and one worker; returns the worker."""
    exercise = demo()
    (exercise.folder / "files").mkdir()
    (exercise.folder / "files" / "stack.yml").write_text("services: {}\n")
    version = digest_of([exercise.folder / "files"])
    nodes = fake_node("manager1"), fake_node("worker1")
    for node in nodes:
        node.api["GET /info"] = raw_info()
        looked = f'[ "$(cat {PLACE_ON_NODES}/.labctl 2>/dev/null)" = {version} ]'
        node.shell.answers = {
            looked: Result(looked, int(before != "there"), "", ""),
            f"mkdir -p {PLACE_ON_NODES}": "",
            f"tar -x -C {PLACE_ON_NODES}": "",
            f"chown -R docker: {PLACE_ON_NODES}": "",
            PEERS: Result(PEERS, 7, "", ""),  # it shows nothing of its circle
        }
        node.api["GET /info"] = raw_info()
    spec = read_mapping({"name": "demo", "managers": 1, "workers": 1})
    lab = Lab(Context(FakeEngine()), FakeBackend(), LabRecord("demo", lambda: spec, None, None, nodes))
    prepare(lab, exercise, lambda _event: None, lambda _note: None)
    return nodes[1]


def test_a_learner_may_change_the_exercises_files(demo: Demo) -> None:
    worker = put_there(demo)

    assert b"services: {}" in b"".join(worker.shell.streamed)
    assert worker.shell.commands[-1] == f"chown -R docker: {PLACE_ON_NODES}"


def test_what_a_learner_has_changed_is_not_put_back(demo: Demo) -> None:
    assert put_there(demo, before="there").shell.streamed == []
