"""What follows the ports that a swarm publishes, and lets a proxy open them on this host's 127.0.0.1.

It runs beside nginx in a container of labctl's services image (`python3 -m follower`). It is copied there without the
rest of labctl, so it uses the standard library alone, and of that only what Debian's python3-minimal has.
docs/ports.md tells how it works.
"""

from __future__ import annotations
