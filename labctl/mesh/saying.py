"""What the agent tells in the node's log. Python's logging would double the time that it takes to start."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(text: str) -> None:
    """Write a line to the node's log."""
    sys.stdout.write(f"mesh: {text}\n")
    sys.stdout.flush()
