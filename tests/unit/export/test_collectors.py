"""What nodes are asked for a report."""

from __future__ import annotations

from labctl.backend.daemon import DIAGNOSTIC_PORT
from labctl.export.collectors import COMMANDS, _command_look
from labctl.transport import Result

from ..nodes import fake_node


def test_gossip_is_asked_where_the_nodes_engines_answer() -> None:
    assert f"http://127.0.0.1:{DIAGNOSTIC_PORT}/clusterpeers" in COMMANDS["networkdb.txt"]
    assert ":2000/" not in "".join(COMMANDS.values())


def test_no_command_line_is_shown() -> None:
    asked = COMMANDS["processes.txt"]

    assert asked.startswith("ps -e -o ") and "args" not in asked and "cmd" not in asked


def test_what_was_left_out_of_a_nodes_answer_is_told() -> None:
    node = fake_node("worker1")
    node.shell.answers["nft list ruleset"] = Result("", 0, "end", "", 1.0, 20 << 20)

    assert _command_look(node, "nft list ruleset")() == "[20 MiB before this were left out]\nend"
