"""What a lab shall be: read lab.yaml or flags, fill in the defaults, validate; all problems at once."""

from labctl.spec.model import MAX_MANAGERS, Backend, LabSpec, NodeSpec, PortSpec, Role, Swarm
from labctl.spec.names import expand, select
from labctl.spec.reading import json_schema, read_file, read_mapping

__all__ = [
    "MAX_MANAGERS",
    "Backend",
    "LabSpec",
    "NodeSpec",
    "PortSpec",
    "Role",
    "Swarm",
    "expand",
    "json_schema",
    "read_file",
    "read_mapping",
    "select",
]
