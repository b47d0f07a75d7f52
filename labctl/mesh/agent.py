"""The agent's loop: look at what the swarm has, and make this node's namespaces serve it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from .engineapi import Engine, EngineError, Network, reload_engine
from .gossip import Bell
from .model import NODE_PORTS, Rules, Uplink, rules_for
from .netns import INGRESS, CommandError, Namespace, scan
from .networkdb import DecodeError, Endpoint, NetworkDBError, Table, Tables, decode_endpoint
from .pace import Pace
from .plumber import Plumber
from .saying import say
from .status import STATUS_FILE, MeshStatus, Mode

__all__ = ["Agent"]

HEARTBEAT = 10.0  # seconds between two writings of an unchanged status
# The engine makes and removes namespaces piece by piece: what fails meanwhile is no error yet.
SETTLING = 5.0
WHILE_SETTLING = 0.2  # seconds until what failed is tried again, then and later
AFTER_ERROR = 1.0
RELOAD_EVERY = 10.0  # seconds between two requests to the engine to open its diagnostic port


class Topology(NamedTuple):
    """Which network each namespace balances, and how the node reaches ingress."""

    networks: dict[Namespace, Network]
    complete: bool = True  # the engine knows a network for every namespace

    def ingress(self) -> tuple[Namespace, Network] | None:
        """Return the ingress namespace and its network, if this node has them."""
        return next((found for found in self.networks.items() if found[1].is_ingress), None)


class Demand(NamedTuple):
    """What the networkdb says of one network, and what follows from it."""

    endpoints: tuple[Endpoint, ...]
    rules: Rules
    addresses: frozenset[str]


class Agent:
    """Serves one node until its process ends."""

    def __init__(
        self,
        engine: Engine,
        tables: Tables,
        plumber: Plumber,
        bell: Bell,
        *,
        scan: Callable[[], tuple[Namespace, ...]] = scan,
        reload: Callable[[], bool] = reload_engine,
        status_file: str = STATUS_FILE,
        before: MeshStatus | None = None,
    ) -> None:
        self._engine = engine
        self._networkdb = tables
        self._plumber = plumber
        self._bell = bell
        self._scan = scan
        self._reload = reload
        self._pace = Pace(deaf=bool(bell.why_deaf))
        self._seen: tuple[Namespace, ...] = ()
        self._topology: Topology | None = None
        # The ingress namespace, and its address on the bridge and the bridge's subnet.
        self._uplink: tuple[Namespace, str, str] | None = None
        self._tables: dict[str, Table] = {}
        self._demands: dict[str, Demand] = {}
        self._reloaded = float("-inf")
        self._failing_since: float | None = None
        self._status_file = status_file
        self._status = MeshStatus(
            Mode.IDLE,
            0.0,
            started=time.time(),
            last_error=before.last_error if before else None,
            crashes=before.crashes if before else 0,
        )

    def run(self) -> NoReturn:
        """Follow the swarm for ever."""
        if self._bell.why_deaf:
            say(f"gossip cannot be heard ({self._bell.why_deaf}): looking more often instead")
        while True:
            self.step(time.monotonic())
            now = time.monotonic()
            nap = self._pace.nap(now, other=self._plumber.janitor.next_due())
            if self._pace.is_busy(now):
                # It looks soon in any case: a storm of gossip shall not wake it at every packet.
                time.sleep(nap)
                nap = 0.0
            if self._bell.wait(nap):
                self._pace.stir(time.monotonic())

    def step(self, now: float) -> None:
        """Do what is due at `now` (monotonic seconds)."""
        problems: list[str] = []
        looked = False
        try:
            self._glance(now)
            self._plumber.sweep(now)
            looked = self._pace.next_look(now) <= now
            if looked:
                problems += self._look(now)
        except (EngineError, NetworkDBError, CommandError) as error:
            problems.append(str(error))
        if problems:
            self._failing_since = self._failing_since or now
            settling = now < self._failing_since + SETTLING
            self._pace.stir(now)
            self._pace.put_off(now + (WHILE_SETTLING if settling else AFTER_ERROR))
            self._report("; ".join(problems), settling=settling)
        elif looked:
            self._failing_since = None
            self._report(None)

    def _glance(self, now: float) -> None:
        """See whether namespaces came or went since the last glance."""
        seen = self._scan()
        if seen != self._seen:
            self._seen, self._topology, self._uplink = seen, None, None
            self._plumber.keep_only(seen)
            self._pace.stir(now)

    def _look(self, now: float) -> list[str]:
        """Read the networkdb and apply what it says. Returns what could not be applied."""
        topology = self._topology
        if topology is None or not topology.complete:
            topology = self._topology = self._discover()
        found = self._read_tables(topology, now)
        serving = any(one.service_id for demand in self._demands.values() for one in demand.endpoints)
        self._pace.looked(now, found=found, serving=serving)
        problems = []
        for namespace, network in topology.networks.items():
            try:
                self._balance(namespace, network, now)
            except CommandError as error:
                # The engine may have removed it meanwhile; the next glance sees that.
                if namespace in self._scan():
                    problems.append(str(error))
        try:
            problems += self._divert(topology)
        except CommandError as error:
            problems.append(str(error))
        return problems

    def _discover(self) -> Topology:
        """Ask the engine which network each namespace belongs to. Raises EngineError."""
        if not self._seen:
            return Topology({})
        overlays = self._engine.overlays()
        networks: dict[Namespace, Network] = {}
        for namespace in self._seen:
            for network in overlays:
                is_ingress = namespace.name == INGRESS
                if network.is_ingress == is_ingress and network.identity.startswith(namespace.network_prefix()):
                    networks[namespace] = network
        # A namespace may outlive its network for a moment, or for good: it shall not hold up the others.
        return Topology(networks, complete=len(networks) == len(self._seen))

    def _read_tables(self, topology: Topology, now: float) -> bool:
        """Read the endpoints of all networks, and tell whether they changed.

        Raises NetworkDBError, or EngineError when there is no engine to ask at all.
        """
        wanted = {network.identity for network in topology.networks.values()}
        try:
            tables = {identity: self._networkdb.endpoints(identity) for identity in wanted}
        except NetworkDBError as error:
            self._ask_to_open(now)
            raise NetworkDBError(
                f"the engine does not show its networkdb ({error}): daemon.json must set network-diagnostic-port"
            ) from error
        if tables == self._tables:
            return False
        self._demands = {
            identity: self._demands[identity] if table == self._tables.get(identity) else demand(table)
            for identity, table in tables.items()
        }
        self._tables = tables
        return True

    def _ask_to_open(self, now: float) -> None:
        """Let the engine open its diagnostic port, which it does when it reads its configuration again.

        Raises EngineError when the engine does not answer: the signal would end one that is starting.
        """
        self._engine.overlays()
        if now - self._reloaded >= RELOAD_EVERY and self._reload():
            self._reloaded = now
            say("asked the engine to read its configuration, for its network diagnostic port")

    def _balance(self, namespace: Namespace, network: Network, now: float) -> None:
        _, rules, addresses = self._demands[network.identity]
        if self._plumber.balance(namespace, rules, addresses, now):
            counts = f"{len(rules.vips)} VIPs, {len(rules.ports)} ports, {len(rules.serving())} tasks"
            say(f"{network.name}: {counts} serve")

    def _divert(self, topology: Topology) -> list[str]:
        """Let the node send its published ports to ingress. Returns what is missing for that."""
        found = topology.ingress()
        published = frozenset(self._demands[found[1].identity].rules.ports) if found else frozenset()
        ports = published - NODE_PORTS.keys()  # without these labctl, or the swarm, would lose the node
        if found is None or not ports:
            if self._plumber.undivert():
                say("node: nothing to publish")
            return []
        uplink = self._uplink
        if uplink is None or uplink[0] != found[0]:
            # Asked only now: most nodes of a lab that is being made have nothing to divert.
            subnet = self._engine.gateway_subnet()
            uplink = found[0], self._plumber.ingress_address(found[0], subnet), subnet
            if not uplink[1]:
                return ["ingress is not connected to the node yet"]
            self._uplink = uplink
        if self._plumber.divert(Uplink(uplink[1], uplink[2], ports)):
            say(f"node: {len(ports)} published ports")
        return []

    def _report(self, problem: str | None, *, settling: bool = False) -> None:
        """Write the status when it changed, and now and then when it did not."""
        error = None if settling else problem
        old = self._status
        networks = self._topology.networks if self._topology else {}
        demands = [
            self._demands[network.identity] for network in networks.values() if network.identity in self._demands
        ]
        shown = [endpoint for one in demands for endpoint in one.endpoints]
        new = old._replace(
            mode=Mode.NAT if self._seen else Mode.IDLE,
            networks=len(networks),
            services=len({endpoint.service_id for endpoint in shown if endpoint.vip or endpoint.ports}),
            tasks=len({endpoint.task for endpoint in shown if endpoint.service_id and not endpoint.disabled}),
            ports=tuple(f"{key[1]}/{key[0]}" for one in demands for key in one.rules.ports if key not in NODE_PORTS),
            pending=problem if settling else None,
            error=error,
            last_error=error or old.last_error,
        )
        wall = time.time()
        if new == old and wall - old.updated < HEARTBEAT:
            return
        if error != old.error:
            say(error or "all is well again")
        elif new.pending and new.pending != old.pending:
            say(f"not yet: {new.pending}")
        self._status = new._replace(updated=wall)
        try:
            self._status.save(self._status_file)
        except OSError as failure:
            # A full disk is no reason to stop serving.
            say(f"the status cannot be written: {failure}")


def demand(table: Table) -> Demand:
    """Work out what a table asks for, leaving out (and logging) what is no endpoint."""
    endpoints = []
    for key, record in table.items():
        try:
            endpoints.append(decode_endpoint(record))
        except DecodeError as error:
            say(f"endpoint {key[:12]} left out: {error}")
    addresses = frozenset(endpoint.address for endpoint in endpoints)
    return Demand(tuple(endpoints), rules_for(endpoints), addresses)
