"""labctl snapshot on a lab of virtual machines that stands still: what is listed, offered, asked and refused."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import click
import pytest

from labctl.backend import Snapshot
from labctl.backend.vagrant.labfile import VmLab, folder_of
from labctl.cli.completers import complete_snapshots
from labctl.spec import NodeSpec
from labctl.state import lab_dir

from .conftest import Labctl

TAKEN = 1_700_000_000.0
WHEN = time.strftime("%Y-%m-%d %H:%M:%S%z", time.localtime(TAKEN))


@pytest.fixture(autouse=True)
def words(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab of two suspended machines and two snapshots, and a vagrant that notes its words in the file returned."""
    lab_dir("lab")
    folder_of("lab").mkdir()
    lab = VmLab("lab", "libvirt", "192.168.57.0/24", spec={"name": "lab", "workers": 1, "backend": "vagrant"})
    for node, address in (NodeSpec(name="manager1", role="manager"), "11"), (NodeSpec(name="worker1"), "12"):
        lab = lab.with_node(node, f"192.168.57.{address}").given(node.name)
    nodes = ("manager1", "worker1")
    replace(lab, snapshots=(Snapshot("fresh", TAKEN, nodes), Snapshot("later", TAKEN + 60, nodes))).save()
    program, said = tmp_path / "bin" / "vagrant", tmp_path / "words"
    program.parent.mkdir()
    states = "; ".join(f"echo '1,{name},provider-name,libvirt'; echo '1,{name},state,paused'" for name in nodes)
    listed = "; ".join(f"echo '1,{name},ui,detail,fresh'" for name in nodes)
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {said}\ncase "$*" in status*) {states};; "snapshot list"*) {listed};; esac\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return said


def test_snapshots_are_listed_oldest_first(labctl: Labctl) -> None:
    lines = labctl("snapshot", "ls").out.splitlines()

    assert lines[0].split() == ["SNAPSHOT", "TAKEN", "SIZE", "NODES"]
    assert lines[1] == f"fresh      {WHEN}   -      manager1, worker1"
    rows = json.loads(labctl("snapshot", "ls", "-o", "json").out)
    assert [(row["name"], row["size"]) for row in rows] == [("fresh", None), ("later", None)]


def test_names_are_offered() -> None:
    context, param = click.Context(click.Command("x")), click.Option(["-x"])

    assert complete_snapshots(context, param, "") == ["fresh", "later"]
    assert complete_snapshots(context, param, "f") == ["fresh"]


@pytest.mark.parametrize("verb", ["restore", "rm"])
def test_a_name_that_is_not_there_is_answered_with_the_nearest(labctl: Labctl, verb: str) -> None:
    said = labctl("snapshot", verb, "frsh")

    assert said.code == 2
    assert "no snapshot named 'frsh': did you mean fresh?" in said.err


def test_nothing_is_put_back_unasked(labctl: Labctl, words: Path) -> None:
    said = labctl("snapshot", "restore", "fresh")

    assert said.code == 2
    assert f"back to what it was at {WHEN}?" in said.err
    assert "`--yes` answers ahead" in said.err
    assert "restore" not in words.read_text()


def test_of_several_none_is_removed_when_one_is_not_there(labctl: Labctl, words: Path) -> None:
    assert labctl("snapshot", "rm", "fresh", "frsh").code == 2
    assert "delete" not in words.read_text()

    said = labctl("snapshot", "rm", "fresh", "later")
    assert (said.code, said.err) == (0, "fresh: removed.\nlater: removed.\n")
    assert [line for line in words.read_text().splitlines() if "delete" in line] == [
        "snapshot delete /^(manager1|worker1)$/ fresh"
    ]
    assert json.loads(labctl("snapshot", "ls", "-o", "json").out) == []


def test_a_lab_that_is_suspended_is_told_as_that(labctl: Labctl) -> None:
    assert labctl("suspend").err == "Nothing to do: lab lab: all of it is suspended already.\n"
    assert labctl("status", "worker1").out == "Paused\n"
