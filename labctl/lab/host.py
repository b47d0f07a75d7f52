"""This host for a program: whether a lab can run here, and labctl's own images, boxes and bundles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from labctl.errors import UsageError
from labctl.events import Emit, Steps, quiet
from labctl.lab.context import open_context
from labctl.words import counted

if TYPE_CHECKING:
    from labctl.bundle import Bundle
    from labctl.host import Report
    from labctl.images.listing import OwnImage
    from labctl.images.prune import Pruned

__all__ = ["Host", "Kind"]

Kind = Literal["dind", "vagrant"]


class Host:
    """This machine and its Docker engine, which all labs share.

    Nothing is kept: each method looks anew. `on_event` hears a method's progress (labctl.events), from any thread.
    """

    def check(self, nodes: int = 4, *, backend: Kind = "dind") -> Report:
        """Look at what a lab of so many nodes needs here. Changes nothing.

        Raises UsageError for a backend that there is not, or fewer than one node.
        """
        from labctl.host import examine, examine_virtual

        _refuse_unknown(nodes, backend)
        return examine_virtual(nodes) if backend == "vagrant" else examine(nodes)

    def fix(
        self,
        nodes: int = 4,
        *,
        backend: Kind = "dind",
        found: Report | None = None,
        confirm: Callable[[str], bool] = lambda _question: True,
        on_event: Emit | None = None,
    ) -> Report:
        """Fix what keeps a lab from running here, where root can, and look again.

        `found` is what `check` has just returned, for these nodes; without it this machine is looked at first.
        `confirm` is asked before each change, and False leaves it as it is. `CommandShown` events have the commands. A
        fix that fails is a `Warned` event, and stays in the report.
        """
        from labctl.host import mend, mend_virtual

        _refuse_unknown(nodes, backend)
        report = self.check(nodes, backend=backend) if found is None else found
        change = mend_virtual if backend == "vagrant" else mend
        return change(report, confirm=confirm, emit=on_event or quiet, nodes=nodes)

    def hub(self) -> str | None:
        """The registry that answers for Docker Hub's names; None where labctl's stand-ins do. See LABCTL_HUB."""
        from labctl.images import mirror_mode

        return mirror_mode().upstream or None

    def images(self) -> list[OwnImage]:
        """The images that labctl builds: which are built, and which every lab's mirror serves."""
        from labctl.images import mirror_mode
        from labctl.images.listing import own_images

        return own_images(open_context().engine, mirror_mode())

    def build_images(self, names: Sequence[str] | None = None, *, on_event: Emit | None = None) -> dict[str, str]:
        """Build labctl's images, by any of their names, all of them where none is named; returns their tags.

        "node" is the node image, "base" what all others are built on. Those that are built already are kept. The
        mirror of every lab serves them. Raises NotFoundError with the nearest name, HostError when a build fails.
        """
        from labctl.lab.images import build_own

        if isinstance(names, str):
            raise UsageError(f"names={names!r} is one name", hint=f"names=[{names!r}]")
        return build_own(open_context(on_event or quiet), names)

    def build_box(self, provider: str = "libvirt", *, on_event: Emit | None = None) -> Path:
        """Build the box that virtual machines are copied from, and return its file.

        Raises UsageError for a provider that there is not, HostError when it cannot be built.
        """
        from labctl.images.box import ensure_box
        from labctl.spec.choices import PROVIDERS

        if provider not in PROVIDERS:
            raise UsageError(f"provider={provider!r}: expected one of {', '.join(PROVIDERS)}")
        context = open_context(on_event or quiet)
        steps = Steps(context.emit, total=1)
        with steps.step(f"Box for {provider}"):
            box = ensure_box(context.engine, provider, steps.emit, steps.note)
            steps.note(box.name)
        return box.file

    def prune(self, *, everything: bool = False, on_event: Emit | None = None) -> Pruned:
        """Remove images, boxes and mirror content of older versions; with `everything`, all that labctl built.

        What is in use stays. Raises HostError and LabError when Vagrant or libvirt fail.
        """
        from labctl.images.prune import Pruned, prune
        from labctl.lab.boxes import prune_boxes

        context = open_context(on_event or quiet)
        steps = Steps(context.emit, total=1)
        with steps.step("Pruning"):
            images = prune(context.engine, steps.note, everything=everything)
            boxes = prune_boxes(steps.note, everything=everything)
            pruned = Pruned((*images.removed, *boxes.removed), (*images.in_use, *boxes.in_use))
            steps.note(f"{len(pruned.removed)} removed, {len(pruned.in_use)} in use")
        return pruned

    def save_bundle(self, file: Path | str, *, on_event: Emit | None = None) -> Bundle:
        """Build missing images, and write all of them to one file, for a host without network.

        Raises UsageError for a place that cannot be written, HostError when its disk is full.
        """
        from labctl.bundle import save
        from labctl.images.progress import read_size

        context = open_context(on_event or quiet)
        steps = Steps(context.emit, total=1)
        with steps.step(f"Saving {file}"):
            made = save(Path(file), context.engine, steps.emit, steps.note)
            steps.note(f"{counted(len(made.images), 'image')}, {read_size(made.size)}")
        return made

    def load_bundle(self, file: Path | str, *, sha256: str | None = None, on_event: Emit | None = None) -> Bundle:
        """Load a bundle's images; every lab's mirror serves them then. Load only what you trust like root.

        Raises UsageError for a file that is no bundle or has another SHA-256, HostError for a damaged one.
        """
        from labctl.bundle import load

        context = open_context(on_event or quiet)
        steps = Steps(context.emit, total=1)
        with steps.step(f"Loading {file}"):
            loaded = load(Path(file), context.engine, steps.emit, steps.note, sha256=sha256)
            steps.note(f"{counted(len(loaded.images), 'image')}, made {loaded.created} by labctl {loaded.version}")
        return loaded


def _refuse_unknown(nodes: object, backend: object) -> None:
    if backend not in (known := ("dind", "vagrant")):
        raise UsageError(f"backend={backend!r}: expected one of {', '.join(known)}")
    if type(nodes) is not int or nodes < 1:
        raise UsageError(f"nodes={nodes!r}: expected a whole number from 1")
