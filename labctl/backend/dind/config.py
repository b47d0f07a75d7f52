"""What the Engine API is told to make a node of; pure, so that tests read it.

Never `--privileged`; nothing of the host is mounted. No wall for a node's root either: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labctl.backend.base import NodePlan
from labctl.backend.daemon import ENGINE_PORT
from labctl.owner import marks as marks_of
from labctl.spec import labels

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = ["container_name", "network_name", "node_container"]

# What a runtime inside gives each of its containers, which it can only where the node has it: device files may be made,
# and these be used. What runtimes give by default differs (newer ones leave tun out), so all are named.
DEVICES = (
    "b *:* m",
    "c *:* m",
    "c 1:3 rwm",  # null
    "c 1:5 rwm",  # zero
    "c 1:7 rwm",  # full
    "c 1:8 rwm",  # random
    "c 1:9 rwm",  # urandom
    "c 5:0 rwm",  # tty
    "c 5:1 rwm",  # console
    "c 5:2 rwm",  # ptmx
    "c 10:200 rwm",  # net/tun
    "c 136:* rwm",  # pts
)
ALL_DEVICES = ("a *:* rwm",)  # a privileged container asks for just this
# Processes and threads. A busy node has some hundreds; the usual limit of a whole host is 32768.
PIDS = 16384

# Docker's masked and read-only paths are left as they are: the node's first program opens what its engine writes.
SAME_FOR_ALL: Mapping[str, Any] = {
    "PidsLimit": PIDS,
    "CgroupnsMode": "private",
    "Tmpfs": {"/run": "rw,exec,nosuid,mode=755"},
    # A node that a learner shut down stays down; after the host's restart `labctl start` brings all back.
    "RestartPolicy": {"Name": "no"},
    "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
}


def container_name(spec: LabSpec, node: str) -> str:
    """The name of a node's container."""
    return node if spec.bare_names else f"{spec.name}-{node}"


def network_name(lab: str) -> str:
    """The name of the lab's network."""
    return f"labctl-{lab}"


def node_container(
    spec: LabSpec,
    plan: NodePlan,
    *,
    image: str,
    capabilities: Sequence[str],
    confinement: Mapping[str, object],
    port: int,
) -> dict[str, Any]:
    """Return the body of POST /containers/create for a node whose engine is published on 127.0.0.1:`port`.

    `confinement` is what the host's engine must be told beside capabilities and devices (SecurityOpt, UsernsMode).
    """
    marks = {
        **marks_of(spec.name, "node"),
        labels.NODE: plan.spec.name,
        labels.ROLE: plan.spec.role,
        labels.ADDRESS: plan.address,
        labels.PORT: str(port),
    }
    return {
        "Image": image,
        "Hostname": plan.spec.name,
        "Labels": marks,
        "Env": [f"{key}={value}" for key, value in plan.environment.items()],
        "ExposedPorts": {f"{ENGINE_PORT}/tcp": {}},
        "HostConfig": {
            "CapDrop": ["ALL"],
            "CapAdd": list(capabilities),
            "NetworkMode": network_name(spec.name),
            "PortBindings": {f"{ENGINE_PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]},
            "Mounts": [_disk(spec.name)],
            "DeviceCgroupRules": list(ALL_DEVICES if spec.privileged_tasks else DEVICES),
            **SAME_FOR_ALL,
            **confinement,
            **_limits(plan),
        },
        "NetworkingConfig": {"EndpointsConfig": {network_name(spec.name): _attached(plan)}},
    }


def _attached(plan: NodePlan) -> dict[str, Any]:
    return {
        "IPAMConfig": {"IPv4Address": plan.address},
        "Aliases": [plan.spec.name, *plan.aliases],
    }


def _disk(lab: str) -> dict[str, Any]:
    """An overlay cannot lie on an overlay: the engine's data needs a volume; it goes with its container."""
    return {
        "Type": "volume",
        "Target": "/var/lib/docker",
        "VolumeOptions": {"Labels": marks_of(lab, "volume")},
    }


def _limits(plan: NodePlan) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if plan.spec.memory_bytes is not None:
        limits["Memory"] = plan.spec.memory_bytes
    if plan.spec.cpus is not None:
        limits["NanoCpus"] = int(plan.spec.cpus * 1e9)
    return limits
