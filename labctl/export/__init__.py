"""A lab for other tools: logs for a bug report, an SSH configuration, an Ansible inventory."""

from labctl.export.access import inventory, ssh_config
from labctl.export.archive import Collector, write_archive
from labctl.export.collectors import host_collectors, lab_collectors
from labctl.export.redaction import Redactor

__all__ = ["Collector", "Redactor", "host_collectors", "inventory", "lab_collectors", "ssh_config", "write_archive"]
