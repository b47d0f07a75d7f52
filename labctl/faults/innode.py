"""Faults that are injected by a script on the node, and that the node heals by itself when their time is over.

Each is a folder under /run/labctl/faults of its node: what it is, how to undo it, how to see it. The folder goes with a
restart of the node, as do its firewall rules and mounts. The lease is a process of the node, started before the fault:
whatever becomes of labctl or of the way to the node, it ends.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass

from labctl.concurrent import each
from labctl.errors import CommandFailed, LabError
from labctl.faults.model import Fault, Healer, Option, Scene, Target
from labctl.node import Node
from labctl.transport import Result

__all__ = ["PLACE", "InNode", "Script", "found_on_nodes", "injection"]

PLACE = "/run/labctl/faults"
# What the three scripts of a fault may use: the interface that other nodes are behind, and a name for what is made.
HEAD = """\
iface=$(ip -o -4 addr show | awk -v at={address} '{{split($4, part, "/")}} part[1] == at {{print $2; exit}}')
me={name}
"""
UNDO = """\
[ "$1" = leased ] || lease=$(cat {place}/lease 2>/dev/null)
{head}{undo}
rm -rf {place}
[ -z "$lease" ] || kill -TERM "-$lease" 2>/dev/null
true
"""
# A folder that is there already is another fault's: `mkdir` refuses it. Undone is what failed half way.
INJECT = """\
set -e
mkdir -p {root}; mkdir {place}
printf %s {fault} > {place}/fault
printf %s {undo} > {place}/undo
printf %s {probe} > {place}/probe
{arm}
sh -e {do} || {{ code=$?; sh {place}/undo; exit $code; }}
"""
ARM = """\
printf %s {do_text} > {do}
setsid sh -c 'sleep {seconds}; exec sh {place}/undo leased' </dev/null >/dev/null 2>&1 &
echo $! > {place}/lease"""
NO_LEASE = "printf %s {do_text} > {do}"
LIST = f'for one in {PLACE}/*/fault; do [ -e "$one" ] && cat "$one" && echo; done; true'


@dataclass(frozen=True)
class Script:
    """What a fault does on its node, in shell; `undo` may run twice, `probe` exits with 0 while it acts.

    `$iface` is the interface that the other nodes are behind, `$me` a name that nothing else on the node has.
    """

    do: str
    undo: str
    probe: str


class InNode:
    """A kind of fault that is a script on the node."""

    name = ""
    summary = ""
    acts_on: Target = "node"
    healer: Healer = "node"
    options: tuple[Option, ...] = ()
    breaks_node = False

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """What to run on the node."""
        raise NotImplementedError

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise NodeDown for a node that does not run, LabError for one that has this fault already."""
        node = scene.running(fault.target)
        same = [one for one in _of_node(node) if one.kind == self.name]
        if any(self.is_active(scene, one) for one in same):
            raise LabError(
                f"{node.name} has the fault {self.name} already: {same[0].id}",
                hint=f"`labctl fault heal {same[0].id} -l {scene.lab}` ends it.",
            )

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Arm the lease, then break; what fails half way is undone. Raises CommandFailed."""
        node = scene.running(fault.target)
        result = node.run(injection(node, fault, self.script(scene, node, fault)))
        if not result.ok:
            raise self.failed(node, result)

    def failed(self, node: Node, result: Result) -> Exception:
        """What a script that failed means; its command is too long to be read."""
        said = (result.stderr.strip() or result.stdout.strip() or "it printed nothing").splitlines()[-1]
        return CommandFailed(node.name, Result(f"inject {self.name}", result.code, "", said))

    def heal(self, scene: Scene, fault: Fault) -> None:
        """Run the node's own script of it. A node that is down, or gone, has lost the fault with its state."""
        node = scene.node(fault.target)
        if node is not None and node.is_running:
            node.expect(f"[ ! -e {_place(fault)}/undo ] || sh {_place(fault)}/undo")

    def is_active(self, scene: Scene, fault: Fault) -> bool:
        """Whether the node shows it now."""
        node = scene.node(fault.target)
        return node is not None and node.is_running and node.run(["sh", f"{_place(fault)}/probe"]).ok


def injection(node: Node, fault: Fault, script: Script) -> str:
    """The text that injects a fault on a node, with its lease and its way back."""
    head = HEAD.format(address=node.address, name=_mark(fault))
    place, do = _place(fault), f"{_place(fault)}/do"
    arm = (NO_LEASE if fault.left is None else ARM).format(
        do=do, do_text=shlex.quote(head + script.do), place=place, seconds=f"{fault.left or 0:.1f}"
    )
    return INJECT.format(
        root=PLACE,
        place=place,
        do=do,
        fault=shlex.quote(json.dumps(asdict(fault))),
        undo=shlex.quote(UNDO.format(place=place, head=head, undo=script.undo)),
        probe=shlex.quote(head + script.probe),
        arm=arm,
    )


def found_on_nodes(scene: Scene) -> list[Fault]:
    """The faults that the running nodes know of, active or not."""
    running = [node for node in scene.nodes if node.is_running]
    return [fault for faults in each(running, _of_node) for fault in faults]


def _of_node(node: Node) -> list[Fault]:
    lines = node.run(LIST).stdout.splitlines()
    return [Fault(**json.loads(line)) for line in lines if line.strip()]


def _place(fault: Fault) -> str:
    return f"{PLACE}/{fault.id}"


def _mark(fault: Fault) -> str:
    return f"labctl_fault_{fault.id}"
