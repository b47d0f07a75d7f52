"""The namespaces that the engine made, and running programs in them."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = [
    "INGRESS",
    "CommandError",
    "Namespace",
    "Run",
    "address_within",
    "prepare",
    "run",
    "scan",
    "set_route_localnet",
    "set_vips",
]

FOLDER = "/run/docker/netns"
INGRESS = "ingress_sbox"
BALANCER_PREFIX = "lb_"
# Where the engine puts a balancer's end of its overlay network, and ingress's.
INTERFACE = "eth0"
LIMIT = 10.0  # seconds that a program may take; they take milliseconds


class CommandError(Exception):
    """A program failed; the text is its command and what it said."""


class Namespace(NamedTuple):
    """A load-balancer namespace of the engine: one of a network, or that of ingress."""

    name: str
    path: str
    # A number alone is given again to the next namespace: one recreated must be told from the old.
    inode: int
    made: int

    def network_prefix(self) -> str:
        """Return how the ID of its network begins; empty for ingress."""
        return self.name.removeprefix(BALANCER_PREFIX) if self.name != INGRESS else ""


class Run(Protocol):
    """How programs are run; tests bring one that only writes down what it was asked."""

    def __call__(self, *command: str, inside: Namespace | None = None, script: str | None = None) -> str:
        """Run a program, as `run` of this module does."""
        ...


def scan(folder: str = FOLDER) -> tuple[Namespace, ...]:
    """Return the load-balancer namespaces there are now, in order of name."""
    found = []
    try:
        device = os.stat(folder).st_dev
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name != INGRESS and not entry.name.startswith(BALANCER_PREFIX):
                    continue
                about = entry.stat()
                # Until the namespace is mounted on it, it is a plain file.
                if about.st_dev != device:
                    found.append(Namespace(entry.name, entry.path, about.st_ino, about.st_ctime_ns))
    except FileNotFoundError:
        pass  # no engine yet, or one went while we looked: the next scan sees what is left
    return tuple(sorted(found))


def run(*command: str, inside: Namespace | None = None, script: str | None = None) -> str:
    """Run a program, in a network namespace if one is given, and return what it printed.

    `script` is its standard input. Raises CommandError when it fails, is missing, or takes more than 10 s.
    """
    words = ["nsenter", f"--net={inside.path}", *command] if inside else list(command)
    where = f" in {inside.name}" if inside else ""
    try:
        done = subprocess.run(words, input=script or "", capture_output=True, text=True, timeout=LIMIT, check=False)
    except OSError as error:
        raise CommandError(f"{words[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(command)}{where} took more than {LIMIT:.0f} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise CommandError(f"{' '.join(command)}{where}: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout


def prepare(run: Run, namespace: Namespace) -> None:
    """Make a namespace fit for forwarding. Raises CommandError."""
    settings = {
        "ip_forward": 1,
        # Packets leave where they came in; clients need not be told of a shorter way that bypasses NAT.
        "conf.all.send_redirects": 0,
        f"conf.{INTERFACE}.send_redirects": 0,
    }
    words = [f"net.ipv4.{name}={value}" for name, value in settings.items()]
    run("sysctl", "-q", "-w", *words, inside=namespace)


def set_vips(run: Run, namespace: Namespace, wanted: Iterable[str]) -> None:
    """Let the namespace answer for the VIPs `wanted`, and for no other. Raises CommandError.

    What it bears now is asked, not remembered: the engine takes away the VIP of a service that ends.
    """
    target = set(wanted)
    for last_try in (False, False, True):
        listing = run("ip", "-o", "-4", "addr", "show", "dev", INTERFACE, inside=namespace)
        borne = namespace_vips(listing)
        if borne == target:
            return
        lines = [f"addr del {vip}/32 dev {INTERFACE}" for vip in sorted(borne - target)]
        lines += [f"addr add {vip}/32 dev {INTERFACE}" for vip in sorted(target - borne)]
        try:
            run("ip", "-batch", "-", inside=namespace, script="\n".join(lines) + "\n")
            return
        except CommandError:
            # The engine may have taken one away between the two commands.
            if last_try:
                raise


def namespace_vips(listing: str) -> set[str]:
    """Return the addresses without a subnet from what `ip -o -4 addr show` prints."""
    return {str(address.ip) for address in listed_addresses(listing) if address.network.prefixlen == 32}


def address_within(run: Run, namespace: Namespace, subnet: str) -> str:
    """Return the namespace's address in `subnet`, empty while it has none. Raises CommandError."""
    wanted = ipaddress.IPv4Network(subnet)
    listing = run("ip", "-o", "-4", "addr", "show", inside=namespace)
    return next((str(address.ip) for address in listed_addresses(listing) if address.network == wanted), "")


def listed_addresses(listing: str) -> list[ipaddress.IPv4Interface]:
    """Return the addresses, with their subnets, from what `ip -o -4 addr show` prints."""
    lines = [line.split() for line in listing.splitlines()]
    return [ipaddress.IPv4Interface(words[words.index("inet") + 1]) for words in lines if "inet" in words]


def set_route_localnet(bridge: str) -> None:
    """Let connections to the node's loopback address go out over `bridge`. Raises CommandError."""
    setting = f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet"
    try:
        with open(setting, "w") as file:
            file.write("1")
    except OSError as error:
        raise CommandError(f"{setting} cannot be set: {error.strerror}") from error
