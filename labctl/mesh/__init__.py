"""The routing mesh and VIPs of a swarm on a kernel that has no IPVS, made of NAT rules.

The agent of this package runs inside a node (`python3 -m mesh`). It is copied there without the rest of
labctl, so it uses the standard library alone, and of that only what Debian's python3-minimal has.
docs/mesh.md tells how it works.
"""

from __future__ import annotations
