"""One suite for all faults and backends: healthy before, the symptom during, recovered after, each of it sampled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import CommandFailed, HostError, LabctlError, LabError, NodeDown, NotFoundError, UsageError
from labctl.faults import KINDS, active, heal
from labctl.lab import Context, Lab, bring_up, find_lab
from labctl.lab.verify import PROBE_IMAGE
from labctl.spec import read_mapping
from labctl.swarm import SwarmView
from labctl.swarm.service import converge
from tests.contract.test_backend import MACHINES
from tests.guard import HANGING

BACKENDS = [
    pytest.param("dind", marks=pytest.mark.lab),
    pytest.param("vagrant", marks=[pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(2400), MACHINES]),
]
SAMPLES = 4  # of each phase
ALL, NONE = (1.0, 1.0), (0.0, 0.0)

Sample = Callable[[Lab], bool]


@pytest.fixture(scope="module", params=BACKENDS)
def lab(request: pytest.FixtureRequest, context: Context) -> Iterator[Lab]:
    """One manager and two workers, with a limit of memory."""
    name = f"tfault{os.getpid() % 1000}"
    wanted = {"name": name, "workers": 2, "backend": request.param, "memory": "1g"}
    bring_up(context, read_mapping(wanted))
    yield find_lab(context, name)
    find_lab(context, name).down()


@dataclass(frozen=True)
class Case:
    """A fault on worker1, what shows it, and how many of the samples are good while it acts."""

    kind: str
    is_good: Sample
    during: tuple[float, float] = NONE
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.kind


def asked(node: str, command: str) -> Sample:
    """Whether a command on a node ends well; `{w1}` is worker1's address."""

    def sample(lab: Lab) -> bool:
        return lab.node(node).run(command.format(w1=lab.node("w1").address), limit=20).ok

    return sample


def engine_answers(lab: Lab) -> bool:
    """Whether worker1's engine does, asked by somebody new."""
    try:
        lab.refresh().node("w1").engine.ping(limit=3)
    except LabctlError:
        return False
    return True


PING = asked("m1", "ping -c 1 -W 2 {w1}")
USED = (
    "python3 -c \"import pathlib as p; r = lambda f: p.Path('/sys/fs/cgroup/' + f).read_text().strip(); "
    "v1 = p.Path('/sys/fs/cgroup/memory').is_dir(); "
    "use, top = (r('memory/memory.usage_in_bytes'), r('memory/memory.limit_in_bytes')) if v1 else "
    "(r('memory.current'), r('memory.max')); "
    "cache = r('memory/memory.stat' if v1 else 'memory.stat').split('inactive_file ')[1].split()[0]; "
    'raise SystemExit(int(use) - int(cache) > 0.7 * int(top))"'
)
USED_OF_MACHINE = "awk '/MemTotal/ {t = $2} /MemAvailable/ {a = $2} END {exit a < 0.3 * t}' /proc/meminfo"
# As good as a file of 1 MB that is read over the network within five seconds; at 256 kbit/s it takes half a minute.
SERVE = "cd /tmp && head -c 1000000 /dev/zero > big && setsid python3 -m http.server 8099 >/dev/null 2>&1 &"
READ = "import urllib.request as u; u.urlopen('http://{w1}:8099/big').read()"


def memory_is_free(lab: Lab) -> bool:
    """Whether worker1 uses less than 70 % of its memory."""
    return asked("w1", USED_OF_MACHINE if lab.backend.has_own_kernel else USED)(lab)


def is_quiet(lab: Lab) -> bool:
    """Whether nothing on worker1 spins."""
    return lab.node("w1").run("ps -eo stat,args | grep -q '^R.*while :; do'").code == 1


def file_arrives_in_time(lab: Lab) -> bool:
    """Whether a file of 1 MB comes over in five seconds."""
    lab.node("w1").run(f"curl -s -m 2 -o /dev/null http://127.0.0.1:8099/ || {{ {SERVE} sleep 1; }}")
    return asked("m1", f'timeout 5 python3 -c "{READ}"')(lab)


CASES = [
    Case("stop", engine_answers),
    Case("kill", engine_answers),
    Case("pause", engine_answers),
    Case("engine-stop", engine_answers),
    Case("cut", PING),
    Case("partition", asked("w2", "ping -c 1 -W 2 {w1}")),
    Case("block", asked("m1", "timeout 3 bash -c '</dev/tcp/{w1}/7946'"), options={"port": "7946"}),
    Case("loss", asked("m1", "ping -c 8 -i 0.2 -W 1 {w1} | grep -q ' 0% packet loss'"), options={"share": "60%"}),
    Case("rate", file_arrives_in_time, options={"rate": "256kbit"}),
    Case("mtu", asked("m1", "ping -c 1 -W 2 -M do -s 1400 {w1}"), options={"size": "1300"}),
    Case("disk", asked("w1", "cd /var/lib/docker/containers && head -c 9000 /dev/zero > .room && rm .room")),
    Case("memory", memory_is_free, options={"share": "85%"}),
    Case("cpu", is_quiet),
]


def sampled(lab: Lab, is_good: Sample, expected: tuple[float, float], limit: float = 90.0) -> None:
    """Sample until the last samples are as expected: what comes or goes needs a moment, and must then stay."""
    seen: list[bool] = []
    until = time.monotonic() + limit
    while time.monotonic() < until:
        seen.append(is_good(lab))
        last = seen[-SAMPLES:]
        if len(last) == SAMPLES and expected[0] <= sum(last) / SAMPLES <= expected[1]:
            return
        time.sleep(0.1)
    raise AssertionError(f"expected {expected} of the samples to be good; seen: {seen[-12:]}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_shows_and_heals(lab: Lab, case: Case) -> None:
    sampled(lab, case.is_good, ALL)
    with lab.fault(case.kind, "w1", seconds=300, **case.options) as fault:
        sampled(lab, case.is_good, case.during)
        assert fault.is_active()
        assert [one.kind for one in active(lab.scene())] == [case.kind]
    assert not fault.is_active()
    sampled(lab, case.is_good, ALL)
    assert active(lab.scene()) == []


def test_small_packets_pass_an_mtu_black_hole(lab: Lab) -> None:
    with lab.fault("mtu", "w1", size="1300"):
        sampled(lab, PING, ALL)


def test_a_partition_has_two_sides_that_work_each(lab: Lab) -> None:
    near = asked("m1", "ping -c 1 -W 2 worker2")
    with lab.fault("partition", "w1"):
        sampled(lab, near, ALL)
        sampled(lab, PING, NONE)


def test_a_delay_is_felt_or_refused_with_the_reason(lab: Lab) -> None:
    slow = asked("m1", "ping -c 1 -W 3 {w1} | grep -qE 'time=[0-9]{{1,2}}(\\.[0-9]+)? ms'")
    try:
        with lab.fault("delay", "w1", delay="200ms"):
            sampled(lab, slow, NONE)
    except HostError as refused:
        assert "netem" in refused.message
        assert "--backend vagrant" in str(refused.hint)
    sampled(lab, slow, ALL)
    assert active(lab.scene()) == []


def test_a_lease_heals_from_inside_though_nobody_reaches_the_node(lab: Lab) -> None:
    lab.fault("cut", "w1", seconds=4).__enter__()
    sampled(lab, PING, ALL)
    assert active(lab.scene()) == []


@pytest.mark.parametrize("kind", ["pause", "cut"])
@pytest.mark.parametrize("after", [0.4, 1.5])
def test_a_labctl_that_is_killed_leaves_nothing(lab: Lab, kind: str, after: float) -> None:
    command = [sys.executable, "-m", "labctl", "fault", "inject", kind, "w1", "-l", lab.name, "--for", "5s"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    time.sleep(6)
    sampled(lab, engine_answers, ALL)
    sampled(lab, PING, ALL)
    until = time.monotonic() + HANGING
    while active(lab.scene()) and time.monotonic() < until:
        time.sleep(0.5)
    assert active(lab.scene()) == []


@pytest.fixture
def web(lab: Lab) -> Iterator[str]:
    """A service of three tasks."""
    make = f"docker service create --detach --no-resolve-image --name web --replicas 3 {PROBE_IMAGE}"
    lab.manager().expect(make)
    converge(lab.swarm(), ["web"])
    yield "web"
    lab.manager().expect("docker service rm web")


def spec_of(lab: Lab, service: str) -> object:
    found = lab.swarm().service(service)
    assert found is not None
    return {**found.raw["Spec"], "Labels": found.labels}


@pytest.mark.parametrize("kind", ["bad-image", "unhealthy"])
def test_a_service_breaks_and_is_again_what_it_was(lab: Lab, web: str, kind: str) -> None:
    before = spec_of(lab, web)
    with lab.fault(kind, web) as fault:
        assert fault.is_active()
        sampled(lab, lambda lab: troubled(lab, web), (0.75, 1.0))
    assert spec_of(lab, web) == before
    converge(lab.swarm(), [web])


def troubled(lab: Lab, service: str) -> bool:
    """Whether a task was refused or failed, or shall run and does not."""
    tasks = lab.swarm().tasks([service])
    return any(task.state in ("rejected", "failed") or (task.desired == "running" != task.state) for task in tasks)


def test_managers_heal_a_service_when_its_time_is_over(lab: Lab, web: str) -> None:
    before = spec_of(lab, web)
    lab.fault("bad-image", web, seconds=3).__enter__()
    assert spec_of(lab, web) != before
    sampled(lab, lambda lab: spec_of(lab, web) == before, ALL)


def test_what_a_learner_changes_under_a_fault_stays(lab: Lab, web: str) -> None:
    with lab.fault("bad-image", web) as fault:
        lab.manager().expect(f"docker service update --detach --no-resolve-image --image {PROBE_IMAGE} web")
        assert not fault.is_active()
        lab.manager().expect("docker service scale --detach web=2")
    service = lab.swarm().service(web)
    assert service is not None
    assert (service.image, service.replicas) == (PROBE_IMAGE, 2)
    assert not [label for label in service.labels if label.startswith("labctl.fault")]


def test_killed_tasks_are_replaced(lab: Lab, web: str) -> None:
    def containers() -> set[str]:
        return {task.container_id for task in SwarmView(lab.manager().engine).tasks([web]) if task.state == "running"}

    before = containers()
    with lab.fault("kill-tasks", web, share="2", seed="7"):
        sampled(lab, lambda _: len(containers()) == 3 and len(containers() - before) == 2, ALL)


def test_the_same_seed_kills_the_same_tasks_and_a_node_that_restarts_has_no_fault(lab: Lab) -> None:
    lab.fault("cut", "w1").__enter__()
    lab.stop([lab.node("w1")])
    assert active(lab.scene()) == []
    lab.refresh().start()
    sampled(lab, PING, ALL)
    assert active(lab.scene()) == []


def test_what_cannot_be_injected_is_told_and_changes_nothing(lab: Lab) -> None:
    refused: list[tuple[type[LabctlError], str, str, dict[str, Any], str]] = [
        (NotFoundError, "cutt", "w1", {}, "did you mean cut"),
        (NotFoundError, "cut", "worker9", {}, "did you mean worker"),
        (NotFoundError, "bad-image", "nothing", {}, "no service named"),
        (UsageError, "cut", "w1", {"port": "1"}, "takes no port="),
        (UsageError, "block", "w1", {"port": "0"}, "port=0"),
        (UsageError, "loss", "w1", {"share": "110%"}, "share=110%"),
        (UsageError, "cut", "m1", {}, "no majority"),
        (UsageError, "stop", "m1", {}, "no majority"),
    ]
    for wanted, kind, on, options, says in refused:
        with pytest.raises(wanted) as caught, lab.fault(kind, on, **options):
            pass
        assert says in caught.value.message
    assert active(lab.scene()) == []


def test_a_fault_twice_is_refused_and_healing_twice_is_fine(lab: Lab) -> None:
    with lab.fault("cut", "w1") as fault:
        with pytest.raises(LabError, match="already"), lab.fault("cut", "w1"):
            pass
        assert fault.is_active()
        assert [one.kind for one in heal(lab.scene())] == ["cut"]
        assert heal(lab.scene()) == []
        with pytest.raises(NotFoundError, match="no fault named"):
            heal(lab.scene(), ["abcdef"])


def test_a_node_that_is_down_can_have_no_fault_more(lab: Lab) -> None:
    with lab.fault("stop", "w1"):
        for kind in ("cut", "stop", "pause", "disk"):
            with pytest.raises(NodeDown), lab.fault(kind, "w1"):
                pass


def test_a_node_without_nft_says_so_and_nothing_is_left(lab: Lab) -> None:
    worker = lab.node("w1")
    worker.expect("mv $(command -v nft) /root/nft.away")
    try:
        with pytest.raises(CommandFailed, match="there is no nft"), lab.fault("cut", "w1"):
            pass
        assert active(lab.scene()) == []
        assert worker.run("ls /run/labctl/faults").stdout == ""
    finally:
        worker.expect("mv /root/nft.away /usr/sbin/nft")


def run_labctl(lab: Lab, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "labctl", "-l", lab.name, *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until_quiet(lab: Lab) -> None:
    until = time.monotonic() + HANGING
    while active(lab.scene()) and time.monotonic() < until:
        time.sleep(0.5)
    assert active(lab.scene()) == []


@pytest.mark.parametrize("after", [0.5, 1.0, 1.6, 2.4])
def test_ctrl_c_while_a_node_is_stopped_leaves_it_running_or_with_its_lease(lab: Lab, after: float) -> None:
    process = run_labctl(lab, "fault", "inject", "stop", "w1", "--for", "5s")
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    process.wait(HANGING)
    until_quiet(lab)
    sampled(lab, engine_answers, ALL)


def test_a_look_during_an_injection_does_not_cancel_the_healing(lab: Lab) -> None:
    for kind in ("stop", "engine-stop", "cut"):
        process = run_labctl(lab, "fault", "inject", kind, "w1", "--for", "6s")
        while process.poll() is None:
            active(lab.scene())
        assert process.returncode == 0
        until_quiet(lab)
        sampled(lab, engine_answers, ALL)
        sampled(lab, PING, ALL)


def test_a_lease_leaves_alone_what_somebody_did_later(lab: Lab) -> None:
    lab.fault("kill", "w1", seconds=8).__enter__()
    lab.start(["w1"])
    lab.backend.stop(lab.node("w1"))  # as `docker stop` would
    time.sleep(10)
    assert lab.refresh().node("w1").state == "exited"
    assert active(lab.scene()) == []
    lab.start(["w1"])


def test_all_packets_can_be_lost(lab: Lab) -> None:
    with lab.fault("loss", "w1", share=100):
        sampled(lab, PING, NONE)
    sampled(lab, PING, ALL)


def test_what_no_labctl_wrote_on_a_node_is_cleared_away_there(lab: Lab) -> None:
    folder = "/run/labctl/faults/0123ab"
    for text in ("[1]", "{brok", '{"id": "/root/.docker/config", "kind": "stop", "target": "worker1"}'):
        lab.node("w1").expect(f"mkdir -p {folder}; printf %s '{text}' > {folder}/fault")
        assert active(lab.scene()) == []
        assert heal(lab.scene()) == []
        assert not lab.node("w1").run(f"test -e {folder}").ok


def test_the_only_manager_is_back_before_its_services_are_healed(lab: Lab, web: str) -> None:
    before = spec_of(lab, web)
    lab.fault("bad-image", web).__enter__()
    lab.fault("stop", "m1", sure=True).__enter__()
    assert sorted(one.kind for one in heal(lab.scene())) == ["bad-image", "stop"]
    assert spec_of(lab, web) == before


def test_a_service_heals_though_its_manager_was_started_again(lab: Lab, web: str) -> None:
    before = spec_of(lab, web)
    lab.fault("bad-image", web, seconds=20).__enter__()
    lab.restart(["m1"])
    sampled(lab, lambda lab: spec_of(lab, web) == before, ALL)
    lab.fault("bad-image", web, seconds=4).__enter__()
    lab.manager().run("pkill -f '[l]abctl/faults/'")
    time.sleep(11)
    assert active(lab.scene()) == []
    assert spec_of(lab, web) == before


def test_the_lab_serves_at_once_after_a_cut_that_was_healed(lab: Lab) -> None:
    with lab.fault("cut", "w1"):
        sampled(lab, lambda lab: lab.status().nodes[1].swarm == "down", ALL)
        (told,) = [one for one in lab.status().problems if "worker1" in one]
        assert "has the fault cut" in told
        assert "restart" not in told
    lab.verify()
    assert lab.status().is_good


def test_every_kind_is_tried_here() -> None:
    elsewhere = {"delay", "bad-image", "unhealthy", "kill-tasks"}
    assert {case.kind for case in CASES} | elsewhere == set(KINDS)


def test_the_command_line_tells_what_acts_and_heals_it(lab: Lab) -> None:
    def labctl(*words: str) -> str:
        command = [sys.executable, "-m", "labctl", "fault", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANGING).stdout

    (made,) = json.loads(labctl("inject", "block", "w1", "--port", "4789", "-l", lab.name, "-o", "json"))
    (seen,) = json.loads(labctl("status", "-l", lab.name, "-o", "json"))
    assert seen == made
    assert made["on"] == "worker1"
    assert made["options"] == {"port": "4789"}
    labctl("heal", made["id"], "-l", lab.name)
    assert json.loads(labctl("status", "-l", lab.name, "-o", "json")) == []


def test_the_commands_of_the_docs_work(lab: Lab) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "faults.md").read_text()
    lines = text.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(lines) == 4
    for line in lines:
        command = [sys.executable, "-m", *line.partition("#")[0].split()]
        subprocess.run(command, check=True, timeout=HANGING, env={**os.environ, "LABCTL_LAB": lab.name})
    assert active(lab.scene()) == []
