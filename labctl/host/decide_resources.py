"""Whether this machine is large enough for so many nodes."""

from __future__ import annotations

from labctl.host import limits
from labctl.host.facts import Facts
from labctl.host.report import Row, Verdict
from labctl.words import counted

__all__ = [
    "MANAGER_MEMORY",
    "MEMORY_HEADROOM",
    "WORKER_MEMORY",
    "cpus_of",
    "decide_cpus",
    "decide_disk",
    "decide_inotify",
    "decide_memory",
    "decide_neighbours",
    "memory_free",
    "most_nodes",
]

MIB, GIB = 1 << 20, 1 << 30
# What an idle node was measured to take: 70 to 180 MiB, the first manager most.
MANAGER_MEMORY, WORKER_MEMORY = 200 * MIB, 100 * MIB
MEMORY_HEADROOM = 512 * MIB  # for the registry, for services, and for the rest of the machine
# On two cores 100 nodes formed in 44 s, and 200 never did: they gossip faster than they are served.
NODES_PER_CPU = 75
MOST_ON_A_BRIDGE = 1000  # the kernel takes 1023 ports on a bridge; the lab needs a few itself
IMAGES_DISK = 3 * GIB  # the node image, what it is built from, and the tutorials' images
MORE_IMAGES_DISK = GIB  # the same where some of it is there
NODE_DISK = 256 * MIB  # what a node pulls into its own store


def decide_memory(facts: Facts) -> Row:
    """Whether the nodes that are still to come fit into the memory that is free."""
    title, free = "memory", memory_free(facts)
    if free is None:
        return Row("memory", title, Verdict.GOOD, "known when an engine answers")
    wanted = _memory_for(facts)
    if wanted == 0 or wanted + MEMORY_HEADROOM <= free:
        told = (
            f"{counted(facts.nodes, 'idle node takes', 'idle nodes take')} {_gib(wanted)}"
            if wanted
            else "all nodes run already"
        )
        return Row("memory", title, Verdict.GOOD, f"{_gib(free)} free, {told}")
    fits = min(most_nodes(facts, free), _most_for_cpus(facts))
    nodes, spare = counted(facts.nodes, "node"), _gib(MEMORY_HEADROOM)
    found = f"{nodes} would take {_gib(wanted)} of {_gib(free)} free, with {spare} to spare"
    where = "Docker Desktop, Settings, Resources: more memory; or " if facts.engine.is_desktop else ""
    fix = f"{where}--nodes {fits} fits" if fits else f"{where}free {_gib(wanted + MEMORY_HEADROOM - free)}"
    return Row("memory", title, Verdict.MEND, found, fix)


def most_nodes(facts: Facts, free: int) -> int:
    """Return how many nodes fit into `free` bytes, with those that run already."""
    room = free - MEMORY_HEADROOM
    if facts.running >= facts.managers:
        return facts.running + max(0, room // WORKER_MEMORY)
    managers_to_come = facts.managers - facts.running
    room -= managers_to_come * MANAGER_MEMORY
    return 0 if room < 0 else facts.managers + room // WORKER_MEMORY


def _memory_for(facts: Facts) -> int:
    """What the nodes that do not run yet will take; managers are taken to be the first to run."""
    managers = max(0, facts.managers - facts.running)
    workers = max(0, facts.nodes - facts.running - managers)
    return managers * MANAGER_MEMORY + workers * WORKER_MEMORY


def memory_free(facts: Facts) -> int | None:
    """The bytes that nodes can have; None where no engine tells."""
    if facts.same_kernel:
        return facts.machine.memory_free
    total = facts.engine.info.get("MemTotal")
    return int(total) if total else None


def decide_cpus(facts: Facts) -> Row:
    """Whether the cores can carry the gossip of so many nodes."""
    cpus, most = cpus_of(facts), _most_for_cpus(facts)
    if facts.nodes <= most:
        return Row("cpus", "CPUs", Verdict.GOOD, str(cpus))
    found = f"{counted(facts.nodes, 'node')} on {cpus} would not form a swarm"
    return Row("cpus", "CPUs", Verdict.MEND, found, f"--nodes {most} at most")


def cpus_of(facts: Facts) -> int:
    """The processors that nodes share."""
    return int(facts.engine.info.get("NCPU") or facts.machine.cpus)


def _most_for_cpus(facts: Facts) -> int:
    return min(cpus_of(facts) * NODES_PER_CPU, MOST_ON_A_BRIDGE)


def decide_disk(facts: Facts) -> Row:
    """Whether there is room for the images and for what each node pulls."""
    title, engine = "disk", facts.engine
    where = engine.info.get("DockerRootDir", "")
    if engine.disk_free is None:
        return Row(
            "disk", title, Verdict.GOOD, "not visible from here" if engine.answers else "known when an engine answers"
        )
    images = MORE_IMAGES_DISK if engine.has_base_image else IMAGES_DISK
    wanted = images + max(0, facts.nodes - facts.running) * NODE_DISK
    kept = f"; snapshots take {_gib(engine.snapshots)}" if engine.snapshots else ""
    found = f"{_gib(engine.disk_free)} free in {where}{kept}"
    if engine.disk_free >= wanted:
        return Row("disk", title, Verdict.GOOD, found)
    ways = "`labctl snapshot ls` and `docker system df` show" if kept else "`docker system df` shows"
    fix = f"free {_gib(wanted - engine.disk_free)} there; {ways} what takes it"
    return Row("disk", title, Verdict.MEND, f"{found}, and {_gib(wanted)} are wanted", fix)


def decide_inotify(facts: Facts) -> Row:
    """Whether so many nodes and their tasks can be watched."""
    title, now = "inotify limits", facts.limits
    if not facts.same_kernel or now.inotify_instances is None:
        return Row("inotify", title, Verdict.GOOD, "not visible from here: will be tried")
    changes = limits.inotify_changes(now, facts.nodes)
    found = f"{now.inotify_instances} instances"
    if not changes:
        return Row("inotify", title, Verdict.GOOD, f"{found}, enough for {counted(facts.nodes, 'node')}")
    return Row(
        "inotify",
        title,
        Verdict.MEND,
        f"{found}, too few for {counted(facts.nodes, 'node')}",
        limits.shown(changes),
        True,
    )


def decide_neighbours(facts: Facts) -> Row:
    """Whether the neighbour table holds what so many nodes know of each other."""
    title, now = "neighbour table", facts.limits
    if not facts.same_kernel or now.gc_thresh is None:
        return Row("neighbours", title, Verdict.GOOD, "not visible from here: will be tried")
    changes = limits.neighbour_changes(now, facts.nodes)
    found = f"{now.gc_thresh[2]} entries, {now.neighbours} in use"
    if not changes:
        return Row("neighbours", title, Verdict.GOOD, f"{found}, enough for {counted(facts.nodes, 'node')}")
    return Row(
        "neighbours",
        title,
        Verdict.MEND,
        f"{found}, too few for {counted(facts.nodes, 'node')}",
        limits.shown(changes),
        True,
    )


def _gib(number: int) -> str:
    return f"{number / GIB:.1f} GiB"
