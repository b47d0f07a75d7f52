"""What happened in the lab as a page lists it: one line an event, with a kind to colour it by."""

from __future__ import annotations

from typing import Any

from labctl.lab.happening import ContainerEvent, LabEvent, LinkEvent, NetworkEvent, NodeEvent, ServiceEvent

__all__ = ["entry_of"]

PAST = {"create": "created", "update": "changed", "remove": "removed", "start": "started"}
BAD = ("down", "unhealthy")


def entry_of(event: LabEvent) -> dict[str, Any]:
    """The event as a message for pages."""
    kind, text, tone = _told(event)
    return {
        "type": "happened",
        "number": event.number,
        "at": event.time,
        "node": event.node,
        "kind": kind,
        "text": text,
        "tone": tone,
    }


def _told(event: LabEvent) -> tuple[str, str, str]:
    match event:
        case LinkEvent():
            is_up = event.action == "up"
            return "link", "engine is heard" if is_up else event.reason or "engine is silent", "" if is_up else "bad"
        case NodeEvent():
            return "node", f"node {PAST[event.action]}{_changes(event.changes)}", _tone(event.changes.get("state.new"))
        case ServiceEvent():
            return "service", f"service {event.service} {PAST[event.action]}{_changes(event.changes)}", ""
        case NetworkEvent():
            return "network", f"network {event.network} {PAST[event.action]}", ""
        case ContainerEvent():
            return _container(event)
        case _:
            return "other", type(event).__name__, ""


def _container(event: ContainerEvent) -> tuple[str, str, str]:
    name = ".".join(event.container.split(".")[:2]) if event.task else event.container
    if event.action == "health":
        return "container", f"{name} is {event.health}", _tone(event.health)
    if event.action == "die":
        code = "" if event.exit_code is None else f" with {event.exit_code}"
        return "container", f"{name} ended{code}", "bad" if event.exit_code else ""
    return "container", f"{name} {PAST.get(event.action, event.action)}", "good"


def _changes(changes: object) -> str:
    if not isinstance(changes, dict) or not changes:
        return ""
    news = [(key.removesuffix(".new"), value) for key, value in changes.items() if key.endswith(".new")]
    told = ", ".join(f"{key} {changes.get(f'{key}.old', '')} → {value}" for key, value in news)
    return f": {told}" if told else ""


def _tone(state: str | None) -> str:
    return "bad" if state in BAD else "good" if state in ("ready", "healthy") else ""
