"""A lab as a whole: up, down, status, and the list of steps between."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from labctl.lab.context import Context, open_context
from labctl.lab.finding import all_labs, find_lab, forget, forget_gone, lab_names
from labctl.lab.lab import Lab

if TYPE_CHECKING:
    from labctl.lab.checking import checked_plan
    from labctl.lab.plan import Plan, plan_of
    from labctl.lab.status import LabStatus, NodeStatus, status_of
    from labctl.lab.up import UpOptions, bring_up

__all__ = [
    "Context",
    "Lab",
    "LabStatus",
    "NodeStatus",
    "Plan",
    "UpOptions",
    "all_labs",
    "bring_up",
    "checked_plan",
    "find_lab",
    "forget",
    "forget_gone",
    "lab_names",
    "open_context",
    "plan_of",
    "status_of",
]

LATE = {
    "checked_plan": "checking",
    "Plan": "plan",
    "plan_of": "plan",
    "LabStatus": "status",
    "NodeStatus": "status",
    "status_of": "status",
    "UpOptions": "up",
    "bring_up": "up",
}


def __getattr__(name: str) -> Any:
    """Bringing a lab up brings images, registry and doctor with it: who only asks (`ls`, `down`) need not wait."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATE[name]}"), name)
