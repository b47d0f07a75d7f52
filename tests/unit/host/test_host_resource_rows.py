"""Memory, CPUs, disk and kernel limits, for few nodes and for many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import HostError
from labctl.events import CommandShown, Event, Noted
from labctl.host import decide_resources as rows
from labctl.host.facts import EngineFacts, Facts, LimitFacts, MachineFacts
from labctl.host.kernel_facts import gather_limits
from labctl.host.limits import inotify_changes, neighbour_changes, raise_limits
from labctl.host.report import Verdict

GIB = 1 << 30
GOOD, MEND = Verdict.GOOD, Verdict.MEND
DEFAULTS = LimitFacts(inotify_instances=128, inotify_watches=65536, gc_thresh=(128, 512, 1024))


def with_memory(facts: Facts, gib: float, nodes: int = 4, running: int = 0) -> Facts:
    machine = replace(facts.machine, memory_free=int(gib * GIB), cpus=64)
    engine = replace(facts.engine, info={**facts.engine.info, "NCPU": 64})
    return replace(facts, machine=machine, engine=engine, nodes=nodes, running=running)


def test_four_nodes_fit_into_two_gibibytes(facts: Facts) -> None:
    assert rows.decide_memory(with_memory(facts, 2)).verdict is GOOD


def test_a_thousand_nodes_are_refused_with_the_number_that_fits(facts: Facts) -> None:
    row = rows.decide_memory(with_memory(facts, 24, nodes=1000))
    assert row.verdict is MEND
    assert "1000 nodes would take 97.8 GiB of 24.0 GiB free" in row.found
    assert row.fix == "--nodes 239 fits"


def test_the_number_that_fits_is_one_that_passes_all_rows(facts: Facts) -> None:
    crowded = replace(facts, nodes=1000, machine=replace(facts.machine, memory_free=24 * GIB))
    assert rows.decide_memory(crowded).fix == "--nodes 150 fits", "two cores carry no more"
    assert rows.decide_cpus(replace(crowded, nodes=150)).verdict is GOOD


@given(gib=st.floats(0, 64), nodes=st.integers(1, 300), managers=st.integers(1, 7), running=st.integers(0, 300))
def test_what_is_offered_fits_and_one_more_does_not(gib: float, nodes: int, managers: int, running: int) -> None:
    machine = MachineFacts(memory_free=int(gib * GIB), cpus=1000)
    base = Facts(engine=EngineFacts(error="none"), machine=machine)
    asked = replace(base, nodes=max(nodes, managers), managers=managers, running=min(running, nodes))
    row = rows.decide_memory(asked)
    if row.verdict is MEND and "fits" in str(row.fix):
        fits = int(str(row.fix).split()[1])
        assert fits < asked.nodes
        assert rows.decide_memory(replace(asked, nodes=fits)).verdict is GOOD
        assert rows.decide_memory(replace(asked, nodes=fits + 1)).verdict is MEND


def test_nodes_that_run_already_are_not_counted_again(facts: Facts) -> None:
    assert rows.decide_memory(with_memory(facts, 0.55, nodes=4)).verdict is MEND
    assert rows.decide_memory(with_memory(facts, 0.55, nodes=4, running=4)).verdict is GOOD
    assert rows.decide_memory(with_memory(facts, 0.55, nodes=5, running=4)).verdict is MEND


def test_no_memory_at_all_offers_no_lab(facts: Facts) -> None:
    row = rows.decide_memory(with_memory(facts, 0.2))
    assert row.verdict is MEND
    assert str(row.fix).startswith("free ")


def test_desktop_is_measured_by_its_own_memory(facts: Facts) -> None:
    info = {"OperatingSystem": "Docker Desktop", "KernelVersion": "linuxkit", "MemTotal": 2 * GIB, "NCPU": 4}
    desktop = replace(facts, engine=EngineFacts(info=info), nodes=40)
    row = rows.decide_memory(desktop)
    assert row.verdict is MEND
    assert "Docker Desktop, Settings" in str(row.fix)


@pytest.mark.parametrize(("nodes", "verdict"), [(100, GOOD), (150, GOOD), (151, MEND), (200, MEND)])
def test_two_cores_carry_a_hundred_nodes_and_not_two_hundred(facts: Facts, nodes: int, verdict: Verdict) -> None:
    assert rows.decide_cpus(replace(facts, nodes=nodes)).verdict is verdict


def test_a_bridge_takes_a_thousand(facts: Facts) -> None:
    engine = replace(facts.engine, info={**facts.engine.info, "NCPU": 128})
    assert rows.decide_cpus(replace(facts, engine=engine, nodes=1000)).verdict is GOOD
    assert rows.decide_cpus(replace(facts, engine=engine, nodes=1001)).verdict is MEND


@pytest.mark.parametrize(("gib", "verdict"), [(50, GOOD), (2.1, GOOD), (1.9, MEND), (0, MEND)])
def test_disk(facts: Facts, gib: float, verdict: Verdict) -> None:
    engine = replace(facts.engine, disk_free=int(gib * GIB))
    assert rows.decide_disk(replace(facts, engine=engine)).verdict is verdict


def test_what_snapshots_take_of_the_disk_is_told(facts: Facts) -> None:
    engine = replace(facts.engine, disk_free=GIB, snapshots=3 * GIB)
    row = rows.decide_disk(replace(facts, engine=engine))
    assert "1.0 GiB free in /var/lib/docker; snapshots take 3.0 GiB" in row.found
    assert "`labctl snapshot ls` and `docker system df` show what takes it" in str(row.fix)


def test_disk_for_images_that_are_not_there_yet(facts: Facts) -> None:
    engine = replace(facts.engine, disk_free=2 * GIB + GIB // 2, has_base_image=False)
    row = rows.decide_disk(replace(facts, engine=engine))
    assert row.verdict is MEND
    assert "free 1.5 GiB" in str(row.fix)


def test_a_disk_out_of_sight_is_not_judged(facts: Facts) -> None:
    assert rows.decide_disk(replace(facts, engine=replace(facts.engine, disk_free=None))).verdict is GOOD


@pytest.mark.parametrize(("nodes", "verdict"), [(4, GOOD), (45, GOOD), (46, MEND), (100, MEND)])
def test_the_neighbour_table_binds_before_it_overflows(facts: Facts, nodes: int, verdict: Verdict) -> None:
    row = rows.decide_neighbours(replace(facts, nodes=nodes))
    assert row.verdict is verdict
    assert row.fixable is (verdict is MEND)


def test_entries_of_other_labs_count(facts: Facts) -> None:
    busy = replace(facts, nodes=30, limits=replace(DEFAULTS, neighbours=600))
    assert rows.decide_neighbours(busy).verdict is MEND


def test_raised_limits_suffice_for_what_they_were_raised_for() -> None:
    for nodes in (50, 60, 100, 333):
        after = {change.key: change.after for change in neighbour_changes(DEFAULTS, nodes)}
        thresholds = tuple(after[f"net.ipv4.neigh.default.gc_thresh{n}"] for n in (1, 2, 3))
        assert thresholds[0] >= nodes * nodes
        assert thresholds == tuple(sorted(thresholds))
        raised = LimitFacts(gc_thresh=(thresholds[0], thresholds[1], thresholds[2]), neighbours=nodes * nodes // 3)
        assert neighbour_changes(raised, nodes) == []


@pytest.mark.parametrize(("unified", "nodes", "verdict"), [(False, 60, GOOD), (True, 10, GOOD), (True, 11, MEND)])
def test_inotify_is_dearer_on_cgroup_2(facts: Facts, unified: bool, nodes: int, verdict: Verdict) -> None:
    limits = replace(DEFAULTS, unified_cgroups=unified)
    assert rows.decide_inotify(replace(facts, nodes=nodes, limits=limits)).verdict is verdict


def test_limits_that_cannot_be_seen_are_tried(facts: Facts) -> None:
    unseen = replace(facts, nodes=100, limits=LimitFacts())
    assert [rows.decide_inotify(unseen).verdict, rows.decide_neighbours(unseen).verdict] == [GOOD, GOOD]
    assert inotify_changes(LimitFacts(), 100) == []


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with the kernel's own defaults."""
    inotify, neighbours = tmp_path / "sys/fs/inotify", tmp_path / "sys/net/ipv4/neigh/default"
    statistics = tmp_path / "net/stat"
    for folder in (inotify, neighbours, statistics):
        folder.mkdir(parents=True)
    (inotify / "max_user_instances").write_text("128\n")
    (inotify / "max_user_watches").write_text("8192\n")
    for number, value in ((1, 128), (2, 512), (3, 1024)):
        (neighbours / f"gc_thresh{number}").write_text(f"{value}\n")
    (statistics / "arp_cache").write_text("entries  allocs\n0000001f  0000007d\n0000001f  00000000\n")
    return tmp_path


def test_limits_are_read(proc: Path) -> None:
    limits = gather_limits(proc)
    assert (limits.inotify_instances, limits.gc_thresh, limits.neighbours) == (128, (128, 512, 1024), 31)
    assert gather_limits(proc / "nowhere").gc_thresh is None


def test_limits_are_raised_once_and_told(proc: Path) -> None:
    told: list[Event] = []
    changes = raise_limits(100, told.append, proc=proc)
    assert {change.key: change.before for change in changes}["net.ipv4.neigh.default.gc_thresh3"] == 1024
    assert (proc / "sys/net/ipv4/neigh/default/gc_thresh3").read_text() == "65536\n"
    assert CommandShown("host", "sysctl -w net.ipv4.neigh.default.gc_thresh3=65536") in told
    assert any(isinstance(event, Noted) and "1024 before, 65536 now" in event.text for event in told)
    assert raise_limits(100, proc=proc) == []


def test_few_nodes_change_nothing(proc: Path) -> None:
    (proc / "sys/fs/inotify/max_user_watches").write_text("65536\n")
    assert raise_limits(4, proc=proc) == []


def test_a_limit_that_may_not_be_raised_is_one_line(proc: Path) -> None:
    sealed = proc / "sys/net/ipv4/neigh/default/gc_thresh3"
    sealed.unlink()
    sealed.mkdir()
    limits = gather_limits(proc)
    assert limits.gc_thresh is None
    (proc / "sys/fs/inotify/max_user_instances").chmod(0)
    (proc / "sys/fs/inotify/max_user_watches").unlink()
    (proc / "sys/fs/inotify/max_user_watches").symlink_to(proc / "nowhere/at/all")
    try:
        raise_limits(1000, proc=proc)
    except HostError as problem:
        assert "cannot be raised" in problem.message
