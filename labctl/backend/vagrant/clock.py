"""The clock of a machine that stood still, or that was put back: it is what it was then."""

from __future__ import annotations

import time

from labctl.errors import LabError
from labctl.transport import Transport

__all__ = ["set_clock"]

LIMIT = 60.0  # seconds
# Vagrant finds a libvirt machine by its lease of the first network, which has run out when the machine stood still for
# an hour; the machine itself asks for another only when its own time has come.
LEASE = "if command -v networkctl; then networkctl renew eth0; fi >/dev/null 2>&1 || true"


def set_clock(transport: Transport, node: str) -> None:
    """Set the machine's clock to this host's, as root. Raises LabError with what the machine said."""
    result = transport.run(
        ["/bin/sh", "-c", f"date -u -s @{time.time():.3f} >/dev/null && {{ {LEASE}; }}"], limit=LIMIT
    )
    if not result.ok:
        said = result.stderr.strip().splitlines()[-1:] or [f"exit code {result.code}"]
        raise LabError(f"{node} goes on, and its clock could not be set: {said[0]}", hint=f"`labctl restart {node}`")
