"""A lab that does not serve after a start is mended the mildest way, and only where it is ill."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from labctl.backend import FakeBackend
from labctl.errors import LabctlError, LabError, SeveralErrors, WaitTimeout
from labctl.events import Event, Noted
from labctl.lab import mending
from labctl.lab.form import START_OVER
from labctl.lab.mending import Ladder, ill_of
from labctl.lab.verify import NotServing, paths_of

from ..nodes import FakeNode, fake_node

OVER = START_OVER
NAMES = ("manager1", "worker1", "worker2")
BY_ITSELF = [("worker1", "worker1")]
WHOLE = "3 of 3 nodes answered"


class Tried:
    """In the place of verify: fails on the paths given, each time the next ones, and is content when none are left."""

    def __init__(self, *failures: Iterable[tuple[str, str]]) -> None:
        self.failures = list(failures)

    def __call__(self, *_: object, **__: object) -> str:
        if self.failures:
            raise NotServing("the routing mesh of worker1 does not work", self.failures.pop(0))
        return WHOLE


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeNode]:
    made = {name: fake_node(name, api={"GET /_ping": {"Server": "Docker/26.1.5 (linux)"}}) for name in NAMES}
    for node in made.values():
        node.shell.answers |= {OVER: "", mending.LOOK_ANEW: ""}
    monkeypatch.setattr(mending, "restore_circle", lambda *_: [])
    monkeypatch.setattr(mending, "meet", lambda *_: [])
    monkeypatch.setattr(mending, "exchange", lambda _nodes: None)
    monkeypatch.setattr(mending, "announce_again", lambda _nodes: [])
    monkeypatch.setattr(mending, "await_prepared", lambda *_: None)
    monkeypatch.setattr("labctl.swarm.cluster.wait_ready", lambda *_, **__: [])
    return made


@pytest.fixture
def climb(
    nodes: dict[str, FakeNode], monkeypatch: pytest.MonkeyPatch, heard: list[Event]
) -> Callable[[Tried, set[str]], str]:
    def run(tried: Tried, fresh: set[str]) -> str:
        monkeypatch.setattr(mending, "verify", tried)
        every = list(nodes.values())
        return Ladder(FakeBackend(), lambda: every[0], every, fresh, lambda _: None, heard.append).climb()

    return run


def test_what_an_engine_had_lost_and_announces_again_is_told(
    climb: Callable[[Tried, set[str]], str], monkeypatch: pytest.MonkeyPatch, heard: list[Event]
) -> None:
    monkeypatch.setattr(mending, "announce_again", lambda _nodes: ["manager1"])

    assert climb(Tried(), set()) == WHOLE
    assert heard == [Noted("manager1: endpoints on overlay networks are announced again")]


def done(nodes: dict[str, FakeNode], command: str) -> list[str]:
    return [name for name, node in nodes.items() if command in node.shell.commands]


def test_a_lab_that_serves_is_left_alone(climb: Callable[..., str], nodes: dict[str, FakeNode]) -> None:
    assert climb(Tried(), {"worker1"}) == WHOLE
    assert all(node.shell.commands == [] for node in nodes.values())


@pytest.mark.parametrize(("failures", "settled"), [([], 0), ([BY_ITSELF], 1)])
def test_a_new_lab_settles_only_when_it_is_seen_to_fail_and_is_mended_then(
    failures: list[list[tuple[str, str]]], settled: int, nodes: dict[str, FakeNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[object] = []
    monkeypatch.setattr(mending, "verify", Tried(*failures))
    monkeypatch.setattr(mending, "meet", lambda *_: met.append(_))
    every = list(nodes.values())

    said = Ladder(FakeBackend(), lambda: every[0], every, NAMES, lambda _: None, lambda _: None).climb(is_new=True)

    assert said.startswith(WHOLE)
    assert len(met) == settled
    assert done(nodes, mending.LOOK_ANEW) == ["worker1"] * settled


def test_the_mildest_step_comes_first_on_the_ill_node_alone_and_is_told(
    climb: Callable[..., str], nodes: dict[str, FakeNode], heard: list[Event]
) -> None:
    assert climb(Tried(BY_ITSELF), {"worker1"}) == f"{WHOLE} (after another look at the others from worker1)"

    assert done(nodes, mending.LOOK_ANEW) == ["worker1"]
    assert done(nodes, OVER) == []
    assert heard == [Noted("the routing mesh of worker1 does not work; worker1: looking at the others again")]


def test_only_the_engine_of_an_ill_node_that_was_started_now_starts_over(
    climb: Callable[..., str], nodes: dict[str, FakeNode]
) -> None:
    said = climb(Tried(BY_ITSELF, BY_ITSELF), {"worker1", "worker2"})

    assert said == f"{WHOLE} (after a new start of the engine of worker1)"
    assert done(nodes, OVER) == ["worker1"]


def test_a_node_that_was_not_started_now_keeps_its_engine_and_is_named_with_the_next_command(
    climb: Callable[..., str], nodes: dict[str, FakeNode]
) -> None:
    with pytest.raises(LabError, match="worker1 does not serve with the other nodes: the routing mesh") as caught:
        climb(Tried(*[BY_ITSELF] * 9), {"worker2"})

    assert done(nodes, OVER) == []
    assert (caught.value.hint or "").startswith("`labctl restart worker1`")


def test_what_did_not_help_is_not_done_again(climb: Callable[..., str], nodes: dict[str, FakeNode]) -> None:
    with pytest.raises(LabError, match="worker1 does not serve"):
        climb(Tried(*[BY_ITSELF] * 9), {"worker1"})

    assert nodes["worker1"].shell.commands.count(OVER) == 1


def test_nodes_that_were_restarted_behind_labctls_back_may_start_over_where_they_cannot_even_reach_themselves(
    climb: Callable[..., str], nodes: dict[str, FakeNode]
) -> None:
    paths = [("worker1", "worker1"), ("worker2", "manager1")]

    climb(Tried(paths, paths), set())

    assert done(nodes, OVER) == ["worker1"]


@pytest.mark.parametrize("fresh", [set(), {"manager1", "worker1"}])
def test_between_two_nodes_neither_is_blamed(climb: Callable[..., str], fresh: set[str]) -> None:
    with pytest.raises(LabError, match="manager1 and worker1 do not serve each other: the routing mesh") as caught:
        climb(Tried(*[[("manager1", "worker1")]] * 9), fresh)

    assert "`labctl restart worker1`" in (caught.value.hint or ""), "rather than the manager"


def test_where_every_node_fails_by_itself_none_is_to_blame(climb: Callable[..., str]) -> None:
    with pytest.raises(NotServing):
        climb(Tried(*[[(name, name) for name in NAMES]] * 9), set())


def test_what_is_no_fault_of_a_node_is_not_mended(climb: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Tried):
        def __call__(self, *_: object, **__: object) -> str:
            raise WaitTimeout("the probe's port", 10, "no port yet")

    with pytest.raises(WaitTimeout):
        climb(Refused(), {"worker1"})


@pytest.mark.parametrize(
    ("paths", "fresh", "ill"),
    [
        ([("a", "c"), ("b", "c"), ("c", "a")], set(), ["c"]),
        ([("a", "b")], {"b"}, ["b"]),
        ([("a", "b")], set(), ["a"]),
        ([("a", "b")], {"a", "b"}, ["a"]),
        ([("c", "c"), ("a", "c"), ("b", "c")], {"a", "b", "c"}, ["c"]),
        ([("a", "d"), ("b", "d"), ("c", "e"), ("a", "e")], {"d", "e"}, ["d", "e"]),
        ([], {"a"}, []),
    ],
)
def test_the_fewest_nodes_that_explain_what_fails_are_ill(
    paths: list[tuple[str, str]], fresh: set[str], ill: list[str]
) -> None:
    assert ill_of(paths, fresh) == ill


def test_the_paths_of_several_problems_are_known_together() -> None:
    one, other = NotServing("x", [("a", "b")]), NotServing("y", [("b", "c")])
    errors: list[LabctlError] = [one, other, LabError("z")]

    assert paths_of(SeveralErrors(errors)) == {("a", "b"), ("b", "c")}
    assert paths_of(LabError("z")) == frozenset()
