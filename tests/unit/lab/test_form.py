"""From plans to a swarm: the first manager makes it, the others join as they come, and one failure ends it all."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

import pytest

from labctl.backend import FakeBackend, NodePlan
from labctl.engine.fake import Answer, Asked, FakeEngine
from labctl.errors import Abandoned, EngineRefused, EngineUnreachable, LabError, SwarmLocked
from labctl.events import Event, NodeJoined, NodeReady, NodeStarted
from labctl.lab.form import START_OVER, Forming, wait_engine
from labctl.lab.gossip import WHERE
from labctl.lab.strays import Standing
from labctl.node import Node
from labctl.spec import LabSpec, read_mapping
from labctl.spec.addresses import free_addresses
from labctl.transport import FakeTransport, Result
from labctl.waiting import FakeClock

from ..nodes import fake_node, raw_info

TOKENS = {"JoinTokens": {"Worker": "TOKEN-w", "Manager": "TOKEN-m"}}
VERSION = {"Server": "Docker/26.1.5 (linux)"}


RELOAD = "pkill -HUP -x dockerd"
CIRCLE = f"curl -s -m 2 {WHERE}/clusterpeers"


class Host:
    """A FakeBackend whose nodes boot, make a swarm and join it as real ones do."""

    def __init__(self, spec: LabSpec, *, fail_on: Sequence[str] = ()) -> None:
        self.backend = FakeBackend(fail_on=fail_on)
        self.spec = spec
        self.state: dict[str, str] = {}
        self.asked: dict[str, list[Asked]] = {}  # how each node came into the swarm
        addresses = free_addresses("10.0.0.0/24", (), len(spec.all_nodes()))
        self.plans = [NodePlan(node, address, {}) for node, address in zip(spec.all_nodes(), addresses, strict=True)]
        for plan in self.plans:
            self._script(plan)

    def _script(self, plan: NodePlan) -> None:
        name = plan.spec.name

        def enter(asked: Asked) -> Answer:
            self.state[name] = "active"
            self.asked.setdefault(name, []).append(asked)
            return None

        self.backend.engines[name] = FakeEngine(
            {
                "GET /_ping": VERSION,
                "GET /info": lambda _: raw_info(self.state.get(name, "inactive")),
                "GET /swarm": TOKENS,
                "POST /swarm/init": enter,
                "POST /swarm/join": enter,
            },
            where=f"the engine of {name}",
        )
        self.backend.transports[name] = FakeTransport({CIRCLE: Result(CIRCLE, 7), RELOAD: ""})

    def stand(self, *names: str, state: str = "running") -> list[Node]:
        """Nodes that an earlier `up` has made."""
        made = [self.backend.create_node(self.spec, plan) for plan in self.plans if plan.spec.name in names]
        if state != "running":
            for node in made:
                self.backend.stop(node)
        found = self.backend.find(self.spec.name)
        assert found is not None
        return [node for node in found.nodes if node.name in names]


@contextlib.contextmanager
def forming(host: Host, heard: list[Event], existing: Sequence[Node] = ()) -> Iterator[Forming]:
    with contextlib.closing(Forming(host.backend, host.spec, heard.append, lambda _: None, existing=existing)) as made:
        yield made


def test_the_first_manager_makes_the_swarm_and_all_others_join_it(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", managers=3, workers=2))

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        booted, joined = form.booted(), form.joined()

    assert {node.name for node in booted} == {node.name for node in joined} == {p.spec.name for p in host.plans}
    assert form.manager is not None and form.manager.name == "manager1"
    assert {name for name in host.state if str(host.asked[name][0]) == "POST /swarm/init"} == {"manager1"}
    assert set(host.state.values()) == {"active"}


def test_each_role_joins_with_its_own_token(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", managers=3, workers=1))

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        form.joined()

    assert host.asked["manager2"][0].body["JoinToken"] == "TOKEN-m"
    assert host.asked["worker1"][0].body["JoinToken"] == "TOKEN-w"


def test_each_node_is_heard_of_when_it_starts_answers_and_joins(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        form.joined()

    of_worker = [event for event in heard if getattr(event, "node", "") == "worker1"]
    assert of_worker == [NodeStarted("worker1"), NodeReady("worker1", "26.1.5"), NodeJoined("worker1", "worker")]


def test_without_joining_there_are_only_engines(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1, swarm="empty"))

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.booted()

    assert host.state == {}
    assert "manager1" not in host.asked


def test_a_node_that_is_bare_stays_out_of_the_swarm(heard: list[Event]) -> None:
    nodes = [{"name": "manager1", "role": "manager"}, {"name": "spare", "swarm": "bare"}]
    host = Host(read_mapping({"name": "demo", "nodes": nodes}))

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        form.joined()

    assert host.state == {"manager1": "active"}


def test_a_node_that_comes_later_joins_the_standing_manager(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))
    standing = host.stand("manager1")
    host.state["manager1"] = "active"

    with forming(host, heard, standing) as form:
        form.boot(host.plans[1:], [])
        form.manager = standing[0]
        form.join_all()
        joined = form.joined()

    assert {node.name for node in joined} == {"manager1", "worker1"}
    assert "manager1" not in host.asked
    assert host.state["worker1"] == "active"


def test_a_new_node_joins_by_a_manager_that_was_down_and_is_started(heard: list[Event]) -> None:
    """A lab that was stopped grows: nobody could change the swarm before, and one manager can once it is up."""
    host = Host(LabSpec(name="demo", managers=3, workers=1))
    stopped = host.stand("manager1", "manager2", "manager3", state="exited")
    host.state |= dict.fromkeys(("manager1", "manager2", "manager3"), "active")
    answers: list[Answer] = [EngineRefused("The swarm does not have a leader.", status=503), TOKENS]
    host.backend.engines["manager1"].script["GET /swarm"] = lambda _: answers.pop(0) if len(answers) > 1 else TOKENS

    with forming(host, heard) as form:
        form.boot(host.plans[3:], stopped)
        form.join_all()
        form.booted()
        joined = form.joined()

    assert len(joined) == 4
    assert host.state["worker1"] == "active"
    assert set(host.asked) == {"worker1"}, "no manager makes or joins a swarm anew"


def test_a_node_that_stood_outside_of_the_swarm_joins_it(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))
    standing = host.stand("manager1", "worker1")
    host.state["manager1"] = "active"

    with forming(host, heard, standing) as form:
        form.manager = standing[0]
        form.join_all()
        form.joined()

    assert host.state["worker1"] == "active"


def test_a_node_that_was_stopped_is_started_and_does_not_join_twice(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))
    standing, stopped = host.stand("manager1"), host.stand("worker1", state="exited")
    host.state |= {"manager1": "active", "worker1": "pending"}

    with forming(host, heard, standing) as form:
        form.boot([], stopped)
        form.manager = standing[0]
        form.join_all()
        form.joined()

    assert "worker1" not in host.asked
    assert NodeReady("worker1", "26.1.5") in heard


def test_a_node_that_cannot_be_made_is_the_error_and_no_other(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", managers=1, workers=3), fail_on=["worker2"])

    with pytest.raises(LabError, match=r"^worker2 was told to fail$"), forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        form.booted()


def test_a_manager_that_cannot_be_made_leaves_nobody_waiting(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", managers=1, workers=3), fail_on=["manager1"])

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        with pytest.raises(LabError, match=r"^manager1 was told to fail$") as caught:
            form.joined()

    assert not isinstance(caught.value, Abandoned)


def test_a_swarm_that_cannot_be_made_is_the_error_that_is_told(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", managers=1, workers=2))
    host.backend.engines["manager1"].script["POST /swarm/init"] = EngineRefused("no raft here", status=500)

    with forming(host, heard) as form:
        form.boot(host.plans, [])
        form.join_all()
        with pytest.raises(EngineRefused, match="no raft here"):
            form.joined()


def test_an_engine_is_waited_for_until_it_answers() -> None:
    silent = EngineUnreachable("connection refused")
    answers: Iterator[Answer] = iter([silent, silent, VERSION])
    node = fake_node("worker1", api={"GET /_ping": lambda _: next(answers)})

    assert wait_engine(node, FakeBackend(), clock=FakeClock()) == "26.1.5"


def test_an_engine_that_refuses_is_not_waited_for() -> None:
    node = fake_node("worker1", api={"GET /_ping": EngineRefused("no", status=500)})

    with pytest.raises(EngineRefused):
        wait_engine(node, FakeBackend(), clock=FakeClock())


class Talking(FakeBackend):
    """A backend whose nodes have left some last words."""

    words = "node: up\nfailed to mount overlay: permission denied\n\nnode: stopping\n"

    def console(self, node: Node, *, tail: int = 50) -> str:
        return self.words


def silent_node(backend: FakeBackend, state: str) -> Node:
    host = Host(LabSpec(name="demo", workers=0))
    node = backend.create_node(host.spec, host.plans[0])
    backend.engines["manager1"].script["GET /_ping"] = EngineUnreachable("connection refused")
    if state != "running":
        backend.stop(node)
    return node


def test_an_engine_that_does_not_come_up_is_told_with_the_nodes_last_words() -> None:
    backend, clock = Talking(), FakeClock()

    with pytest.raises(LabError, match=r"within 60 s: .*connection refused; its last words: failed to") as caught:
        wait_engine(silent_node(backend, "running"), backend, limit=60, clock=clock)

    assert clock.now() == 60
    assert "labctl logs manager1" in (caught.value.hint or "")


def test_a_node_that_died_is_not_waited_for_to_the_limit() -> None:
    backend, clock = Talking(), FakeClock()

    with pytest.raises(LabError, match="manager1 ended while it booted; its last words: failed to mount overlay"):
        wait_engine(silent_node(backend, "exited"), backend, limit=60, clock=clock)

    assert clock.now() < 10


@pytest.mark.parametrize(("ran", "after"), [(True, 10), (False, 60)])
def test_an_engine_that_takes_connections_and_says_nothing_hangs_unless_it_boots(ran: bool, after: int) -> None:
    backend, clock = Talking(), FakeClock()
    node = silent_node(backend, "running")
    backend.engines["manager1"].script["GET /_ping"] = EngineUnreachable("says nothing", silent=True)

    with pytest.raises(LabError) as caught:
        wait_engine(node, backend, kept=True, ran=ran, limit=60, clock=clock)

    assert after <= clock.now() < after + 1
    assert "labctl restart manager1" in (caught.value.hint or "")


def test_an_engine_that_refuses_connections_meanwhile_is_starting() -> None:
    looks: list[Answer] = [EngineUnreachable("", silent=n % 40 > 0) for n in range(100)]
    node = silent_node(backend := FakeBackend(), "running")
    backend.engines["manager1"].script["GET /_ping"] = lambda _: looks.pop() if looks else VERSION

    assert wait_engine(node, backend, ran=True, clock=FakeClock()) == "26.1.5"


def test_a_node_that_was_given_up_is_waited_for_no_longer() -> None:
    """So Ctrl-C ends a command although an engine hangs."""
    backend, clock, given_up = Talking(), FakeClock(), threading.Event()
    given_up.set()

    with pytest.raises(Abandoned, match="manager1 was given up"):
        wait_engine(silent_node(backend, "running"), backend, given_up=given_up, clock=clock)

    assert clock.now() == 0


def test_one_that_stays_whatever_comes_needs_no_advice_to_keep_it() -> None:
    with pytest.raises(LabError) as caught:
        wait_engine(silent_node(backend := FakeBackend(), "running"), backend, kept=True, limit=1, clock=FakeClock())

    assert "--retain" not in (caught.value.hint or "")
    assert "labctl restart manager1" in (caught.value.hint or "")


def test_a_node_that_said_nothing_has_no_last_words() -> None:
    backend = FakeBackend()

    with pytest.raises(LabError, match="its last words: nothing"):
        wait_engine(silent_node(backend, "running"), backend, limit=1, clock=FakeClock())


def test_what_waits_beside_the_nodes_hears_that_they_are_given_up(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1), fail_on=["worker1"])

    with forming(host, heard) as form:
        form.refuse_given_up("the registry")
        form.boot(host.plans, [])
        with pytest.raises(LabError, match="worker1"):
            form.booted()

        with pytest.raises(Abandoned, match="the registry was given up"):
            form.refuse_given_up("the registry")


def test_the_node_that_failed_is_told_not_those_that_were_given_up_for_it(heard: list[Event]) -> None:
    """The one that stood fails in the swarm's step, while those that boot are waited for in the step before."""
    host = Host(LabSpec(name="demo", workers=1))
    stood = host.stand("manager1")
    host.backend.engines["manager1"].script["GET /info"] = EngineUnreachable("its engine closed the connection")
    host.backend.engines["worker1"].script["GET /_ping"] = EngineUnreachable("it boots")

    with forming(host, heard, stood) as form:
        form.boot([plan for plan in host.plans if plan.spec.name == "worker1"], [])
        form.join_all()
        with pytest.raises(EngineUnreachable, match="its engine closed the connection"):
            form.booted()


def test_a_worker_of_a_dead_swarm_leaves_it_and_joins_the_new_one(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))
    stood = host.stand("manager1", "worker1")
    host.state["worker1"] = "active"
    asked: list[str] = []

    def left(_asked: Asked) -> Answer:
        asked.append("leave")
        return None

    host.backend.engines["worker1"].script["POST /swarm/leave"] = left
    host.backend.transports["worker1"].answers[START_OVER] = ""

    with forming(host, heard, stood) as form:
        form.standing = Standing(frozenset({"worker1"}))
        form.boot([], [])
        form.join_all()
        form.joined()

    assert asked == ["leave"]
    assert host.backend.transports["worker1"].commands == [START_OVER], "it remembers the swarm that it has left"
    assert str(host.asked["worker1"][0]) == "POST /swarm/join"
    assert form.founded and {node.name for node in form.entered} == {"manager1", "worker1"}


def test_no_second_swarm_is_made_while_another_may_be_saved(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=1))
    stood = host.stand("manager1", "worker1")
    host.state["worker1"] = "active"

    with forming(host, heard, stood) as form:
        form.standing = Standing(may_init=False)
        form.boot([], [])
        form.join_all()
        with pytest.raises(LabError, match="manager1 is in no swarm, and other nodes are in one"):
            form.joined()

    assert host.asked == {}


def test_a_locked_manager_is_unlocked_or_told_and_never_makes_a_swarm(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=0))
    stood = host.stand("manager1")
    host.state["manager1"] = "locked"

    with forming(host, heard, stood) as form:
        form.boot([], [])
        form.join_all()
        with pytest.raises(SwarmLocked):
            form.joined()

    assert host.asked == {}


def test_an_engine_that_shows_an_old_circle_starts_over_before_it_enters_a_swarm(heard: list[Event]) -> None:
    host = Host(LabSpec(name="demo", workers=0))
    stood = host.stand("manager1")
    shell = host.backend.transports["manager1"]
    shell.answers |= {CIRCLE: "0) aa1 -> 10.0.0.1", START_OVER: ""}

    with forming(host, heard, stood) as form:
        form.boot([], [])
        form.join_all()
        form.joined()

    assert shell.commands == [CIRCLE, START_OVER]
