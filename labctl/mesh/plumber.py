"""Making the kernel do what the rules say, and only where they changed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from .conntrack import FlowJanitor, forget_now
from .model import Rules, Stale, Uplink, stale_flows
from .netns import INGRESS, CommandError, Namespace, Run, address_within, prepare, run, set_route_localnet, set_vips
from .nft import BRIDGE, FORWARD_CHAIN, balancer_script, forward_script, node_script
from .saying import say

__all__ = ["Plumber"]

# The engine's chain for rules of others: looked at first, and left alone when the engine restarts.
USER_CHAIN = "DOCKER-USER"
NO_UPLINK = Uplink("", "", frozenset())


class Plumber:
    """Applies rules to namespaces and to the node, and remembers what is in force.

    What cannot be applied is not remembered, so that the next call tries it again. What an earlier agent
    left in the kernel is taken over: the first script replaces it whole. With `first` there was none, and what
    serves nothing yet is not touched.
    """

    def __init__(
        self,
        run: Run = run,
        *,
        allow_localhost: Callable[[str], None] = set_route_localnet,
        first: bool = False,
    ) -> None:
        self._run = run
        self._first = first
        self._allow_localhost = allow_localhost
        self.applied: dict[Namespace, Rules] = {}
        self.janitor = FlowJanitor(run)
        self._addresses: dict[Namespace, frozenset[str]] = {}
        self._prepared: set[Namespace] = set()
        # None is unknown: an earlier agent may have left one.
        self._uplink: Uplink | None = NO_UPLINK if first else None
        self._forwards = False

    def balance(self, namespace: Namespace, rules: Rules, addresses: Collection[str], now: float) -> bool:
        """Make a namespace follow `rules`; `addresses` are all endpoints of its network.

        Returns whether anything changed. Raises CommandError.
        """
        old = self.applied.get(namespace)
        if old == rules and self._addresses[namespace] == addresses:
            return False
        if old != rules:
            self.applied.pop(namespace, None)
            self._replace(namespace, old, rules)
        before = self._addresses.get(namespace, frozenset())
        self.applied[namespace], self._addresses[namespace] = rules, frozenset(addresses)
        if old is not None:
            stale = stale_flows(old, rules, before=before, after=addresses)
            self.janitor.note(namespace, stale, now)
            forget_now(self._run, stale, namespace)
        return old != rules

    def ingress_address(self, namespace: Namespace, subnet: str) -> str:
        """Return where the node reaches its ingress namespace, empty while it cannot. Raises CommandError."""
        return address_within(self._run, namespace, subnet)

    def divert(self, uplink: Uplink) -> bool:
        """Make the node send published ports to its ingress namespace. Returns whether anything changed.

        Raises CommandError.
        """
        old = self._uplink
        if old == uplink:
            return False
        self._uplink = None
        if uplink.ports:
            self._allow_localhost(BRIDGE)
            if old is None or not old.ports or old.sandbox != uplink.sandbox:
                self._let_forward(uplink.sandbox)
        self._run("nft", "-f", "-", script=node_script(uplink))
        self._uplink = uplink
        if old is not None:
            opened = tuple(sorted(uplink.ports - old.ports))
            forget_now(self._run, Stale((), opened, (), ()), None)
        return True

    def undivert(self) -> bool:
        """Take from the node all that `divert` did. Returns whether anything changed. Raises CommandError."""
        changed = self.divert(NO_UPLINK)
        if self._forwards:
            self._forbid_forward()
        return changed

    def sweep(self, now: float) -> None:
        """Forget the flows to tasks that left, as far as they are due. Raises CommandError."""
        self.janitor.sweep(self.applied, now)

    def keep_only(self, namespaces: Collection[Namespace]) -> None:
        """Forget what was applied to namespaces that are gone."""
        for gone in [namespace for namespace in self.applied if namespace not in namespaces]:
            del self.applied[gone]
            del self._addresses[gone]
            self._prepared.discard(gone)
            if gone.name == INGRESS:
                # The engine left the swarm or was started again: what it did to the node may be undone.
                self._uplink = None

    def _replace(self, namespace: Namespace, old: Rules | None, rules: Rules) -> None:
        untouched = namespace not in self._prepared
        if untouched and self._first and not rules.vips and not rules.ports:
            return
        if untouched:
            prepare(self._run, namespace)
            self._prepared.add(namespace)
        # The rules first: a VIP that is answered for must lead somewhere.
        self._run("nft", "-f", "-", inside=namespace, script=balancer_script(rules))
        if untouched or old is None or old.vips.keys() != rules.vips.keys():
            set_vips(self._run, namespace, rules.vips)

    def _let_forward(self, sandbox: str) -> None:
        self._run("iptables-restore", "--noflush", "-w", "5", script=forward_script(sandbox))
        try:
            self._run("iptables", "-w", "5", "-C", USER_CHAIN, "-j", FORWARD_CHAIN)
        except CommandError:
            self._run("iptables", "-w", "5", "-I", USER_CHAIN, "-j", FORWARD_CHAIN)
        self._forwards = True

    def _forbid_forward(self) -> None:
        self._forwards = False
        for action in (("-D", USER_CHAIN, "-j", FORWARD_CHAIN), ("-F", FORWARD_CHAIN), ("-X", FORWARD_CHAIN)):
            try:
                self._run("iptables", "-w", "5", *action)
            except CommandError as error:
                # Someone flushed it before.
                say(f"nothing to take back: {error}")
