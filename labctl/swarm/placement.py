"""Which nodes a service's constraints allow, read as swarmkit's scheduler reads them (manager/constraint)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["is_met"]

CONSTRAINT = re.compile(r"\s*(?P<key>[\w.-]+?)\s*(?P<sign>==|!=)\s*(?P<value>.*?)\s*")
NODE_LABEL, ENGINE_LABEL = "node.labels.", "engine.labels."


def is_met(constraint: str, node: Mapping[str, Any]) -> bool:
    """Whether a node, as GET /nodes tells of it, meets a constraint such as `node.labels.disk==ssd`.

    A label that it has not is as one that is empty; what is no constraint is met by nobody.
    """
    read = CONSTRAINT.fullmatch(constraint)
    if read is None:
        return False
    held = _held(read["key"], node)
    if held is None:
        return False
    equal = _in_network(held, read["value"]) if read["key"].lower() == "node.ip" else _same(held, read["value"])
    return equal == (read["sign"] == "==")


def _held(key: str, node: Mapping[str, Any]) -> str | None:
    """What the node has under a constraint's key; None for a key that there is not."""
    told = node["Description"]
    lower = key.lower()
    if lower.startswith(NODE_LABEL):
        return str((node["Spec"].get("Labels") or {}).get(key[len(NODE_LABEL) :], ""))
    if lower.startswith(ENGINE_LABEL):
        return str((told.get("Engine", {}).get("Labels") or {}).get(key[len(ENGINE_LABEL) :], ""))
    platform = told.get("Platform", {})
    known = {
        "node.id": node["ID"],
        "node.hostname": told.get("Hostname", ""),
        "node.role": node["Spec"]["Role"],
        "node.ip": node["Status"].get("Addr", ""),
        "node.platform.os": platform.get("OS", ""),
        "node.platform.arch": platform.get("Architecture", ""),
    }
    return known.get(lower)


def _same(held: str, value: str) -> bool:
    return held.lower() == value.lower()


def _in_network(address: str, value: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
