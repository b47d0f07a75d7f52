"""Counts and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["counted", "some"]


def counted(count: int, one: str, many: str = "") -> str:
    """The count with its word: 1 node, 2 nodes; `many` is said for what takes no plain s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
