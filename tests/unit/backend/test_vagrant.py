"""The vagrant backend without a machine: what it writes down, how it talks to Vagrant, what it makes of the answers."""

from __future__ import annotations

import json
import re
import stat
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labctl.backend import Snapshot
from labctl.backend.base import NodePlan
from labctl.backend.vagrant import snapshots
from labctl.backend.vagrant.backend import VagrantBackend
from labctl.backend.vagrant.boot import Boot, console_tail
from labctl.backend.vagrant.firstboot import fit, hosts_file
from labctl.backend.vagrant.labfile import Box, VmLab, folder_of, spec_of
from labctl.backend.vagrant.tool import Tool
from labctl.backend.vagrant.waking import set_clock
from labctl.errors import HostError, LabError
from labctl.spec import LabSpec, NewerNote, NodeSpec
from labctl.state import lab_dir, labs_of_machines
from labctl.transport import FakeTransport, Result
from labctl.waiting import stretched

from ..nodes import fake_node

SUBNET = "192.168.57.0/24"


@pytest.fixture
def lab(state: Path) -> VmLab:
    """A lab of two machines, written down."""
    lab_dir("demo")
    folder_of("demo").mkdir()
    made = VmLab(
        "demo",
        "libvirt",
        SUBNET,
        "192.168.58.0/24",
        Box("labctl-1", url="file:///b.box", kernel="/k"),
        spec={"name": "demo"},
    )
    made = made.with_node(NodeSpec(name="manager1", role="manager", memory="2g", cpus=2), "192.168.57.11")
    made = made.with_node(NodeSpec(name="worker1"), "192.168.57.12")
    made.save()
    return made


def vagrant_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a program named vagrant first on PATH; it notes its words in the file that is returned."""
    folder = tmp_path / "bin"
    folder.mkdir()
    words = tmp_path / "words"
    program = folder / "vagrant"
    program.write_text(f'#!/bin/sh\necho "$*" >> {words}\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return words


def test_a_lab_is_read_as_it_was_written(lab: VmLab) -> None:
    assert VmLab.load("demo") == lab
    assert labs_of_machines() == ["demo"]


@pytest.mark.parametrize(("driver", "factor"), [("qemu", 3), ("kvm", 1)])
def test_emulated_machines_are_given_more_time(
    lab: VmLab, driver: str, factor: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vagrant_that(tmp_path, monkeypatch, "exit 1")
    monkeypatch.delenv("LABCTL_PATIENCE", raising=False)
    replace(lab, driver={"driver": driver}, nodes=()).save()

    assert VagrantBackend().find("demo") is not None
    assert stretched(10) == 10 * factor


def test_the_vagrantfile_is_told_all_it_needs(lab: VmLab) -> None:
    said = json.loads((folder_of("demo") / "lab.json").read_text())

    assert said["network"]["netmask"] == "255.255.255.0"
    assert said["network"]["gateway"] == "192.168.57.1"
    assert said["libvirt"]["kernel"] == "/k"
    first = said["nodes"][0]
    assert (first["machine"], first["memory_mib"], first["cpus"]) == ("demo-manager1", 2048, 2)
    assert Path(first["console"]).parent.name == "consoles"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"lab": 1}', "\x00"])
def test_what_cannot_be_read_names_the_file_and_the_mend(lab: VmLab, content: str) -> None:
    (folder_of("demo") / "lab.json").write_text(content)

    with pytest.raises(LabError, match=r"lab\.json cannot be read") as caught:
        VmLab.load("demo")
    assert "vagrant destroy" in str(caught.value.hint)


def test_a_lab_of_another_version_is_read_or_refused_with_the_way_out(lab: VmLab) -> None:
    file = folder_of("demo") / "lab.json"
    said = json.loads(file.read_text())
    first = {key: value for key, value in said.items() if key not in ("format", "owner", "snapshots", "restoring")}
    file.write_text(json.dumps(first))
    assert VmLab.load("demo") == replace(lab, owner="", snapshots=(), restoring="")

    file.write_text(json.dumps(said | {"format": 2, "nodes": "elsewhere"}))
    with pytest.raises(LabError, match=r"lab demo was made by a newer labctl: .*lab\.json is of format 2") as caught:
        VmLab.load("demo")
    assert "pip install --upgrade swarm-labctl" in str(caught.value.hint)

    file.write_text(json.dumps(said | {"spec": {"hollow": 1}}))
    known = VmLab.load("demo")
    assert known is not None
    with pytest.raises(NewerNote, match="it says hollow"):
        spec_of(known)


def test_a_lab_that_was_never_made_is_none(state: Path) -> None:
    assert VmLab.load("nothing") is None
    assert VagrantBackend().find("nothing") is None
    assert VagrantBackend().destroy("nothing") == []


def test_nodes_know_each_other_the_registry_and_the_manager(lab: VmLab) -> None:
    lines = hosts_file(lab).splitlines()

    assert "192.168.57.1 registry mirror hub" in lines
    assert "192.168.57.11 manager1 manager m1" in lines
    assert "192.168.57.12 worker1 w1" in lines


def test_another_provider_than_the_labs_is_refused(lab: VmLab) -> None:
    backend = VagrantBackend(provider="virtualbox", box=Box("b"))

    with pytest.raises(LabError, match="lab demo was made with libvirt, not with virtualbox"):
        backend.create_base(LabSpec(name="demo"), SUBNET)


def test_several_machines_are_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "exit 0")
    tool = Tool(tmp_path, "libvirt")

    tool.up(["manager1", "worker1"])
    tool.halt(["worker1"], force=True)

    assert words.read_text().splitlines() == [
        "up /^(manager1|worker1)$/ --provider=libvirt",
        "halt worker1 --force",
    ]


def test_each_machines_lines_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant_that(tmp_path, monkeypatch, 'echo "Bringing up"; echo "==> w1: Booting VM..."; echo "    w1: SSH: x"')
    heard: list[str] = []

    boot = Boot(tmp_path, "libvirt", ["w1"], heard.append)
    boot.wait()

    assert heard == ["w1: Booting VM", "w1: SSH: x"]
    assert boot.said("w1") == "SSH: x"


def test_a_failure_is_vagrants_own_words_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant_that(tmp_path, monkeypatch, 'echo "==> w1: Booting"; echo "The box is broken." >&2; exit 1')

    with pytest.raises(LabError, match=r"^vagrant up failed: The box is broken\.$"):
        Tool(tmp_path, "libvirt").up(["w1"])


def test_no_vagrant_is_told_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(HostError, match="Vagrant is not installed") as caught:
        Tool(tmp_path, "libvirt").up(["w1"])
    assert "doctor --backend vagrant" in str(caught.value.hint)


def test_states_are_the_same_word_for_every_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant_that(
        tmp_path,
        monkeypatch,
        "echo '1,w1,provider-name,libvirt'; echo '1,w1,state,shutoff'; "
        "echo '1,w2,provider-name,libvirt'; echo '1,w2,state,not_created'",
    )

    assert Tool(tmp_path, "libvirt").states() == {"w1": "poweroff", "w2": "not_created"}


def test_a_hanging_machines_last_word_is_found(tmp_path: Path) -> None:
    console = tmp_path / "w1.log"
    console.write_bytes(b"[ 1.0] one\r\n[ 2.0] Kernel panic - not syncing\r\n\r\n")

    assert console_tail(console) == "[ 2.0] Kernel panic - not syncing"
    assert console_tail(tmp_path / "none") == ""


# -- stand still, and snapshots


def test_machines_stand_still_and_go_on_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "exit 0")
    tool = Tool(tmp_path, "libvirt")

    tool.suspend(["manager1", "worker1"])
    tool.resume(["worker1"])

    assert words.read_text().splitlines() == ["suspend /^(manager1|worker1)$/", "resume worker1"]


BOTH = "/^(manager1|worker1)$/"
LIST = """case "$*" in *list*)
echo '1,manager1,metadata,provider,libvirt'; echo '1,manager1,ui,output,==> manager1: '
echo '1,manager1,ui,detail,fresh'; echo '1,manager1,ui,detail,later'
WORKER
esac
"""
WITHOUT = "echo '1,worker1,ui,output,==> worker1: None'; echo '1,worker1,ui,detail,    worker1: You can take one'"
WITH = "echo '1,worker1,ui,detail,fresh'"
FRESH = Snapshot("fresh", 1.0, ("manager1", "worker1"))


def test_each_machines_snapshots_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant_that(tmp_path, monkeypatch, LIST.replace("WORKER", WITHOUT))

    assert Tool(tmp_path, "libvirt").snapshots() == {"manager1": ["fresh", "later"]}


def test_a_snapshot_is_written_down_once_it_is_whole(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "exit 0")

    snapshots.save(lab, Tool(tmp_path, "libvirt"), "fresh")

    assert words.read_text().splitlines() == [f"snapshot save --force {BOTH} fresh"]
    (made,) = VagrantBackend().snapshots("demo")
    assert (made.name, made.nodes) == ("fresh", ("manager1", "worker1"))
    assert made.taken > 1e9


def test_what_is_half_saved_is_removed(lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = LIST.replace("WORKER", WITHOUT) + 'case "$*" in *save*) echo "No space." >&2; exit 1;; esac'
    words = vagrant_that(tmp_path, monkeypatch, said)

    with pytest.raises(LabError, match=r"vagrant snapshot failed: No space\."):
        snapshots.save(lab, Tool(tmp_path, "libvirt"), "fresh")

    assert words.read_text().splitlines()[-1] == "snapshot delete manager1 fresh"
    assert VagrantBackend().snapshots("demo") == []


def test_a_snapshot_that_is_not_whole_any_more_is_told(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = vagrant_that(tmp_path, monkeypatch, LIST.replace("WORKER", WITHOUT))

    with pytest.raises(LabError, match="snapshot fresh has nothing of worker1 any more") as caught:
        snapshots.check(replace(lab, snapshots=(FRESH,)), Tool(tmp_path, "libvirt"), "fresh")

    assert "labctl snapshot rm fresh" in (caught.value.hint or "")
    assert words.read_text().splitlines() == ["snapshot list --machine-readable"]


def test_a_lab_that_is_put_back_in_part_is_told_as_that(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vagrant_that(tmp_path, monkeypatch, 'echo "No space." >&2; exit 1')

    with pytest.raises(LabError, match=r"vagrant snapshot failed: No space\.") as caught:
        snapshots.restore(replace(lab, snapshots=(FRESH,)), Tool(tmp_path, "libvirt"), "fresh")
    assert "`labctl snapshot restore fresh`" in (caught.value.hint or "")


def test_none_of_a_lab_that_is_put_back_in_part_goes_on_before_all_of_it_is(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vagrant_that(tmp_path, monkeypatch, "exit 1")
    backend, tool = VagrantBackend(), Tool(tmp_path, "libvirt")
    replace(lab, snapshots=(FRESH,)).save()
    with pytest.raises(LabError):
        backend.restore_snapshot("demo", "fresh")

    node = replace(fake_node("worker1", state="paused"), lab="demo")
    for verb in (backend.start, backend.resume, backend.stop):
        with pytest.raises(LabError, match="lab demo is put back to snapshot fresh in part"):
            verb(node)

    (tmp_path / "bin" / "vagrant").write_text("#!/bin/sh\nexit 0\n")
    known = VmLab.load("demo")
    assert known is not None
    snapshots.restore(known, tool, "fresh")
    again = VmLab.load("demo")
    assert again is not None
    snapshots.refuse_half_restored(again)


def test_a_machine_that_is_down_has_nothing_to_go_on_with(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "echo '1,worker1,state,shutoff'")
    replace(lab, nodes=tuple(replace(node, address="127.0.0.2", is_given=True) for node in lab.nodes)).save()
    was_running = replace(fake_node("worker1"), lab="demo")

    assert VagrantBackend().resume(was_running).state == "exited"
    assert not any("resume" in line for line in words.read_text().splitlines())


def test_ctrl_c_does_not_leave_some_machines_put_back_and_others_not(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = (
        f'case "$*" in *restore*) [ -e {tmp_path}/pressed ] || {{ touch {tmp_path}/pressed; kill -INT $PPID; }};; esac'
    )
    words = vagrant_that(tmp_path, monkeypatch, LIST.replace("WORKER", WITH) + press)

    with pytest.raises(KeyboardInterrupt):
        snapshots.restore(replace(lab, snapshots=(FRESH,)), Tool(tmp_path, "libvirt"), "fresh")

    assert words.read_text().splitlines() == [f"snapshot restore {BOTH} fresh"] * 2


def test_what_is_left_of_a_snapshot_is_removed_and_then_struck_off(
    lab: VmLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(lab, snapshots=(FRESH,)).save()
    words = vagrant_that(tmp_path, monkeypatch, LIST.replace("WORKER", WITHOUT))

    VagrantBackend().delete_snapshot("demo", "fresh")
    assert words.read_text().splitlines()[1:] == ["snapshot delete manager1 fresh"]
    assert VagrantBackend().snapshots("demo") == []


def test_a_provider_without_snapshots_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vagrant_that(tmp_path, monkeypatch, """echo "This provider doesn't support snapshots." >&2; exit 1""")

    with pytest.raises(HostError, match="machines of parallels have no snapshots"):
        Tool(tmp_path, "parallels").save_snapshot(["w1"], "fresh")


def test_a_lab_that_was_written_before_there_were_snapshots_is_read(lab: VmLab) -> None:
    path = folder_of("demo") / "lab.json"
    said = json.loads(path.read_text())
    del said["snapshots"]
    path.write_text(json.dumps(said))

    assert VmLab.load("demo") == lab


class Clock(FakeTransport):
    """Answers every command, with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code

    def run(self, command: str | Sequence[str], **_: object) -> Result:
        self.commands.append(" ".join(command))
        return Result("date", self.code, stderr="date: not permitted\n")


def test_a_machines_clock_is_set_to_this_hosts() -> None:
    transport = Clock(0)
    before = time.time()

    set_clock(transport, "worker1")

    found = re.search(r"date -u -s @([0-9.]+) ", transport.commands[-1])
    assert transport.commands[0] == "true", "to log in takes its time"
    assert found is not None and before - 0.01 <= float(found[1]) <= time.time() + 0.01


def test_a_clock_that_cannot_be_set_is_told() -> None:
    with pytest.raises(LabError, match="worker1 goes on, and its clock could not be set: date: not permitted"):
        set_clock(Clock(1), "worker1")


# -- boxes that labctl did not make


def test_the_plan_is_made_one_for_the_engine_that_the_machine_has() -> None:
    told: list[str] = []
    transport = FakeTransport({"dockerd --version": "Docker version 20.10.24+dfsg1, build 297e128\n"})
    plan = NodePlan(NodeSpec(name="worker1"), "10.8.0.12", {"mtu": 1500, "default-network-opts": {}})

    assert fit(transport, plan, told.append).engine_config == {"mtu": 1500}
    assert told == [
        "worker1: its engine (Docker version 20.10.24+dfsg1, build 297e128) does not know default-network-opts, "
        "which is left out"
    ]


def test_vagrant_tells_by_which_address_it_comes_into_a_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "echo 'Host w1'; echo '  HostName 172.20.8.9'; echo '  Port 22'")

    assert Tool(tmp_path, "hyperv").way_in("w1") == ("172.20.8.9", 22)
    assert words.read_text() == "ssh-config w1\n"


def test_whether_addresses_are_pinned_is_written_down_and_read_back(lab: VmLab) -> None:
    replace(lab, pinned=True, switch="mine").save()

    known = VmLab.load("demo")
    assert known is not None and (known.pinned, known.switch) == (True, "mine")


def test_only_virtualbox_is_told_to_let_none_go_on_before_all_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = vagrant_that(tmp_path, monkeypatch, "exit 0")

    for provider in ("libvirt", "virtualbox"):
        Tool(tmp_path, provider).restore_snapshot(["manager1", "worker1"], "fresh")

    assert words.read_text().splitlines() == [
        "snapshot restore /^(manager1|worker1)$/ fresh",
        "snapshot restore --no-start /^(manager1|worker1)$/ fresh",
    ]


def test_a_machine_that_comes_later_is_not_waited_for_before_vagrant_is_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    script = f'echo "==> manager1: Importing"; while [ ! -e {go} ]; do sleep 0.05; done; echo "==> worker1: Importing"'
    vagrant_that(tmp_path, monkeypatch, script)
    boot = Boot(tmp_path, "virtualbox", ["manager1", "worker1"], lambda _: None)
    boot.wait_begun("manager1")
    begun: list[str] = []

    def wait() -> None:
        boot.wait_begun("worker1")
        begun.append("worker1")

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.5)
    before = list(begun)
    go.touch()
    waiting.join(10)

    assert (before, begun) == ([], ["worker1"])
    boot.wait()


def test_a_launcher_that_is_deaf_to_interrupts_does_not_keep_vagrant_from_hearing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in HashiCorp's own package: a launcher ignores the signal, and the real program runs below it."""
    heard, ruby = tmp_path / "heard", tmp_path / "vagrant-ruby"
    ruby.write_text(f"#!/bin/bash\ntrap 'touch {heard}; exit 1' INT\necho '==> manager1: Booting'\n"
                    "while :; do sleep 0.05; done\n")  # fmt: skip
    ruby.chmod(0o755)
    vagrant_that(tmp_path, monkeypatch, f'trap "" INT; python3 -c "{AS_A_CHILD}" {ruby} "$@"')
    boot = Boot(tmp_path, "virtualbox", ["manager1"], lambda _: None)
    boot.wait_begun("manager1")

    boot.abort()

    assert heard.exists()


# A shell hands on what it ignores; Go's os/exec does not.
AS_A_CHILD = "; ".join(
    (
        "import signal, subprocess, sys",
        "signal.signal(signal.SIGINT, signal.SIG_DFL)",
        "sys.exit(subprocess.call(sys.argv[1:]))",
    )
)
