"""What containers and networks with labctl's labels are. Anybody may put labels on a container, so nothing is taken
on trust: what is not a node is not taken for one, and breaks nothing."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from labctl.owner import is_anothers, owner_of
from labctl.spec import labels

if TYPE_CHECKING:
    from labctl.spec import LabSpec

__all__ = [
    "NEW",
    "OLD",
    "is_aside",
    "lab_names",
    "moved_to",
    "nodes_among",
    "owner_mark",
    "restoring_of",
    "run_of",
    "spec_of",
    "subnet_of",
]

# Behind the names of containers of a restore: one that has not taken its node's place yet, and one whose place was
# taken. No node's name, and no lab's, has a dot.
NEW, OLD = ".restored", ".replaced"

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")  # as the spec has it, without its imports
LONGEST = 63


def lab_names(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The labs that these are of; a label that can be no lab's name is left out."""
    names = {str((one.get("Labels") or {}).get(labels.LAB, "")) for one in found}
    return sorted(filter(_is_name, names))


def owner_mark(networks: Sequence[Mapping[str, Any]], rest: Sequence[Mapping[str, Any]] = ()) -> str | None:
    """Whose the lab is. Its network says it where there is one; of two that were begun at once, that has the name."""
    said = [one.get("Labels") or {} for one in (networks or rest)]
    return next((one[labels.OWNER] for one in said if labels.OWNER in one), None)


def nodes_among(found: Iterable[Mapping[str, Any]], lab: str, mark: str | None) -> list[dict[str, Any]]:
    """The containers that are nodes of the lab whose owner is `mark`: labelled whole, and by nobody else."""
    return [dict(one) for one in found if _is_node(one) and _is_of(one["Labels"].get(labels.OWNER), lab, mark)]


def is_aside(found: Mapping[str, Any]) -> bool:
    """Whether a restore has put a container aside: it is no node yet, or no more."""
    return any(str(name).endswith((NEW, OLD)) for name in found.get("Names") or ())


def restoring_of(volumes: Sequence[Mapping[str, Any]]) -> str:
    """The snapshot that the lab is put back to in part, as a volume marks it; "" where it is not."""
    marked = [one["Labels"] or {} for one in volumes]
    return next((str(one.get(labels.SNAPSHOT, "")) for one in marked if one.get(labels.KIND) == "restoring"), "")


def moved_to(found: Mapping[str, Any], network: str, address: str) -> str | None:
    """The address that a running container has in the network in the place of this one, "" where it has none there.

    None where it has this one, or where nobody can say.
    """
    networks = (found.get("NetworkSettings") or {}).get("Networks")
    if found.get("State") not in ("running", "paused") or networks is None:
        return None
    has = str((networks.get(network) or {}).get("IPAddress") or "")
    return None if has == address else has


def run_of(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Which run of its container this is, or was the last, and when that began: `run_id` and `began` of a Node."""
    began = str(inspected["State"].get("StartedAt") or "")
    try:
        moment = datetime.fromisoformat(began).timestamp()
    except ValueError:
        moment = 0.0
    return {"run_id": f"{inspected.get('Id', '')} {began}", "began": moment if moment > 0 else None}


def subnet_of(network: Mapping[str, Any]) -> str | None:
    """The network's subnet; None where it has none."""
    config = (network.get("IPAM") or {}).get("Config") or []
    return str(config[0]["Subnet"]) if config and config[0].get("Subnet") else None


def spec_of(volumes: Sequence[Mapping[str, Any]]) -> LabSpec | None:
    """What the lab shall be, as the newest of its volumes notes it; None where none does. Raises NewerNote."""
    from labctl.spec import NewerNote, spec_noted

    noted = [found for found in volumes if labels.SPEC in (found["Labels"] or {})]
    if not noted:
        return None
    newest = max(noted, key=lambda found: str(found.get("CreatedAt", "")))
    try:
        return spec_noted(json.loads(newest["Labels"][labels.SPEC]), source="the lab's label")
    except NewerNote:
        raise
    except ValueError:
        return None


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST and NAME.fullmatch(text) is not None


def _is_node(found: Mapping[str, Any]) -> bool:
    marks = found.get("Labels") or {}
    if marks.get(labels.KIND) != "node" or not found.get("Names") or is_aside(found):
        return False
    try:
        ipaddress.IPv4Address(marks.get(labels.ADDRESS, ""))
    except ValueError:
        return False
    return _is_name(marks.get(labels.NODE, "")) and 0 < labels.port_in(marks) < 65536


def _is_of(own: str | None, lab: str, mark: str | None) -> bool:
    """Whether what bears this owner, or none, may belong to a lab of that owner."""
    if not own:
        return True  # an older labctl made it
    if owner_of(mark, lab).is_you:
        return not is_anothers({labels.OWNER: own})
    return bool(mark) and own.rpartition("@")[2] == str(mark).rpartition("@")[2]
