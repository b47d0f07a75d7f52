"""A guard against hanging, for tests of what must end early.

How long something takes is measured in bench/, as a ratio: a busy machine is no failure. A test gives what must not be
waited for a length far above HANGING, so that only waiting for it fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["HANGING", "LONG", "no_hang"]

HANGING = 120.0  # seconds; more than ten times what any of these blocks takes on a busy machine
LONG = 600.0  # seconds; how long that lasts which must not be waited for


@contextmanager
def no_hang(limit: float = HANGING) -> Iterator[None]:
    """A block that must not wait for what never comes. Raises AssertionError after the block, with its seconds."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < limit, f"it took {took:.0f} s: it waited for what it must not wait for"
