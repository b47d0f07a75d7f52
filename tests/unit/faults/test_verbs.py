"""What faults are asked for, and what is refused, without a lab."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from labctl.cli.fault import _refuse_unused
from labctl.errors import CommandFailed, LabError, NodeDown, NotFoundError, UsageError
from labctl.faults import KINDS, Fault, active, heal, inject, kind_named, pick, planned, seconds_of
from labctl.faults.innode import PLACE, injection
from labctl.state import lab_path
from labctl.transport import Result

from .scenes import Answering, node, scene_of

MANAGERS = tuple(f"manager{number}" for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("30", 30), ("5m", 300), ("1h", 3600), (" 1.5m ", 90), ("0.5s", 0.5)]
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "soon", "1d", "1m30s", "٣s", "9999999s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        seconds_of(text)


def test_an_unknown_fault_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="did you mean partition"):
        kind_named("partitoin")


def test_faults_are_planned_one_for_each_target_with_the_defaults() -> None:
    faults = planned(kind_named("block"), ["w1", "w2", "w1"], {}, 30.0)

    assert [fault.target for fault in faults] == ["w1", "w2"]
    assert {fault.options["port"] for fault in faults} == {"4789"}
    assert all(25 < (fault.left or 0) <= 30 for fault in faults)
    assert len({fault.id for fault in faults}) == 2


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("cut", {"port": "80"}, "takes no --port; it takes none"),
        ("delay", {"port": "80"}, "it takes --delay, --jitter, --reorder"),
        ("block", {"port": "http"}, "--port http"),
        ("block", {"port": "65536"}, "--port 65536"),
        ("loss", {"share": "0%"}, "--share 0%"),
        ("loss", {"share": "101%"}, "--share 101%"),
        ("rate", {"rate": "1mbit; reboot"}, "--rate 1mbit; reboot"),
        ("delay", {"delay": "1s"}, "--delay 1s"),
        ("mtu", {"size": "9000"}, "--size 9000"),
        ("cpu", {"busy": "many"}, "--busy many"),
        ("cpu", {"busy": "-3"}, "--busy -3: expected loops from 0"),
        ("loss", {"share": "0.001"}, "--share 0.001: expected a percentage from 0.01"),
        ("loss", {"share": "nan"}, "--share nan: expected a percentage"),
        ("loss", {"share": "half"}, "--share half: expected a percentage"),
        ("loss", {"share": "٥"}, "--share ٥: expected a percentage"),
        ("rate", {"rate": "0kbit"}, "--rate 0kbit: expected a rate"),
        ("mtu", {"size": "1_300"}, "--size 1_300: expected bytes"),
        ("delay", {"reorder": "-1%"}, "--reorder -1%: expected a percentage from 0"),
        ("kill-tasks", {"share": "some"}, "--share some: expected a number"),
        ("kill-tasks", {"share": "x%"}, "--share x%: expected a number"),
        ("partition", {"from": "worker1\nworker2"}, "expected a line of text"),
        ("kill-tasks", {"share": "0"}, "--share 0"),
    ],
)
def test_options_are_checked_before_anything_is_done(kind: str, options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        planned(kind_named(kind), ["w1"], options)
    assert says in caught.value.message


def test_a_single_blow_takes_no_time() -> None:
    with pytest.raises(UsageError, match="a single blow"):
        planned(kind_named("kill-tasks"), ["web"], {}, 30.0)


def test_the_same_seed_picks_the_same_nodes() -> None:
    nodes = [node(f"worker{number}") for number in range(1, 11)]
    names = [one.name for one in pick(nodes, "30%", "7")]

    assert len(names) == 3
    assert [one.name for one in pick(list(reversed(nodes)), "3", "7")] == list(reversed(names))
    assert pick(nodes) == nodes
    assert len(pick(nodes, "1%", "7")) == 1


@pytest.mark.parametrize("share", ["0", "11", "-1", "half", "0%", "101%"])
def test_what_picks_no_nodes_is_refused(share: str) -> None:
    with pytest.raises(UsageError, match="--pick"):
        pick([node(f"worker{number}") for number in range(1, 11)], share)


@pytest.mark.parametrize(
    "kind", [kind.name for kind in KINDS.values() if kind.breaks_node and kind.name != "partition"]
)
def test_the_managers_keep_their_majority_unless_one_is_sure(kind: str) -> None:
    scene = scene_of(*(node(name) for name in MANAGERS), node("worker1"))

    inject(scene, planned(kind_named(kind), ["worker1", "manager1"]))
    with pytest.raises(UsageError, match="no majority"):
        inject(scene, planned(kind_named(kind), ["manager2", "manager3"]))


def test_one_that_fails_takes_the_others_back() -> None:
    def fails(text: str) -> Result:
        return Result(text, 1, stderr="no room") if "mkdir -p" in text else Result(text, 0)

    good, bad = node("worker1"), node("worker2", fails)
    scene = scene_of(node("manager1"), good, bad)
    faults = planned(kind_named("cut"), ["worker1", "worker2"])

    with pytest.raises(CommandFailed, match="worker2: `inject cut` exited 1: no room"):
        inject(scene, faults)

    assert isinstance(good.transport, Answering)
    assert f"sh {PLACE}/{faults[0].id}/undo" in good.transport.commands[-1]


def test_memory_is_not_taken_from_the_host() -> None:
    with pytest.raises(LabError, match="has no limit of memory"):
        inject(scene_of(node("manager1"), node("worker1")), planned(kind_named("memory"), ["worker1"]))
    inject(scene_of(node("manager1"), node("worker1"), memory=1 << 30), planned(kind_named("memory"), ["worker1"]))


@pytest.mark.parametrize("kind", ["cut", "stop", "disk"])
def test_a_node_that_is_down_is_told(kind: str) -> None:
    scene = scene_of(node("manager1"), node("worker1", state="exited"))
    with pytest.raises(NodeDown, match="worker1 is exited"):
        inject(scene, planned(kind_named(kind), ["worker1"]))


def test_what_a_node_is_told_is_good_shell(tmp_path: Path) -> None:
    """The whole text, and each script in it, for every kind."""
    bash = shutil.which("bash")
    assert bash is not None
    scene = scene_of(node("manager1"), node("worker1"), memory=1 << 30)
    worker = scene.nodes[1]
    for kind, seconds in itertools.product(KINDS.values(), (None, 30.0)):
        if kind.healer != "node":
            continue
        options = {"from": "manager1"} if kind.name == "partition" else {}
        (fault,) = planned(kind, ["worker1"], options, seconds)
        script = kind.script(scene, worker, fault)  # type: ignore[attr-defined]  # all that nodes heal have one
        for number, text in enumerate((injection(worker, fault, script), script.do, script.undo, script.probe)):
            file = tmp_path / f"{kind.name}{number}.sh"
            file.write_text(text)
            assert subprocess.run([bash, "-n", str(file)], capture_output=True, check=False).stderr == b"", kind.name


def test_a_stop_is_noted_while_it_acts_and_forgotten_when_the_node_is_back() -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    (fault,) = inject(scene, planned(kind_named("stop"), ["worker1"]))
    note = lab_path("lab") / "faults" / f"{fault.id}.json"

    assert note.exists()
    assert active(scene) == [fault]
    assert heal(scene) == [fault]
    assert active(scene) == []
    assert not note.exists()


def test_a_node_that_somebody_started_has_no_fault_any_more() -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    (fault,) = inject(scene, planned(kind_named("kill"), ["worker1"]))
    scene.backend.start(scene.nodes[1])

    assert active(scene) == []
    assert not (lab_path("lab") / "faults" / f"{fault.id}.json").exists()


def test_a_note_that_nobody_can_read_is_dropped() -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    (fault,) = inject(scene, planned(kind_named("stop"), ["worker1"]))
    note = lab_path("lab") / "faults" / f"{fault.id}.json"
    note.write_text('{"id": "abc", "kind": 7')

    assert active(scene) == []
    assert not note.exists()


def test_healing_an_unknown_fault_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no fault named 'abcdef'"):
        heal(scene_of(node("manager1")), ["abcdef"])


def test_a_fault_knows_how_long_it_lasts() -> None:
    assert Fault("1", "cut", "w1").left is None
    assert Fault("1", "cut", "w1", until=0.0).left == 0.0


NFT = """\
Error: conflicting expressions
    numgen random mod 10000 < 10000 drop
    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""


def test_of_what_nft_says_the_line_that_says_what_is_wrong_is_told() -> None:
    worker = node("worker1", lambda text: Result(text, 1, stderr=NFT) if "mkdir -p" in text else Result(text, 0))
    with pytest.raises(CommandFailed, match=r"`inject cut` exited 1: Error: conflicting expressions$"):
        inject(scene_of(node("manager1"), worker), planned(kind_named("cut"), ["worker1"]))


@pytest.mark.parametrize(("share", "rule"), [("100%", "drop"), ("99.99", "9999 drop"), ("0.01%", "mod 10000 < 1 drop")])
def test_what_is_lost_is_what_was_asked_for(share: str, rule: str) -> None:
    scene = scene_of(node("manager1"), node("worker1"))
    (fault,) = planned(kind_named("loss"), ["worker1"], {"share": share})
    into, out = kind_named("loss").lost(scene, scene.nodes[1], fault)  # type: ignore[attr-defined]
    assert (into[0].endswith(rule), out) == (True, [])


@pytest.mark.parametrize(
    ("kind", "flags", "says"),
    [
        ("bad-image", {"label": "a=b"}, "--label is of no account: bad-image acts on services"),
        ("bad-image", {"pick": "1"}, "--pick is of no account"),
        ("unhealthy", {"seed": "1"}, "--seed is of no account"),
        ("bad-image", {"service": "web"}, "either a service's name or --service"),
        ("cut", {"seed": "1"}, "--seed picks nothing without --pick"),
        ("cut", {"seed": "1", "pick": "1"}, ""),
        ("kill-tasks", {"seed": "1"}, ""),
    ],
)
def test_flags_of_no_account_are_refused(kind: str, flags: dict[str, str], says: str) -> None:
    given = {"label": None, "pick": None, "seed": None, "service": None, **flags}
    if not says:
        _refuse_unused(kind_named(kind), ["w1"], given)
        return
    with pytest.raises(UsageError, match=says):
        _refuse_unused(kind_named(kind), ["w1"], given)
