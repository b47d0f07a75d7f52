"""How nodes come to be: containers (dind), virtual machines (vagrant), or nothing at all (fake)."""

from labctl.backend.base import Backend, LabRecord, NodePlan, Place, Snapshot
from labctl.backend.dind import DindBackend
from labctl.backend.fake import FakeBackend

__all__ = ["Backend", "DindBackend", "FakeBackend", "LabRecord", "NodePlan", "Place", "Snapshot"]
