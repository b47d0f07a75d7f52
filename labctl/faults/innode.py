"""Faults that are injected by a script on the node, and that the node heals by itself when their time is over.

Each is a folder under /run/labctl/faults of its node: what it is, how to undo it, how to see it. The folder goes with a
restart of the node, as do its firewall rules and mounts. The lease is a process of the node, started before the fault:
whatever becomes of labctl or of the way to the node, it ends.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from dataclasses import dataclass

from labctl.errors import CommandFailed, LabError, NodeDown
from labctl.faults.model import Fault, Healer, Option, Scene, State, Target
from labctl.faults.reading import Trace, fault_of
from labctl.node import Node
from labctl.transport import Result

__all__ = ["PLACE", "InNode", "Script", "clear", "injection", "traces_on"]

PLACE = "/run/labctl/faults"
# What the three scripts of a fault may use: the interface that other nodes are behind, and a name for what is made.
HEAD = """\
iface=$(ip -o -4 addr show | awk -v at={address} '{{split($4, part, "/")}} part[1] == at {{print $2; exit}}')
me={name}
"""
# Whoever injects has ended when the undoing begins: else half of the fault would come after it.
UNDO = """\
[ "$1" = leased ] || lease=$(cat {place}/lease 2>/dev/null)
for look in $(seq 400); do kill -0 "$(cat {place}/striking 2>/dev/null)" 2>/dev/null || break; sleep 0.1; done
{head}{undo}
rm -rf {place}
[ -z "$lease" ] || kill -TERM "-$lease" 2>/dev/null
true
"""
# A folder that is there already is another fault's: `mkdir` refuses it. Undone is what failed half way.
INJECT = """\
set -e
mkdir -p {root}; mkdir {place}
echo $$ > {place}/striking
printf %s {fault} > {place}/fault
printf %s {undo} > {place}/undo
printf %s {probe} > {place}/probe
{arm}
sh -e {do} || {{ code=$?; rm -f {place}/striking; sh {place}/undo; exit $code; }}
rm -f {place}/striking
"""
ARM = """\
printf %s {do_text} > {do}
setsid sh -c 'sleep {seconds}; exec sh {place}/undo leased' </dev/null >/dev/null 2>&1 &
echo $! > {place}/lease"""
NO_LEASE = "printf %s {do_text} > {do}"
# A line for each folder: its name, and what it says of itself.
LIST = f"""\
cd {PLACE} 2>/dev/null || exit 0
for one in */; do
  one=${{one%/}}; [ -d "$one" ] || continue
  printf '%s ' "$one"; head -c 9000 "$one/fault" 2>/dev/null | tr -d '\\n'; echo
done"""
STRIKING = 3
STATE = """\
kill -0 "$(cat {place}/striking 2>/dev/null)" 2>/dev/null && exit 3
sh {place}/probe"""
LIMIT = 20.0  # seconds for a node to say what it knows


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
    parts_nodes = False

    def script(self, scene: Scene, node: Node, fault: Fault) -> Script:
        """What to run on the node."""
        raise NotImplementedError

    def refuse(self, scene: Scene, fault: Fault) -> None:
        """Raise NodeDown for a node that does not run, LabError for one that has this fault already."""
        node = scene.running(fault.target)
        for same in self._own(traces_on(node)):
            if self.state(scene, same) != "over":
                raise LabError(
                    f"{node.name} has the fault {self.name} already: {same.id}",
                    hint=f"`labctl fault heal {same.id} -l {scene.lab}` ends it.",
                )

    def _own(self, traces: list[Trace]) -> list[Fault]:
        found = []
        for trace in traces:
            with contextlib.suppress(ValueError):
                found.append(fault_of(trace, {self.name: self}))
        return found

    def inject(self, scene: Scene, fault: Fault) -> None:
        """Arm the lease, then break; what fails half way is undone. Raises CommandFailed."""
        node = scene.running(fault.target)
        result = node.run(injection(node, fault, self.script(scene, node, fault)))
        if not result.ok:
            raise self.failed(node, result)

    def failed(self, node: Node, result: Result) -> Exception:
        """What a script that failed means; its command is too long to be read."""
        return CommandFailed(node.name, Result(f"inject {self.name}", result.code, "", _reason(result)))

    def heal(self, scene: Scene, fault: Fault) -> bool:
        """Run the node's own script of it. A node that is down, or gone, has lost the fault with its state.

        Raises NodeDown for one that is suspended: it has the fault still.
        """
        node = scene.node(fault.target)
        if node is not None and node.state == "paused":
            raise NodeDown(node.name, node.state)
        if node is not None and node.is_running:
            place = _place(fault)
            node.expect(f"[ ! -e {place}/undo ] || sh {place}/undo; rm -rf {place}", limit=120)
        return self.parts_nodes

    def state(self, scene: Scene, fault: Fault) -> State:
        """What the node shows now."""
        node = scene.node(fault.target)
        if node is None or not node.is_running:
            return "over"
        said = node.run(STATE.format(place=_place(fault)), limit=LIMIT)
        return "acts" if said.ok else "striking" if said.code == STRIKING else "over"


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
        fault=shlex.quote(json.dumps(fault.as_json())),
        undo=shlex.quote(UNDO.format(place=place, head=head, undo=script.undo)),
        probe=shlex.quote(head + script.probe),
        arm=arm,
    )


def traces_on(node: Node) -> list[Trace]:
    """What a running node has that looks like a fault. Raises CommandFailed for one that cannot tell."""
    lines = node.expect(LIST, limit=LIMIT).stdout.splitlines()
    split = [line.partition(" ") for line in lines if line.strip()]
    return [Trace(node.name, name, text) for name, _, text in split]


def clear(node: Node, trace: Trace) -> None:
    """Take from a node what nobody can read, by its folder, and by its own script where it has one."""
    if not re.fullmatch(r"[^/\0]+", trace.id) or trace.id in (".", ".."):
        return
    place = shlex.quote(f"{PLACE}/{trace.id}")
    node.expect(f"[ ! -e {place}/undo ] || timeout 60 sh {place}/undo; rm -rf {place}", limit=90)


def _reason(result: Result) -> str:
    """The line that says what is wrong: nft shows the place in what it was told below that, with carets."""
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    told = [line.strip() for line in lines if line.strip(" ~^")]
    named = [line for line in told if "error" in line.lower()]
    return (named[:1] or told[-1:] or ["it printed nothing"])[0]


def _place(fault: Fault) -> str:
    return f"{PLACE}/{shlex.quote(fault.id)}"


def _mark(fault: Fault) -> str:
    return f"labctl_fault_{fault.id}"
