"""What Vagrant says that a machine does, in labctl's words."""

from __future__ import annotations

__all__ = ["our_word"]

STATES = {
    "running": "running",
    "saved": "paused",
    "paused": "paused",
    "suspended": "paused",
    "not_created": "gone",
}


def our_word(state: str, provider: str) -> str:
    """Return running, paused, exited or gone."""
    # So it calls a machine of libvirt's that runs, and whose lease of its own network has run out.
    is_lost = provider == "libvirt" and state == "inaccessible"
    return "running" if is_lost else STATES.get(state, "exited")
