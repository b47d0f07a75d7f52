"""What was found on this machine, before anything is made of it. Plain values, so that a test can say what it likes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

__all__ = ["EngineFacts", "Facts", "KernelFacts", "LimitFacts", "MachineFacts", "NetworkFacts", "Route"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class EngineFacts:
    """The engine, as it answered, or why it did not."""

    url: str = "unix:///var/run/docker.sock"
    source: str = "the usual place"
    error: str = ""  # why it is no engine for us, "" when it answered
    error_hint: str | None = None
    elsewhere: bool = False  # it is on another machine, or the choice of it cannot be read
    version: Json = field(default_factory=dict)  # GET /version
    info: Json = field(default_factory=dict)  # GET /info
    networks: tuple[Json, ...] = ()  # GET /networks
    has_base_image: bool = False
    socket_exists: bool = False
    socket_allowed: bool = True
    daemon_pid: int = 0  # the process behind the socket, 0 when it cannot be seen from here
    bounding_set: int | None = None  # the capabilities that it may give away, as a bit mask
    disk_free: int | None = None  # bytes in DockerRootDir, None when it is not on this machine's file systems
    disk_kind: str = ""  # the file system there, as the kernel calls it; "" when it cannot be seen
    snapshots: int = 0  # bytes that the snapshots of labs take there

    @property
    def answers(self) -> bool:
        """Whether an engine answered."""
        return not self.error

    @property
    def number(self) -> tuple[int, int] | None:
        """The engine's version as (20, 10); None where its text is not one."""
        match = re.match(r"v?(\d+)\.(\d+)", str(self.version.get("Version", "")))
        return (int(match[1]), int(match[2])) if match else None

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman's service that speaks Docker's API."""
        components = self.version.get("Components") or ()
        return any("podman" in str(component.get("Name", "")).lower() for component in components)

    @property
    def is_desktop(self) -> bool:
        """Whether it is Docker Desktop, whose engine runs in a machine of its own."""
        return str(self.info.get("OperatingSystem", "")).startswith("Docker Desktop")

    @property
    def is_rootless(self) -> bool:
        """Whether it runs in its user's namespace."""
        return self.has_security("rootless")

    @property
    def remaps_users(self) -> bool:
        """Whether root in its containers is not root of the host (userns-remap)."""
        return self.has_security("userns")

    def has_security(self, name: str) -> bool:
        """Whether /info lists that security option ("seccomp", "selinux", "rootless", ...)."""
        options = self.info.get("SecurityOptions") or ()
        return any(f"name={name}" in str(option).split(",") for option in options)


@dataclass(frozen=True)
class KernelFacts:
    """This machine's kernel. None stands for "cannot be seen"."""

    release: str = ""
    config: Mapping[str, str] | None = None  # CONFIG_X (without the prefix) -> y or m
    modules: frozenset[str] | None = None  # modules that can be loaded
    builtin: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    filesystems: frozenset[str] = frozenset()
    links: Mapping[str, bool] = field(default_factory=dict)  # kinds of interface that were tried, and whether they came
    ipvs: bool | None = None  # whether the kernel answered as one with IP virtual server


@dataclass(frozen=True)
class LimitFacts:
    """Kernel limits that many nodes run into; None where this machine has no such file."""

    inotify_instances: int | None = None
    inotify_watches: int | None = None
    gc_thresh: tuple[int, int, int] | None = None  # net.ipv4.neigh.default.gc_thresh1..3
    neighbours: int = 0  # entries in the neighbour table now, of all namespaces together
    unified_cgroups: bool = False  # cgroup v2 alone, as the engine uses it


@dataclass(frozen=True)
class Route:
    """A route or an address of this machine: what `network` leads to, and by which interface."""

    network: IPv4Network
    interface: str
    metric: int = 0
    is_address: bool = False


@dataclass(frozen=True)
class NetworkFacts:
    """Where this machine's packets go."""

    routes: tuple[Route, ...] = ()
    mtu: Mapping[str, int] = field(default_factory=dict)  # of each interface

    def way_to(self, address: str) -> Route | None:
        """Return the route a packet to `address` takes: the narrowest, then the cheapest."""
        target = IPv4Address(address)
        ways = [route for route in self.routes if not route.is_address and target in route.network]
        return min(ways, key=lambda route: (-route.network.prefixlen, route.metric), default=None)


@dataclass(frozen=True)
class MachineFacts:
    """The machine and its system."""

    system: str = "Linux"  # as platform.system() says: Linux, Darwin, Windows
    distribution: tuple[str, ...] = ()  # ID and ID_LIKE of os-release, nearest first
    distribution_name: str = ""
    is_root: bool = False
    user: str = ""
    memory_free: int = 0  # bytes that can be had without swapping
    cpus: int = 1
    python: str = ""
    service_manager: str | None = None  # systemd, openrc, sysv; None where nothing manages services
    dockerd: str | None = None  # where the engine's program is
    dockerd_pid: int = 0  # an engine that runs by itself on this machine, answering or not
    tools: Mapping[str, str] = field(default_factory=dict)  # optional programs that are there -> path
    in_docker_group: bool = False  # by the user database; a session that began earlier may not know yet
    state_error: str = ""  # why labctl's own folder cannot be written


@dataclass(frozen=True)
class Facts:
    """All of it, and for how many nodes it is asked."""

    nodes: int = 4
    managers: int = 1
    running: int = 0  # nodes, of those asked for, that run already
    engine: EngineFacts = field(default_factory=EngineFacts)
    kernel: KernelFacts = field(default_factory=KernelFacts)
    limits: LimitFacts = field(default_factory=LimitFacts)
    network: NetworkFacts = field(default_factory=NetworkFacts)
    machine: MachineFacts = field(default_factory=MachineFacts)
    hub: bool | None = None  # whether Docker Hub answered; None when it was not asked
    hub_said: str = ""

    @property
    def same_kernel(self) -> bool:
        """Whether the engine's containers run on the kernel that was looked at.

        Before there is an engine, the one that would be installed is meant.
        """
        if not self.engine.answers:
            return self.machine.system == "Linux" and not self.engine.elsewhere
        return self.machine.system == "Linux" and self.engine.info.get("KernelVersion") == self.kernel.release
