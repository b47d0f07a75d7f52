"""Faults of a node's engine and its means: the engine stopped, the disk full, memory and processors taken."""

from __future__ import annotations

from labctl.errors import EngineUnreachable, LabctlError, LabError
from labctl.faults.innode import PLACE, InNode, Script
from labctl.faults.model import Fault, Option, Scene, percent, whole
from labctl.node import Node
from labctl.waiting import Pending, wait_until

__all__ = ["Cpu", "Disk", "EngineStop", "Memory"]

ENGINE_LIMIT = 90.0  # seconds until an engine that was started again answers
# The first process of a container node starts an engine that has ended again, but not while this file is there.
HELD = "/run/labctl/engine-off"


class EngineStop(InNode):
    """The engine, and all tasks with it; the node itself goes on."""

    name = "engine-stop"
    summary = "Stop a node's engine in order, and its containers with it; the node goes on."
    breaks_node = True
    parts_nodes = True

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """systemd's word where it rules the node, else the engine's own process."""
        return Script(
            "if [ -d /run/systemd/system ]; then systemctl stop docker.socket docker; exit; fi\n"
            f"touch {HELD}; pid=$(cat /run/docker.pid); kill -TERM $pid\n"
            "for look in $(seq 300); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done\n"
            'echo "the engine did not end within 30 s" >&2; exit 1',
            f"rm -f {HELD}; [ ! -d /run/systemd/system ] || systemctl start docker",
            "! pgrep -x dockerd >/dev/null",
        )

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """Let the engine start, and wait until it answers. Raises WaitTimeout."""
        super().heal(scene, fault)
        node = scene.node(fault.target)
        if node is None or not node.is_running:
            return False

        def answers() -> None:
            try:
                node.engine.ping()
            except (EngineUnreachable, LabctlError) as problem:
                raise Pending(problem.message) from None

        wait_until(f"the engine of {node.name}", answers, limit=ENGINE_LIMIT, pause=0.2)
        return True


class Disk(InNode):
    """No space is left where the engine keeps its containers. The host's disk is as full as it was.

    A small full tmpfs lies over the folder as the upper layer of an overlay: what is there can be read, and whatever
    is written finds no space.
    """

    name = "disk"
    summary = "Fill the disk under a node's engine: no container is made, no image pulled. No disk of this host fills."

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """A layer without space over the engine's folders."""
        full = f"{PLACE}/{fault.id}/full"
        return Script(
            f"mkdir {full}; mount -t tmpfs -o size=256k,mode=711 $me {full}\n"
            "for folder in containers tmp; do\n"
            f"  mkdir -p /var/lib/docker/$folder {full}/$folder {full}/$folder.work\n"
            f"  mount -t overlay -o lowerdir=/var/lib/docker/$folder,upperdir={full}/$folder,"
            f"workdir={full}/$folder.work $me /var/lib/docker/$folder\n"
            "done\n"
            f"cat /dev/zero > {full}/fill 2>/dev/null || true",
            "for folder in containers tmp; do\n"
            '  grep -q "^$me /var/lib/docker/$folder " /proc/mounts && umount -l /var/lib/docker/$folder\n'
            "done\n"
            f'grep -q "^$me {full} " /proc/mounts && umount -l {full}',
            'grep -q "^$me /var/lib/docker/containers overlay" /proc/mounts',
        )


# Takes memory until the node's own use is the share of its limit that was asked for, and stays there. When memory runs
# out the kernel ends this before anything else (oom_score_adj), and the loop around begins it again.
HOG = """\
import pathlib, sys, time
share = float(sys.argv[1])
pathlib.Path('/proc/self/oom_score_adj').write_text('1000')
files = {
    pathlib.Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'): '/sys/fs/cgroup/memory/memory.usage_in_bytes',
    pathlib.Path('/sys/fs/cgroup/memory.max'): '/sys/fs/cgroup/memory.current',
}
def used():
    for limit, usage in files.items():
        if limit.exists() and limit.read_text().strip().isdigit() and int(limit.read_text()) < 1 << 50:
            return int(pathlib.Path(usage).read_text()) / int(limit.read_text())
    seen = dict(line.split(':') for line in pathlib.Path('/proc/meminfo').read_text().splitlines())
    return 1 - int(seen['MemAvailable'].split()[0]) / int(seen['MemTotal'].split()[0])
taken = []
while True:
    if used() < share:
        taken.append(bytearray(b'x') * (8 << 20))
    else:
        time.sleep(0.5)
"""


class _Load(InNode):
    """A fault that is processes of the node."""

    def programs(self, fault: Fault) -> str:
        """The shell's line that starts them; all of them have `$me` in their command line."""
        raise NotImplementedError

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """The processes, in a session of their own."""
        pids = f"{PLACE}/{fault.id}/load"
        return Script(
            f"{self.programs(fault)}\necho $! > {pids}",
            f'kill -KILL "-$(cat {pids})" 2>/dev/null',
            f'kill -0 "-$(cat {pids})" 2>/dev/null',
        )


class Memory(_Load):
    """Most of the node's memory is taken."""

    name = "memory"
    summary = "Take most of a node's memory. Refused on a node without a limit, where this host would lack it."
    options: tuple[Option, ...] = (
        Option("share", "90%", "How much of the node's memory is in use then (default: 90%).", percent),
    )

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise LabError where the memory would be this host's."""
        super().refuse(scene, fault)
        node = scene.node(fault.target)
        if node is not None and not scene.backend.has_own_kernel and scene.memory_of(node) is None:
            raise LabError(
                f"{node.name} has no limit of memory: this host itself would run short",
                hint="A node's limit is set when it is made: `labctl up --name NEW --memory 1g` makes a lab with one.",
            )

    def programs(self, fault: Fault) -> str:
        """One that takes it, begun again when the kernel ends it."""
        share = percent(fault.options["share"]) / 100
        hog = f"{PLACE}/{fault.id}/hog.py"
        return (
            f"cat > {hog} <<'END'\n{HOG}END\n"
            f"setsid sh -c 'while :; do python3 {hog} {share:g}; sleep 1; done' </dev/null >/dev/null 2>&1 &"
        )


class Cpu(_Load):
    """All of the node's processors are busy."""

    name = "cpu"
    summary = "Keep a node's processors busy."
    options: tuple[Option, ...] = (
        Option("busy", "0", "How many loops run (default: one for each processor).", whole(0, 1024, "loops")),
    )

    def programs(self, fault: Fault) -> str:
        """As many loops as there are processors."""
        count = int(fault.options["busy"]) or "$(nproc)"
        loop = f"for one in $(seq {count}); do while :; do :; done & done; wait"
        return f"setsid sh -c '{loop}' </dev/null >/dev/null 2>&1 &"
