"""How nodes come to be: containers (dind), virtual machines (vagrant), or nothing at all (fake)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labctl.backend.base import Backend, LabRecord, NodePlan, Place, Snapshot

if TYPE_CHECKING:
    from labctl.backend.dind import DindBackend
    from labctl.backend.fake import FakeBackend

__all__ = ["Backend", "DindBackend", "FakeBackend", "LabRecord", "NodePlan", "Place", "Snapshot"]

LATE = {"DindBackend": "dind", "FakeBackend": "fake"}


def __getattr__(name: str) -> Any:
    """What makes nodes comes when it is used: who looks at virtual machines needs no containers."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
