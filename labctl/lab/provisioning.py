"""Machines of a box that labctl did not make become nodes: by the playbook, as soon as they let labctl in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.backend.vagrant import Provision
from labctl.backend.vagrant.labfile import USER, VmLab, folder_of
from labctl.errors import LabError, UsageError
from labctl.events import Steps
from labctl.images.box import box_digest
from labctl.provision import Recap, Target, can_control, provision, provision_inside
from labctl.state import lab_path
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.lab.core import LabCore
    from labctl.node import Node

__all__ = ["provision_nodes", "provisioner", "target_of"]

PYTHON_LIMIT = 900.0  # seconds; an emulated machine fetches and unpacks for minutes
NO_DEBIAN = 44  # the exit code by which our own script says that this is another system
# Ansible's modules are programs in Python, and a small box may have none.
PYTHON = f"""
command -v apt-get >/dev/null || exit {NO_DEBIAN}
command -v python3 >/dev/null && exit
export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3 4 5 6; do apt-get -q -o Acquire::Retries=5 update && break; sleep 10; done
apt-get -q -y -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 install --no-install-recommends python3
"""
HINT = (
    "A stock box fetches Debian's packages: is there a way out, and a mirror? "
    "Without --box, machines are copies of labctl's own box and fetch nothing."
)


def provisioner(note: Callable[[str], None]) -> Provision:
    """Return what makes one machine what a copy of labctl's own box is. `note` hears of each task.

    Over SSH where Ansible can control from this host, else inside the machine. It raises LabError.
    """

    def run(node: Node, key: Path, stop: threading.Event) -> None:
        def tell(text: str) -> None:
            note(text if text.startswith(f"{node.name}: ") else f"{node.name}: {text}")

        try:
            tell("looks for Python")
            _have_python(node)
            if can_control():
                provision([target_of(node, key)], tell, digest=box_digest(), stop=stop)
            else:
                provision_inside([node], tell, digest=box_digest(), stop=stop)
        except LabError as problem:
            raise LabError(problem.message, hint=problem.hint or HINT) from problem

    return run


def provision_nodes(lab: LabCore, nodes: Sequence[Node], *, inside: bool = False) -> dict[str, Recap]:
    """Let the playbook make machines what a node is; see `Lab.provision`."""
    if VmLab.load(lab.name) is None:
        raise UsageError(
            f"the nodes of lab {lab.name} are containers, and their image has all that a node needs",
            hint="`labctl image build node` makes that image; `labctl up --name vms --backend vagrant` makes a lab of "
            "machines.",
        )
    targets = [target_of(node, lab_path(lab.name) / "id_ed25519") for node in nodes]
    steps = Steps(lab.context.emit, total=1)
    with steps.step(f"Provisioning {counted(len(nodes), 'node')}"):
        if inside or not can_control():
            done = provision_inside(nodes, steps.note, digest=box_digest())
        else:
            done = provision(targets, steps.note, digest=box_digest())
        steps.note(counted(sum(recap.changed for recap in done.values()), "change"))
    return done


def target_of(node: Node, key: Path) -> Target:
    """How Ansible reaches a node that is a virtual machine, whose host key has been recorded."""
    known_hosts = folder_of(node.lab) / "known_hosts"
    return Target(name=node.name, address=node.address, user=USER, key=key, known_hosts=known_hosts)


def _have_python(node: Node) -> None:
    done = node.run(["/bin/sh", "-c", PYTHON], limit=PYTHON_LIMIT)
    if done.code == NO_DEBIAN:
        raise LabError(
            f"{node.name} is no Debian, and the playbook makes nodes of no other system",
            hint="Boxes of Debian 12 or 13 do (`labctl up --backend vagrant --box debian/bookworm64`; "
            "on Hyper-V generic/debian12).",
        )
    if not done.ok:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or [f"exit code {done.code}"]
        raise LabError(f"{node.name}: Python cannot be installed: {said[0]}")
