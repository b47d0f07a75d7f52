"""What boxes of older versions left on this machine: the cache's, Vagrant's and libvirt's copies of them."""

from __future__ import annotations

from labctl.backend.vagrant.labfile import VmLab
from labctl.backend.vagrant.leftovers import prune_copies
from labctl.images.box import box_digest, boxes_dir, remove_boxes
from labctl.images.progress import Note, no_note
from labctl.images.prune import Pruned
from labctl.state import labs_of_machines

__all__ = ["prune_boxes"]

NAME = "labctl-"  # a box is called so, and then its digest
DIRECT = ("vmlinuz", "initrd.img")


def prune_boxes(note: Note = no_note, *, everything: bool = False) -> Pruned:
    """Remove labctl's boxes of older versions, or `everything` that no machine is a copy of.

    Raises HostError and LabError when Vagrant or libvirt fail.
    """
    labs = [known for lab in labs_of_machines() if (known := VmLab.load(lab)) is not None]
    kept = {known.box.name for known in labs if known.box is not None}
    if not everything:
        kept.add(f"{NAME}{box_digest()}")
    digests = {name.removeprefix(NAME) for name in kept}
    note("looking for old boxes")
    copies, in_use = prune_copies(kept, [boxes_dir() / digest / part for digest in digests for part in DIRECT])
    cached = remove_boxes(digests, note)
    return Pruned((*(f"box {digest}" for digest in cached), *copies), tuple(in_use))
