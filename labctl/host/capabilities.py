"""The capabilities of a node's container, each by name.

A node is never `--privileged`: that asks for everything, and fails as a whole on a host that may not
give everything. NEEDED was found by leaving things out (docs/doctor.md tells what broke).
What acts on the host's kernel rather than on the node is left out on purpose: SYS_MODULE, SYS_TIME,
SYS_RAWIO, SYS_BOOT, SYSLOG, MAC_*, AUDIT_CONTROL, LINUX_IMMUTABLE, DAC_READ_SEARCH; and so is what no lesson
asks for: BPF, PERFMON, CHECKPOINT_RESTORE, IPC_OWNER, LEASE, NET_BROADCAST.
"""

from __future__ import annotations

from labctl.engine import Engine
from labctl.host.facts import EngineFacts, Json

__all__ = ["NEEDED", "USEFUL", "grantable", "grantable_capabilities", "lacking", "node_confinement"]

# Docker's own default list: an inner container is given it whole, or does not start.
_OF_EVERY_CONTAINER = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
NEEDED = (
    *_OF_EVERY_CONTAINER,
    "NET_ADMIN",  # bridges, overlays, firewall rules
    "SYS_ADMIN",  # mounts and namespaces
    "SYS_PTRACE",  # `docker exec` into a container whose process is not root
)
# What a stack may ask for with cap_add, and limits that a service may raise. Nothing breaks without them.
USEFUL = (
    "IPC_LOCK",  # locked memory: vaults, search engines
    "SYS_NICE",  # priorities: databases
    "SYS_RESOURCE",  # limits above the engine's own
)

_BITS = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "IPC_LOCK": 14,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "SYS_NICE": 23,
    "SYS_RESOURCE": 24,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}


def grantable(engine: EngineFacts) -> list[str]:
    """Return what a node may be given on this engine, in alphabetical order, without the CAP_ prefix.

    Where the engine's bounding set cannot be seen, it is taken to be whole.
    """
    names = sorted((*NEEDED, *USEFUL))
    if engine.bounding_set is not None:
        mask = engine.bounding_set
        names = [name for name in names if mask >> _BITS[name] & 1]
    return names


def lacking(engine: EngineFacts) -> list[str]:
    """Return what a node needs and this engine cannot give."""
    given = set(grantable(engine))
    return [name for name in NEEDED if name not in given]


def grantable_capabilities(engine: Engine) -> list[str]:
    """Return the capabilities for a node's container on this engine, for HostConfig's CapAdd.

    Raises EngineUnreachable when the engine does not answer.
    """
    from labctl.host.engine_facts import capability_facts

    return grantable(capability_facts(engine))


def node_confinement(info: Json) -> dict[str, object]:
    """Return what a node's HostConfig must say on this engine, beside its capabilities.

    SecurityOpt and, where the engine remaps users, UsernsMode: an engine inside needs the real root of
    its host. `info` is the engine's GET /info.
    """
    engine = EngineFacts(info=info)
    options = ["seccomp=unconfined", "apparmor=unconfined"]
    if engine.has_security("selinux"):
        options.append("label=disable")
    if engine.has_security("no-new-privileges"):
        options.append("no-new-privileges=false")  # sudo on a node is set-uid
    return {"SecurityOpt": options, **({"UsernsMode": "host"} if engine.remaps_users else {})}
