"""One end of a pipe, handed to a child process: by its descriptor, and on Windows by its handle."""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["handed", "taken"]


def handed(descriptor: int) -> tuple[int, dict[str, Any]]:
    """The number that the child is told, and what Popen must be given for the child to have it."""
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.get_osfhandle(descriptor)
        os.set_handle_inheritable(handle, True)
        return handle, {"close_fds": False}  # the other handles are not inheritable: Python's never are
    return descriptor, {"pass_fds": [descriptor]}


def taken(number: int) -> int:
    """The descriptor of what was handed to this process."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.open_osfhandle(number, os.O_WRONLY)
    return number
