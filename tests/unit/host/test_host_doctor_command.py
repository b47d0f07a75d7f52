"""`labctl doctor` as it is typed: what it prints, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from labctl import host
from labctl.cli.doctor import doctor
from labctl.errors import UsageError
from labctl.host.examine import decide
from labctl.host.facts import EngineFacts, Facts
from labctl.host.report import Report, Row, Verdict


@pytest.fixture
def ill(facts: Facts) -> Facts:
    """A machine with an engine that does not run, and neighbours for few nodes."""
    return replace(facts, nodes=60, engine=EngineFacts(error="nobody listens"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Report]]:
    """The reports that the command is given, in turn; the last one again and again."""
    reports: list[Report] = []
    monkeypatch.setattr(host, "examine", lambda _nodes: reports[0])
    yield reports


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


def test_a_machine_that_is_well(facts: Facts, shown: list[Report]) -> None:
    shown.append(decide(facts))
    result = run()
    assert result.exit_code == 0
    assert result.stderr == "A lab of 4 nodes can run here.\n"
    lines = result.stdout.splitlines()
    advice = [line for line in lines if line.startswith(" ")]
    assert [line.split()[:2] for line in advice] == [["->", "install"]], "engine 20.10 and the ports on 127.0.0.1"
    assert len(lines) - len(advice) == len(shown[0])
    assert all(line.startswith("good  ") for line in lines if line not in advice)


def test_a_machine_that_is_ill(ill: Facts, shown: list[Report]) -> None:
    shown.append(decide(ill))
    result = run("--nodes", "60")
    assert result.exit_code == 3
    assert "mend         Docker engine" in result.stdout
    assert "-> labctl doctor --fix\n" in result.stdout
    assert (
        "cannot run here yet: Docker engine, neighbour table. `labctl doctor --nodes 60 --fix` sees to it."
        in result.stderr
    )


def test_json_is_all_there_is_on_stdout(ill: Facts, shown: list[Report]) -> None:
    shown.append(decide(ill))
    result = run("--output", "json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["good"], told["nodes"]) == (3, False, 4)
    assert {row["verdict"] for row in told["rows"]} <= {"good", "made-up-for", "unavailable", "mend"}
    assert set(told["rows"][0]) == {"id", "title", "verdict", "found", "fix", "fixable"}


def test_every_row_has_an_id_of_its_own_and_every_mend_a_line(facts: Facts, ill: Facts) -> None:
    nothing = replace(Facts(engine=EngineFacts(error="none", elsewhere=True, error_hint="unset it")), nodes=1000)
    for report in (decide(facts), decide(ill), decide(nothing)):
        assert len({row.id for row in report}) == len(report)
        assert all(row.fix for row in report.to_mend)
        assert all("\n" not in f"{row.found}{row.fix}" for row in report)


def test_root_is_not_told_to_use_sudo(ill: Facts) -> None:
    ann = replace(ill, machine=replace(ill.machine, is_root=False))
    assert str(decide(ann).row("neighbours").fix).startswith("sudo sysctl -w net.ipv4")
    assert str(decide(ill).row("neighbours").fix).startswith("sysctl -w net.ipv4")
    assert decide(ann).row("engine").fix == 'sudo "$(command -v labctl)" doctor --fix'


def test_fix_asks_nobody_where_nobody_is(ill: Facts, shown: list[Report]) -> None:
    shown.append(decide(ill))
    result = run("--fix")
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    assert "Docker engine" in str(result.exception)
    assert "--yes" in str(result.exception.hint)


def test_fix_on_a_machine_that_is_well_changes_nothing(facts: Facts, shown: list[Report]) -> None:
    shown.append(decide(facts))
    assert run("--fix").exit_code == 0


@pytest.mark.parametrize("nodes", ["0", "-1", "four", ""])
def test_a_number_of_nodes_that_is_none(nodes: str) -> None:
    assert run("--nodes", nodes).exit_code == 2


def test_a_report_answers_for_itself() -> None:
    rows = [Row("a", "A", Verdict.GOOD, "fine"), Row("b", "B", Verdict.MEND, "broken", "mend it", True)]
    report = Report(rows)
    assert (report.good, report.to_mend, report.fixable) == (False, (rows[1],), (rows[1],))
    assert report.row("a") is rows[0]
    with pytest.raises(KeyError):
        report.row("c")
    assert json.loads(json.dumps(report.to_dict()))["rows"][1]["fixable"] is True
