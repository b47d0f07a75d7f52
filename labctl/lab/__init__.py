"""A lab as a whole: up, down, status, and the list of steps between."""

from typing import TYPE_CHECKING, Any

from labctl.lab.context import Context, open_context
from labctl.lab.lab import Lab, find_lab, forget, lab_names
from labctl.lab.plan import Plan, plan_of
from labctl.lab.status import LabStatus, NodeStatus, status_of

if TYPE_CHECKING:
    from labctl.lab.up import UpOptions, bring_up

__all__ = [
    "Context",
    "Lab",
    "LabStatus",
    "NodeStatus",
    "Plan",
    "UpOptions",
    "bring_up",
    "find_lab",
    "forget",
    "lab_names",
    "open_context",
    "plan_of",
    "status_of",
]


def __getattr__(name: str) -> Any:
    """Bringing a lab up brings images, registry and doctor with it: who only asks (`ls`, `status`) need not wait."""
    if name in ("UpOptions", "bring_up"):
        from labctl.lab import up

        return getattr(up, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
