"""What nodes are asked for a report."""

from __future__ import annotations

from labctl.backend.daemon import DIAGNOSTIC_PORT
from labctl.export.collectors import COMMANDS


def test_gossip_is_asked_where_the_nodes_engines_answer() -> None:
    assert f"http://127.0.0.1:{DIAGNOSTIC_PORT}/clusterpeers" in COMMANDS["networkdb.txt"]
    assert ":2000/" not in "".join(COMMANDS.values())


def test_no_command_line_is_shown() -> None:
    asked = COMMANDS["processes.txt"]

    assert asked.startswith("ps -e -o ") and "args" not in asked and "cmd" not in asked
