"""From plans to a swarm: every node boots at once, and joins as soon as there is something to join."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from labctl.backend import Backend, NodePlan
from labctl.concurrent import gather
from labctl.errors import Abandoned, EngineUnreachable, LabctlError, LabError, QuorumLost, WaitTimeout
from labctl.events import Emit, NodeReady, quiet
from labctl.lab.doing import Doing
from labctl.lab.gossip import shows_old_circle, wait_missed
from labctl.lab.strays import Standing
from labctl.lab.unlocking import unlock
from labctl.node import Node
from labctl.swarm import cluster
from labctl.swarm.states import trouble_of
from labctl.waiting import Clock, Pending, SystemClock, stretched, wait_until

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["BOOT_LIMIT", "START_OVER", "Forming", "settled", "start_over", "wait_engine", "wait_for_end_here"]

BOOT_LIMIT = 120.0  # seconds from a node's start to its engine's first answer, on a busy host
# Seconds that the engine of a node that ran already may take connections and say nothing: then it hangs.
SILENT_LIMIT = 10.0
FIND_PAUSE = 1.0  # seconds between two looks for a manager that was started
END_LIMIT = 3600.0  # seconds; the machines' own limits, which are shorter, give up first
BOOTING_AT_ONCE = 16  # more only queue in the engine; `python -m bench grow` measures it
START_OVER = (
    "p=$(pidof dockerd) && kill -TERM $p && for i in $(seq 300); do kill -0 $p 2>/dev/null || break; sleep 0.1; done"
)
# With more joins at once than this, managers answer 503 when the swarm is large.
JOINING_AT_ONCE = 5


def wait_engine(
    node: Node,
    backend: Backend,
    *,
    given_up: threading.Event | None = None,
    kept: bool = False,
    ran: bool = False,
    limit: float = BOOT_LIMIT,
    clock: Clock | None = None,
) -> str:
    """Wait until the node's engine answers and return its version. The API is asked, never exec.

    `kept` says that the node stays whatever comes: no hint then speaks of keeping it. `ran`: it does not boot now.

    Raises LabError for one that died, hangs or is not up within `limit` seconds; Abandoned once `given_up` is set.
    """
    hint = _hint_for(node, kept=kept)
    asked = 0
    clock = clock or SystemClock()
    spoke = clock.now()

    def probe() -> str:
        nonlocal asked, spoke
        asked += 1
        if given_up is not None and given_up.is_set():
            raise Abandoned(f"{node.name} was given up")
        try:
            return node.engine.ping()
        except EngineUnreachable as problem:
            spoke = spoke if problem.silent else clock.now()
            dead = asked % 10 == 0 and not backend.look(node).is_running
            raise _no_answer(
                problem, node, backend, hint, dead=dead, silent_for=ran * (clock.now() - spoke)
            ) from problem

    try:
        return wait_until(f"the engine of {node.name}", probe, limit=limit, pause=0.02, longest_pause=0.25, clock=clock)
    except WaitTimeout as timeout:
        seen = f"{timeout.last_seen}; its last words: {_last_words(node, backend)}"
        raise LabError(f"{node.name} did not come up within {timeout.limit:g} s: {seen}", hint=hint) from timeout


def _hint_for(node: Node, *, kept: bool) -> str:
    first = f"`labctl restart {node.name}` starts it over" if kept else "`labctl up --retain` keeps it"
    return f"{first}, and `labctl logs {node.name}` shows all it said."


def _no_answer(
    problem: EngineUnreachable, node: Node, backend: Backend, hint: str, *, dead: bool, silent_for: float
) -> LabError | Pending:
    """What an engine that does not answer is: one to wait for, one that hangs, or one whose machine is gone.

    That is looked at now and then only; a dead one need not be waited for.
    """
    if dead:
        return LabError(f"{node.name} ended while it booted; its last words: {_last_words(node, backend)}", hint=hint)
    if silent_for >= stretched(SILENT_LIMIT):
        return LabError(f"{problem.message}, so it hangs", hint=hint)
    return Pending(problem.message)


def start_over(node: Node, backend: Backend) -> None:
    """Let a node's engine start over, and wait until it answers again: not the one that is about to end."""
    node.run(START_OVER, limit=40)
    wait_engine(node, backend, kept=True)


@contextlib.contextmanager
def settled(backend: Backend) -> Iterator[None]:
    """A block in which machines that the backend expects are made or started; it comes to its end with the block."""
    try:
        yield
    except BaseException:
        backend.settle(failed=True)
        raise
    backend.settle(failed=False)


def wait_for_end_here(address: str, refuse_given_up: Callable[[], None]) -> None:
    """Wait until this host has its address in the machines' network, which comes with the first of them.

    `refuse_given_up` raises when the machines are given up: until then a box may be on its way from far.
    """
    import psutil

    def look() -> None:
        refuse_given_up()
        if not any(one.address == address for found in psutil.net_if_addrs().values() for one in found):
            raise Pending(f"no interface has {address}")

    wait_until("this host's end of the machines' network", look, limit=END_LIMIT)


def _last_words(node: Node, backend: Backend) -> str:
    """The last line that says why: not one of the first program's own (`node: stopping`)."""
    lines = [line.strip() for line in backend.console(node, tail=40).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith("node: ")]
    return (reasons or lines or ["nothing"])[-1]


@dataclass
class Forming:
    """The nodes of one `up` on their way into the swarm.

    `boot` starts everything in the background; `booted` and `joined` wait for their halves of it, so that
    a user sees two steps while the work overlaps: a fast node joins while a slow one still boots.
    """

    backend: Backend
    spec: LabSpec
    emit: Emit
    note: Callable[[str], None]
    manager: Node | None = None
    existing: Sequence[Node] = ()
    fetch: str | None = None  # an image that every node will need: pulled while the swarm forms
    standing: Standing = field(default_factory=Standing)  # which of the existing nodes belong to another swarm
    unlock: Callable[[Node], None] = field(default=lambda node: unlock([node], (), None, quiet))
    # Those that stood before and came into a swarm now; `founded`: into one that was made now.
    entered: list[Node] = field(default_factory=list)
    founded: bool = False
    _doing: Doing = field(init=False)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(BOOTING_AT_ONCE, "labctl-boot"))
    _joins: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(JOINING_AT_ONCE))
    # Two managers that come at once may be refused ("another membership change is going on").
    _manager_joins: threading.Lock = field(default_factory=threading.Lock)
    _formed: threading.Event = field(default_factory=threading.Event)
    _returned: list[Node] = field(default_factory=list)  # managers that were started, and are in the lab's swarm
    _finding: threading.Lock = field(default_factory=threading.Lock)
    _failed: threading.Event = field(default_factory=threading.Event)
    _cause: BaseException | None = None  # what failed first
    _tokens: cluster.Tokens | None = None
    _new: frozenset[str] = frozenset()  # made now: in no swarm yet
    _boots: list[Future[Node]] = field(default_factory=list)
    _members: list[Future[Node]] = field(default_factory=list)
    _fetches: list[Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let all who work at it be told of in one line."""
        self._doing = Doing(self.note)

    def boot(self, plans: Sequence[NodePlan], starts: Sequence[Node]) -> None:
        """Begin: make the planned nodes, start the stopped ones. Managers go first."""
        self._new = frozenset(plan.spec.name for plan in plans)
        for plan in sorted(plans, key=lambda p: p.spec.role != "manager"):
            self._boots.append(self._pool.submit(self._guard, partial(self._make, plan)))
        for node in starts:
            self._boots.append(self._pool.submit(self._guard, partial(self._wake, node)))

    def booted(self) -> list[Node]:
        """Wait until every engine answers; returns the nodes that were made or started."""
        return self._gathered(self._boots)

    def join_all(self) -> None:
        """Let every node into the swarm as soon as it is up; nodes that stood before are looked at too."""
        if self.manager is not None:
            self._tokens = cluster.tokens(self.manager)
            self._formed.set()
        ready: list[Future[Node]] = [_done(node) for node in self.existing]
        pool = ThreadPoolExecutor(max(1, len(self._boots) + len(ready)), "labctl-join")
        for future in [*self._boots, *ready]:
            self._members.append(pool.submit(self._guard, partial(self._member, future)))
        pool.shutdown(wait=False)

    def joined(self) -> list[Node]:
        """Wait until every node is in the swarm and return them all."""
        return self._gathered(self._members)

    def close(self) -> None:
        """Let nothing go on behind the caller's back."""
        self._failed.set()
        self._formed.set()
        futures: list[Future[Any]] = [*self._boots, *self._members, *self._fetches]
        for future in futures:
            future.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for future in self._members:
            if not future.cancelled():
                future.exception()

    def refuse_given_up(self, who: str) -> None:
        """Raise Abandoned when a node failed, or all of this was cut short: `who` waits for nothing."""
        if self._failed.is_set():
            raise Abandoned(f"{who} was given up: a node failed")

    def _gathered(self, futures: Sequence[Future[Node]]) -> list[Node]:
        """Wait for all. Nodes that were given up are not told: the one that failed is, whatever it was at."""
        try:
            return gather(futures)
        except Abandoned:
            if self._cause is not None:
                raise self._cause from None
            raise

    def _guard(self, job: Callable[[], Node]) -> Node:
        try:
            return job()
        except BaseException as problem:
            if self._cause is None and not isinstance(problem, Abandoned):
                self._cause = problem
            self._failed.set()
            self._formed.set()
            raise

    def _make(self, plan: NodePlan) -> Node:
        return self._up(self.backend.create_node(self.spec, plan, self.emit))

    def _wake(self, node: Node) -> Node:
        if self.spec.joins(node.name):
            wait_missed(node, self.existing, self.note)
        return self._up(self.backend.start(node))

    def _up(self, node: Node) -> Node:
        with self._doing.at(node.name, "booting"):
            version = wait_engine(node, self.backend, given_up=self._failed, kept=node.name not in self._new)
        self.emit(NodeReady(node.name, version))
        if self.fetch:
            self._fetches.append(self._pool.submit(self._fetch, node, self.fetch))
        return node

    def _fetch(self, node: Node, image: str) -> None:
        # Only to save time: whoever needs the image pulls it then, and tells why it cannot be had.
        with contextlib.suppress(LabctlError):
            for _ in node.engine.pull(image):
                if self._failed.is_set():
                    return

    def _member(self, boot: Future[Node]) -> Node:
        node = boot.result()
        if not self.spec.joins(node.name):
            return node
        if node.name not in self._new and self._is_member(node):
            if node.is_manager:
                self._returned.append(node)
            return node
        if self.manager is None and node.is_manager and self._claims_init(node):
            self._forget_old_swarm(node)
            cluster.init(node, self.emit)
            self._has_entered(node, founded=True)
            self._tokens = cluster.tokens(node)
            self._formed.set()
            return node
        self._wait_formed(node)
        if node.name in self.standing.strays:
            cluster.leave(node)
            self._start_over(node)
        else:
            self._forget_old_swarm(node)
        manager, tokens = self.manager, self._tokens
        if manager is None or tokens is None:
            raise LabError(f"{node.name} has no swarm to join")
        gate = self._manager_joins if node.is_manager else self._joins
        with gate, self._doing.at(node.name, "joining"):
            self._has_entered(node)
            cluster.join(node, manager, tokens.of(node.role), self.emit)
        return node

    def _forget_old_swarm(self, node: Node) -> None:
        """Let the engine of a node that has left a swarm start over: nothing of the swarm's runs on it any more."""
        if node.name not in self._new and shows_old_circle(node):
            self._start_over(node)

    def _start_over(self, node: Node) -> None:
        with self._doing.at(node.name, "starting its engine over after another swarm"):
            start_over(node, self.backend)

    def _has_entered(self, node: Node, *, founded: bool = False) -> None:
        self.founded = self.founded or founded
        if node.name not in self._new:
            self.entered.append(node)

    def _is_member(self, node: Node) -> bool:
        """Whether the node is in the lab's swarm; a manager whose swarm has no leader takes long to say.

        One that is locked is unlocked first. Raises LabError for one that its engine has given up.
        """
        if node.name in self.standing.strays:
            return False
        with self._doing.at(node.name, "looking for its swarm"):
            seen = cluster.membership(node)
        if seen.state == "locked":
            self.unlock(node)
        elif seen.state == "error":
            raise LabError(trouble_of(node.name, seen) or "")
        return seen.state != "inactive"

    def _claims_init(self, node: Node) -> bool:
        """The first manager of the spec makes the swarm, however fast the others are: lessons count on it."""
        if node.name != next(n.name for n in self.spec.all_nodes() if n.role == "manager" and n.swarm == "joined"):
            return False
        if not self.standing.may_init:
            raise LabError(
                f"{node.name} is in no swarm, and other nodes are in one that has no working manager",
                hint="`labctl status` tells of each node; `labctl start` starts managers that are down. Where all are "
                "lost: `labctl down` and `labctl up`.",
            )
        self.manager = node
        return True

    def _wait_formed(self, node: Node) -> None:
        """Wait until a manager lets nodes in: the one that makes the swarm, or one that was started, with a leader."""
        end, why = time.monotonic() + (limit := stretched(BOOT_LIMIT * 2)), "no manager is up"
        while not self._formed.wait(FIND_PAUSE):  # a swarm that is made now is heard of at once
            why = self._find_manager() or why
            if time.monotonic() >= end:
                raise WaitTimeout(f"a swarm that {node.name} can join", limit, why)
        self.refuse_given_up(node.name)

    def _find_manager(self) -> str:
        """Take a manager that was started, once it can change the swarm. Returns why there is none yet."""
        with self._finding:
            if self._formed.is_set() or not self._returned:
                return ""
            try:
                manager = cluster.working_manager(self._returned, limit=cluster.DECISION_LIMIT)
                self.manager, self._tokens = manager, cluster.tokens(manager)
            except (EngineUnreachable, LabError) as problem:
                if isinstance(problem, QuorumLost) and problem.for_good:
                    raise
                return problem.message
            self._formed.set()
            return ""


def _done(node: Node) -> Future[Node]:
    future: Future[Node] = Future()
    future.set_result(node)
    return future
