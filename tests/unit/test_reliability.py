"""The measurements of reliability: what is counted, what is kept of trials, and the page that is made of them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from bench.reliability import __main__ as command
from bench.reliability import counting, hostengine, page, results, rows
from bench.reliability.counting import Ground, Traces, noted, rules_of, settled
from bench.reliability.results import Run, Trial
from bench.reliability.tried import Bad

CYCLES = Run("cycles", 1, 2, 1)
RULES = [
    "*nat",
    ":DOCKER - [0:0]",
    "-A POSTROUTING -s 172.30.5.0/24 ! -o br-0123456789ab -j MASQUERADE",
    "-A POSTROUTING -s 172.30.5.11/32 -d 172.30.5.11/32 -p tcp -m tcp --dport 2376 -j MASQUERADE",
    "-A DOCKER ! -i br-fedcba987654 -p tcp -m tcp --dport 40001 -j DNAT --to-destination 172.30.50.11:2376",
    "-A FORWARD -o br-0123456789abc -j DOCKER",
]


def trial(number: int, why: str = "", run: Run = CYCLES, **figures: float | str) -> Trial:
    return Trial(run, number, "2026-01-02 03:04", "abc", 2.0, why, figures)


class Client:
    """An engine with one network and one container."""

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Id": "0123456789abcdef", "IPAM": {"Config": [{"Subnet": "172.30.5.0/24"}]}}]

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        mounts = [{"Name": "f00"}, {"Name": "labctl-mirror"}, {"Source": "/etc"}]
        return [{"Id": "c0ffee", "Mounts": mounts, "Names": ["/other-worker1"], "Labels": {"labctl.lab": "other"}}]

    def inspect_container(self, _: str) -> Mapping[str, Any]:
        return {"NetworkSettings": {"SandboxKey": "/var/run/docker/netns/123"}}


def test_what_an_engine_names_by_itself_is_noted(tmp_path: Path) -> None:
    (tmp_path / "br-0123456789ab" / "brif" / "veth1").mkdir(parents=True)

    seen = noted(Client(), "lab", links=tmp_path)

    assert (seen.volumes, seen.veths, seen.namespaces) == ({"f00"}, {"veth1"}, {"/var/run/docker/netns/123"})
    assert (seen.bridges, seen.subnets) == ({"br-0123456789ab"}, {"172.30.5.0/24"})


def test_a_lab_that_has_no_bridge_yet_has_no_veths(tmp_path: Path) -> None:
    assert noted(Client(), "lab", links=tmp_path).veths == set()


def test_what_was_noted_at_several_moments_is_looked_for() -> None:
    traces = Traces(containers={"a"})
    traces.add(Traces(containers={"b"}, veths={"veth1"}))

    assert (traces.containers, traces.veths) == ({"a", "b"}, {"veth1"})


def test_rules_are_the_labs_by_bridge_and_by_address() -> None:
    assert rules_of(RULES, ["br-0123456789ab"], [IPv4Network("172.30.5.0/24")]) == {RULES[2], RULES[3]}


def test_rules_in_a_subnet_that_another_lab_has_now_are_not_counted() -> None:
    assert rules_of(RULES, ["br-0123456789ab"], []) == {RULES[2]}


class Full(Client):
    """An engine on which everything of a lab is left, and a volume of another one."""

    def networks(self, filters: object = None, **_: Any) -> list[dict[str, Any]]:
        return [{"Id": "0123456789abcdef", "Name": "labctl-lab", "IPAM": {"Config": None}}]

    def volumes(self) -> dict[str, Any]:
        return {"Volumes": [{"Name": "f00"}, {"Name": "s", "Labels": {"labctl.lab": "lab"}}, {"Name": "f01"}]}

    def images(self) -> list[dict[str, Any]]:
        return [{"RepoTags": ["labctl.snapshot/lab/worker1:a", "labctl.snapshot/other/worker1:a"]}, {"RepoTags": None}]


def test_whatever_is_left_of_a_lab_is_named_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links, ground = tmp_path / "links", Ground(tmp_path / "ground")
    ground.make()
    before = (ground.files("lab"), ground.contexts())
    for folder in (links / "br-0123456789ab", links / "veth1", ground.root / "docker" / "contexts" / "meta" / "abc"):
        folder.mkdir(parents=True)
    (ground.root / "tmp" / "forgotten").touch()
    monkeypatch.setattr(counting, "LINKS", links)
    monkeypatch.setattr(counting, "firewall", lambda: RULES)
    sleeper = subprocess.Popen(["sleep", "600"], env={**os.environ, **ground.environment})
    # /proc is mounted as a namespace that is left would be; the other one is a file that was its place.
    traces = Traces(networks={"0123456789abcdef"}, volumes={"f00"}, veths={"veth1"}, namespaces={"/proc", "/etc/hosts"})

    try:
        found = counting.left(Full(), "lab", traces, ground, before)
    finally:
        sleeper.kill()
        sleeper.wait()

    assert found == {
        "containers": ["c0ffee"],
        "volumes": ["f00", "s"],
        "networks": ["labctl-lab"],
        "images": ["labctl.snapshot/lab/worker1:a"],
        "bridges": ["br-0123456789ab"],
        "veths": ["veth1"],
        "namespaces": ["/proc"],
        "contexts": ["docker/contexts/meta/abc"],
        "files": ["tmp/forgotten"],
        "processes": [f"{sleeper.pid} sleep 600"],
        "firewall rules": [RULES[2]],
    }
    assert set(found) == set(counting.KINDS)


def test_an_engine_has_a_moment_to_end_things() -> None:
    looks = iter([{"veths": ["veth1"]}, {}])

    assert settled(lambda: next(looks)) == {}


def test_the_ground_tells_what_is_new(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    ground.make()
    before = ground.files("lab")
    (tmp_path / "state" / "labs").mkdir()
    (tmp_path / "docker" / "contexts" / "meta" / "abc").mkdir(parents=True)

    assert "state/labs" in ground.files("lab") - before
    assert ground.contexts() == {"docker/contexts/meta/abc"}
    assert set(ground.environment) == {"LABCTL_STATE", "DOCKER_CONFIG", "TMPDIR"}


def test_trials_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "results" / "figures.jsonl"
    written = [trial(1, up_s=1.5), trial(2, "left: veths: veth1")]
    for one in written:
        results.append(one, file)

    assert results.read(file) == written


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "figures.jsonl"
    results.append(trial(1), file)
    with file.open("a") as lines:
        lines.write('{"run": {"row": "cyc')

    assert [one.number for one in results.read(file)] == [1]


def test_no_file_is_no_trials(tmp_path: Path) -> None:
    assert results.read(tmp_path / "none") == []


def test_runs_are_apart_by_row_seed_and_size() -> None:
    more = Run("cycles", 2, 2, 1)

    assert results.runs_of([trial(1), trial(1, run=more), trial(2)]) == {
        CYCLES: [trial(1), trial(2)],
        more: [trial(1, run=more)],
    }


def test_a_section_tells_good_ones_figures_and_failures() -> None:
    said = page.section(CYCLES, [trial(1, up_s=4.0), trial(2, up_s=6.0), trial(3, "labctl `up`\nexited 3")])

    assert "**cycles: 2 of 3 good.** 2 nodes, 1 of them manager; seed 1; 2026-01-02; commit abc." in said
    assert "| `up`, s | 5 | 4 | 6 |" in said
    assert "- trial 3, 2026-01-02 03:04, commit abc: labctl 'up' exited 3" in said


def test_a_time_of_nothing_is_none() -> None:
    assert "`up`" not in page.section(CYCLES, [trial(1, up_s=0.0)])


def test_growth_is_told_of_the_worst_batch_that_is_long_enough() -> None:
    steady = [trial(n, rss_mib=80.0, fds=9, threads=3, batch="1") for n in range(8)]
    growing = [trial(n, rss_mib=80.0 + n, fds=9, threads=3, batch="2") for n in range(8)]
    short = [trial(n, rss_mib=80.0 + 100 * n, fds=9, threads=3, batch="3") for n in range(3)]

    assert page.growth([*steady, *growing, *short]) == {"MiB of memory": 4.0, "open files": 0.0, "threads": 0.0}
    assert page.growth(short) == {}


def test_the_page_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = tmp_path / "figures.jsonl", tmp_path / "page.md"
    results.append(trial(1), file)

    assert page.report(check=True, file=file, page=target) == 1
    assert "out of date" in capsys.readouterr().err
    assert page.report(check=False, file=file, page=target) == 0
    assert page.report(check=True, file=file, page=target) == 0
    assert "Not measured yet." in target.read_text()


def test_the_page_in_docs_is_up_to_date() -> None:
    assert page.report(check=True) == 0


def test_each_row_has_a_title_and_is_told() -> None:
    assert set(rows.ROWS) == set(page.TITLES) == set(page.WHAT)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["cycles", "--count", "0"], "--count 0"),
        (["cycles", "--nodes", "2", "--managers", "3"], "3 managers of 2 nodes"),
        (["cycles", "--managers", "0"], "0 managers of 2 nodes"),
        ([], "required: ROW"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.parsed(words)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_engine_that_others_use_is_not_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(SystemExit, match="other-worker1"):
        hostengine.refuse(Client(), "lab", manager="systemd")


def test_an_engine_that_labctl_could_not_start_is_not_restarted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(SystemExit, match="names no engine"):
        hostengine.refuse(Client(), "other", manager="", pidfile=tmp_path / "none")


def test_only_root_restarts_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(SystemExit, match="only root"):
        hostengine.refuse(Client(), "other")


class Process:
    """A command that ends at the second Ctrl-C."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        return "taking back", None


@pytest.mark.parametrize(("by", "signals"), [("KILL", [signal.SIGKILL]), ("INT twice", [signal.SIGINT, signal.SIGINT])])
def test_a_command_is_cut_off(by: str, signals: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    process = Process()

    assert rows._cut_off(process, by, random.Random(1)) == "taking back"  # type: ignore[arg-type]
    assert process.signals == signals


@pytest.mark.parametrize("stands", [True, False])
def test_what_fails_before_a_trial_and_in_it_is_a_trial_that_failed(stands: bool) -> None:
    def fail(*_: object) -> dict[str, float | str]:
        raise Bad("labctl up exited 3", {"ratio": 3.456})

    def begin(_: object) -> None:
        if not stands:
            fail()

    row = rows.Row(1, begin, fail)

    done = command._trial(row, None, CYCLES, 7, "abc", stands=stands)  # type: ignore[arg-type]

    assert (done.number, done.why, done.is_good, done.figures) == (7, "labctl up exited 3", False, {"ratio": 3.46})
