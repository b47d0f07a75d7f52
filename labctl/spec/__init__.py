"""What a lab shall be: read lab.yaml or flags, fill in the defaults, validate; all problems at once."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.spec.model import MAX_MANAGERS, Backend, LabSpec, NodeSpec, PortSpec, Role, Swarm
    from labctl.spec.names import expand, select
    from labctl.spec.noted import NewerNote, as_noted, note_of, spec_noted
    from labctl.spec.reading import json_schema, read_file, read_mapping

__all__ = [
    "MAX_MANAGERS",
    "Backend",
    "LabSpec",
    "NewerNote",
    "NodeSpec",
    "PortSpec",
    "Role",
    "Swarm",
    "as_noted",
    "expand",
    "json_schema",
    "note_of",
    "read_file",
    "read_mapping",
    "select",
    "spec_noted",
]

WHERE = {
    "expand": "names",
    "select": "names",
    "json_schema": "reading",
    "read_file": "reading",
    "read_mapping": "reading",
    "as_noted": "noted",
    "NewerNote": "noted",
    "note_of": "noted",
    "spec_noted": "noted",
}


def __getattr__(name: str) -> Any:
    """What a person wrote is read with pydantic, which takes longer to load than most commands: it comes when used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE.get(name, 'model')}"), name)
