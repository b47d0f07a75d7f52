"""What this machine can give a lab: examined before anything is made, told in one line each, mended where it can be."""

from labctl.host.capabilities import grantable_capabilities, node_confinement
from labctl.host.examine import examine, preflight
from labctl.host.hub import hub_reachable
from labctl.host.limits import raise_limits
from labctl.host.mend import mend
from labctl.host.network_facts import uplink_mtu
from labctl.host.report import Report, Row, Verdict
from labctl.host.subnets import RANGES, free_subnet, is_subnet_taken, overlaps, refuse_overlap
from labctl.host.virtual import examine_virtual, mend_virtual, preflight_virtual

__all__ = [
    "RANGES",
    "Report",
    "Row",
    "Verdict",
    "examine",
    "examine_virtual",
    "free_subnet",
    "grantable_capabilities",
    "hub_reachable",
    "is_subnet_taken",
    "mend",
    "mend_virtual",
    "node_confinement",
    "overlaps",
    "preflight",
    "preflight_virtual",
    "raise_limits",
    "refuse_overlap",
    "uplink_mtu",
]
