"""Facts for the tests: a machine on which all is well, to be changed where a test wants it otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.host.facts import EngineFacts, Facts, KernelFacts, LimitFacts, MachineFacts, NetworkFacts
from labctl.host.network_facts import read_routes

DATA = Path(__file__).parent / "data"
GIB = 1 << 30
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


@pytest.fixture
def engine_named() -> Callable[[str], EngineFacts]:
    """Read an engine's answers from data/."""

    def read(name: str) -> EngineFacts:
        stored = json.loads((DATA / f"{name}.json").read_text())
        return EngineFacts(version=stored["version"], info=stored["info"], socket_exists=True)

    return read


@pytest.fixture
def facts(engine_named: Callable[[str], EngineFacts]) -> Facts:
    """Debian 12 as root, with an engine and all that a lab of four nodes needs."""
    engine = replace(
        engine_named("debian-20.10"), daemon_pid=700, bounding_set=(1 << 41) - 1, disk_free=50 * GIB, disk_kind="ext4"
    )
    kernel = KernelFacts(
        release=str(engine.info["KernelVersion"]),
        config={"OVERLAY_FS": "y", "NF_TABLES": "y", "NFT_COMPAT": "y", "INET_ESP": "y", "NET_SCH_NETEM": "y"},
        links={"veth": True, "bridge": True, "vxlan": True},
        ipvs=True,
    )
    return Facts(
        engine=replace(engine, has_base_image=True),
        kernel=kernel,
        limits=LimitFacts(inotify_instances=128, inotify_watches=65536, gc_thresh=(128, 512, 1024)),
        network=NetworkFacts(tuple(read_routes(ROUTES)), {"eth0": 1500}),
        machine=MachineFacts(
            distribution=("debian",),
            is_root=True,
            user="root",
            memory_free=20 * GIB,
            cpus=2,
            dockerd="/usr/sbin/dockerd",
            tools={name: f"/usr/bin/{name}" for name in ("docker", "ssh", "scp", "curl")},
        ),
        hub=True,
    )
