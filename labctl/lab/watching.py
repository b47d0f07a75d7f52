"""Follow what happens in a lab: one thread a node that runs, and one that sees nodes come and go.

Every node's engine is followed, so each manager tells what happens in the swarm: what another one told already is left
out, and nothing is missed when one of them dies. An engine is asked for its events up to a moment that is near, and
then for the next ones, so that nobody waits for one that is silent, and every thread ends soon after `close`.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labctl.engine import Engine
from labctl.errors import Abandoned, EngineRefused, LabctlError
from labctl.lab.happening import FILTERS, LabEvent, LinkEvent, Objects, identity_of, read_event, time_of
from labctl.node import Node
from labctl.spec import labels
from labctl.swarm.state import moment

if TYPE_CHECKING:
    from labctl.backend import LabRecord

__all__ = ["LEARN_LIMIT", "LabEvents"]

PAUSE = 1.0  # seconds between two looks at which nodes there are, where nobody tells that they come and go
SELDOM = 10.0  # the same while this host's engine does
MACHINES_PAUSE = 5.0  # the same for virtual machines, whose states a program tells
RESTLESS = 5.0  # seconds for which it looks often once something was told: nodes and a lab go piece by piece
WINDOW = 15  # seconds for which an engine is asked for its events at once; each time costs a connection
LATE = 5.0  # seconds that it may be late with the end of these, before it counts as silent
HEED = 0.2  # seconds; Python heeds a Ctrl-C that comes just before a wait begins only when that wait ends
# What this host's engine tells of the containers that are nodes.
COMINGS = ["start", "die", "pause", "unpause", "destroy"]
LEARN_LIMIT = 3.0  # seconds that a manager has to say what there is, before the first event
MOST_WAITING = 10_000  # events that nobody has taken yet; engines are not read on until some are
MOST_KNOWN = 5_000  # identities that are remembered; an engine repeats 256 events at most


class LabEvents:
    """An iterator over what happens in a lab from now on: NodeEvent, ServiceEvent, NetworkEvent, ContainerEvent.

    A LinkEvent tells when a node's engine begins or ceases to be heard. The iteration goes on while nodes come and go
    or all of them are down, and ends when the lab is removed or somebody, from any thread, calls `close`: a block does
    that at its end. Threads may share it; each event goes to one of them.
    """

    def __init__(
        self,
        lab: str,
        look: Callable[[], LabRecord | None],
        *,
        own_clocks: bool = False,
        host: Engine | None = None,
    ) -> None:
        """`look` finds the lab, None when it is gone. `own_clocks`: the nodes are machines with clocks of their own.

        `host` is the engine whose containers the nodes are: it tells when they come and go.
        """
        self._lab = lab
        self._look = look
        self._own_clocks = own_clocks
        self._pause = MACHINES_PAUSE if own_clocks else PAUSE
        self._began = time.time()
        self._events: queue.Queue[LabEvent] = queue.Queue(MOST_WAITING)
        self._telling = threading.Lock()
        self._told = 0
        self._known: OrderedDict[Hashable, None] = OrderedDict()
        self._objects = Objects()
        self.learned = threading.Event()  # what there is in the swarm
        self._followed: dict[str, _Follower] = {}
        self._heard: dict[str, float] = {}  # until when nodes have told all, by our clock
        self._changed = threading.Event()
        self._closed = threading.Event()
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._is_told = False  # by this host's engine, when nodes come and go
        threading.Thread(target=self._supervise, name=f"labctl-events-{lab}", daemon=True).start()
        if host is not None:
            threading.Thread(target=self._hear_host, args=(host,), name=f"labctl-nodes-{lab}", daemon=True).start()

    def __iter__(self) -> LabEvents:
        return self

    def __next__(self) -> LabEvent:
        while not self._closed.is_set():
            try:
                return self._events.get(timeout=HEED)
            except queue.Empty:
                if self._over.is_set() and self._events.empty():
                    self.close()
                    if self._failure is not None:
                        raise self._failure from None
        raise StopIteration

    def close(self) -> None:
        """End the iteration, at once and for good. Twice is fine."""
        self._closed.set()
        self._changed.set()

    def __enter__(self) -> LabEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _supervise(self) -> None:
        try:
            restless = time.monotonic() + RESTLESS
            while not self._closed.is_set() and self._look_around():
                is_told = self._is_told and time.monotonic() > restless
                if self._wait_for_change(SELDOM if is_told else self._pause):
                    restless = time.monotonic() + RESTLESS
        finally:
            self._failure = sys.exc_info()[1]
            self._over.set()

    def _wait_for_change(self, seconds: float) -> bool:
        """Wait until nodes may have come or gone, so many seconds at most; true where that was told."""
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0:
            if self._changed.wait(min(left, self._pause)):
                self._changed.clear()
                return True
            self._drop_silent()
        return False

    def _look_around(self) -> bool:
        """Follow the nodes that run and are not followed yet, and no others. False when the lab is gone."""
        try:
            record = self._look()
        except LabctlError:  # this host's engine does not answer: the nodes that are followed may
            return True
        if record is None:
            return False
        running = {node.name: node for node in record.nodes if node.is_running}
        states = {node.name: node.state for node in record.nodes}
        for name, follower in list(self._followed.items()):
            if name not in running:
                follower.give_up(f"{name} is {states.get(name, 'gone')}")
        self._drop_silent()
        for name, follower in list(self._followed.items()):
            if follower.over.is_set():
                del self._followed[name]
        for name in running.keys() - self._followed.keys():
            self._followed[name] = _Follower(self, running[name])
        return True

    def _drop_silent(self) -> None:
        """Give up the engines that should have said something by now; whoever is given up is asked anew."""
        for name, follower in self._followed.items():
            if follower.is_late():
                follower.give_up(f"the engine of {name} is silent")
            if follower.over.is_set():
                self._changed.set()

    def _hear_host(self, engine: Engine) -> None:
        """Let the nodes be looked at when this host's engine tells that one of them came or went."""
        filters = {"type": ["container"], "event": COMINGS, "label": [f"{labels.LAB}={self._lab}"]}
        while not self._closed.is_set():
            with suppress(LabctlError):
                self._is_told = True
                for _ in engine.events(filters, since=int(time.time()) - 1, until=int(time.time()) + WINDOW):
                    self._changed.set()
                continue
            self._is_told = False
            self._closed.wait(PAUSE)

    def tell(self, node: str, raw: dict[str, Any]) -> None:
        """Pass on what an engine told, unless it was told before."""
        read = read_event(raw, self._lab, node)
        if read is not None:
            self._put(read, raw, node)

    def tell_link(self, node: str, action: str, reason: str = "") -> None:
        """Pass on that a node is heard, or not any more."""
        now = time.time()
        self._put(lambda number: LinkEvent(number, now, self._lab, node, action, reason))

    def _put(self, make: Callable[[int], LabEvent], raw: Mapping[str, Any] | None = None, node: str = "") -> None:
        with self._telling:  # held while there is no room: events come in the order of their numbers
            if raw is not None and not self._is_news(raw, node):
                return
            self._told += 1
            event = make(self._told)
            while not self._closed.is_set():
                with suppress(queue.Full):
                    self._events.put(event, timeout=HEED)
                    return

    def _is_news(self, raw: Mapping[str, Any], node: str) -> bool:
        identity = identity_of(raw, node)
        if identity in self._known:
            return False
        self._known[identity] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return raw["Type"] == "container" or self._objects.is_news(str(raw["Action"]), str(raw["Actor"]["ID"]))

    def learn(self, engine: Engine) -> None:
        """Learn from a manager what there is in the swarm, once; other nodes do not know."""
        if self.learned.is_set():
            return
        try:
            ids = [str(one["ID"]) for kind in ("nodes", "services") for one in engine.swarm_objects(kind)]
            ids += [str(one["Id"]) for one in engine.networks() if one.get("Scope") == "swarm"]
        except EngineRefused:  # it is no manager, or its swarm has no leader
            return
        with self._telling:
            self._objects.learn(ids)
        self.learned.set()

    @property
    def is_closed(self) -> bool:
        """Whether nobody wants to hear more."""
        return self._closed.is_set()

    def start_of(self, node: str, engine: Engine) -> tuple[float, float]:
        """From when on a node's events are told, by its engine's clock, and how far that is ahead of ours."""
        ahead = moment(str(engine.info()["SystemTime"])) - time.time() if self._own_clocks else 0.0
        return self._heard.get(node, self._began) + ahead, ahead

    def heard_until(self, node: str, when: float) -> None:
        """A node has told all that happened before that, by our clock."""
        self._heard[node] = when


class _Follower:
    """Follows one node's engine until that ends, or is given up."""

    def __init__(self, events: LabEvents, node: Node) -> None:
        self._events = events
        self._node = node
        self._due = time.monotonic() + WINDOW + LATE
        self._ending = threading.Lock()
        self._is_up = False
        self.over = threading.Event()
        threading.Thread(target=self._follow, name=f"labctl-events-{node.name}", daemon=True).start()

    def is_late(self) -> bool:
        """Whether the engine should have said by now that a while is over."""
        return time.monotonic() > self._due

    def give_up(self, reason: str) -> None:
        """Follow no more; the thread ends when the engine lets it."""
        with self._ending:
            if self.over.is_set():
                return
            self.over.set()
        if self._is_up:
            self._events.tell_link(self._node.name, "down", reason)

    def _follow(self) -> None:
        try:
            self._follow_engine(self._node.open_engine(self._node.endpoint, f"the engine of {self._node.name}"))
        except Abandoned:
            self.over.set()
        except LabctlError as problem:
            self.give_up(problem.message)
        finally:
            self.over.set()

    def _follow_engine(self, engine: Engine) -> None:
        try:
            begin, ahead = self._events.start_of(self._node.name, engine)
            since = begin
            while True:
                engine.ping()
                if self._node.is_manager:
                    self._events.learn(engine)
                self._tell_up()
                until = int(time.time() + ahead) + WINDOW
                for raw in engine.events(FILTERS, since=int(since), until=until):
                    if time_of(raw) >= begin:
                        self._tell(raw)
                        since = max(since, time_of(raw))
                if time.time() + ahead < until - 1:  # a clock was set, or the engine is going down
                    self.over.wait(PAUSE)
                    ahead = self._events.start_of(self._node.name, engine)[1]
                else:
                    since = max(since, until - 1.0)
                self._events.heard_until(self._node.name, since - ahead)
        finally:
            engine.close()

    def _tell_up(self) -> None:
        self._refuse_over()
        if not self._is_up:
            self._is_up = True
            self._events.tell_link(self._node.name, "up")
        self._due = time.monotonic() + WINDOW + LATE

    def _tell(self, raw: dict[str, Any]) -> None:
        self._refuse_over()
        self._due = math.inf  # it is not the engine that is late where nobody takes events
        self._events.tell(self._node.name, raw)
        self._due = time.monotonic() + WINDOW + LATE

    def _refuse_over(self) -> None:
        if self.over.is_set() or self._events.is_closed:
            raise Abandoned("nobody hears this any more")
