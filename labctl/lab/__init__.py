"""A lab as a whole: up, down, status, and the list of steps between."""

from labctl.lab.context import Context, open_context
from labctl.lab.lab import Lab, find_lab, forget, lab_names
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
    "bring_up",
    "find_lab",
    "forget",
    "lab_names",
    "open_context",
    "plan_of",
    "status_of",
]
