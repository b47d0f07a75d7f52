"""The rows: what each trial does to a lab, and what it measures. A trial that shows a fault raises Bad."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import psutil

from bench.reliability import hostengine
from bench.reliability.tried import Bad, Tried
from labctl import Lab

__all__ = ["ROWS", "Row", "fresh"]

Figures = dict[str, float | str]
MIB = 1 << 20
WAYS = ("restart", "kill", "stop")
SNAPSHOT = "trial"
MARK = "/root/changed-since"
MOST = 3.0  # times down and up that restoring a snapshot may take


@dataclass(frozen=True)
class Row:
    """What is tried: how often, what comes before the first trial of a batch and after a bad one, and the trial."""

    count: int
    begin: Callable[[Tried], None]
    trial: Callable[[Tried, Random], Figures]


def fresh(tried: Tried) -> None:
    """Let there be no lab: what a trial that failed or was cut off has left is taken away."""
    if tried.client.containers(all=True, filters={"label": f"labctl.lab={tried.name}"}):
        tried.down()


def _once(tried: Tried) -> None:
    """Bring the lab up and down, so that what is made once for all labs is there before it is counted."""
    fresh(tried)
    tried.up()
    tried.down()
    tried.usual = tried.up()
    tried.down()


def _stack(tried: Tried) -> None:
    """Let a lab with a stack stand."""
    fresh(tried)
    tried.up()
    tried.deploy()


def _alone(tried: Tried) -> None:
    """The same, on an engine that nobody else uses."""
    hostengine.refuse(tried.client, tried.name)
    _stack(tried)


def _cycle(tried: Tried, _: Random) -> Figures:
    """Up and down by the library, all in one process: what that process keeps, grows."""
    tried.begin_count()
    began = time.monotonic()
    lab = Lab.up(name=tried.name, managers=tried.managers, workers=tried.nodes - tried.managers)
    up = time.monotonic() - began
    tried.note()
    began = time.monotonic()
    lab.down()
    down = time.monotonic() - began
    tried.refuse_left()
    here = psutil.Process()
    kept: Figures = {"rss_mib": here.memory_info().rss / MIB, "fds": here.num_fds(), "threads": here.num_threads()}
    return {"up_s": up, "down_s": down, **kept, "batch": f"{here.create_time():.0f}"}


def _kill(tried: Tried, chance: Random) -> Figures:
    """Cut `up` off at a random moment, and go on with `up` or `down`."""
    tried.begin_count()
    by, then = chance.choice(("KILL", "INT twice")), chance.choice(("up", "down"))
    process, moment = _begun(tried, chance)
    tried.note()  # also what `up` itself takes away again
    said = _cut_off(process, by, chance)
    if "Traceback" in said:
        raise Bad(f"{by} after {moment:.1f} s: a traceback: {said[-300:]}")
    tried.note()
    seconds = 0.0
    try:
        if then == "up":
            seconds = tried.up()
        tried.down()
        tried.refuse_left()
    except Bad as bad:
        where = said.strip().splitlines()[-1:] or ["before its first word"]
        raise Bad(f"{by} after {moment:.1f} s ({where[0].strip()}), then {then}: {bad}") from bad
    return {"by": by, "then": then, "moment_s": moment, "up_s": seconds}


def _begun(tried: Tried, chance: Random) -> tuple[subprocess.Popen[str], float]:
    """An `up` that is in the middle of it, and the random moment; one that was through before it is done again."""
    while True:
        moment, began = chance.random() * tried.usual, time.monotonic()
        process = tried.begin(*tried.up_words)
        try:
            said, _ = process.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            return process, moment
        if process.returncode:
            raise Bad(f"labctl up exited {process.returncode} by itself: {said[-300:]}")
        tried.usual = time.monotonic() - began
        tried.down()


def _cut_off(process: subprocess.Popen[str], by: str, chance: Random) -> str:
    """End the command and return what it said."""
    process.send_signal(signal.SIGKILL if by == "KILL" else signal.SIGINT)
    if by != "KILL":
        time.sleep(chance.uniform(0.1, 1.5))
        process.send_signal(signal.SIGINT)
    try:
        said, _ = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Bad("up does not end after Ctrl-C twice and 120 s") from None
    return said


def _joint(tried: Tried, chance: Random) -> Figures:
    """All nodes at once, behind labctl's back; half of the time what stands beside them, too."""
    way, beside = chance.choice(WAYS), chance.random() < 0.5
    kinds = ("node", "registry", "hub", "edge") if beside else ("node",)
    found = tried.client.containers(all=True, filters={"label": f"labctl.lab={tried.name}"})
    ids = [one["Id"] for one in found if one["Labels"].get("labctl.kind") in kinds]
    actions = {
        "restart": lambda one: tried.client.restart(one, timeout=10),
        "kill": lambda one: (tried.client.kill(one), tried.client.wait(one), tried.client.start(one)),
        "stop": lambda one: tried.client.stop(one, timeout=10),
    }
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(actions[way], ids))
    return {"way": way, "beside": float(beside), **_back(tried, f"{way}{' of all' if beside else ''}")}


def _host(tried: Tried, _: Random) -> Figures:
    """The engine of this host ends, and starts again."""
    hostengine.refuse(tried.client, tried.name)
    seconds = hostengine.restart()
    return {"engine_s": seconds, **_back(tried, "engine restart")}


def _back(tried: Tried, what: str) -> Figures:
    try:
        start, verify = tried.run("start", "-l", tried.name), tried.run("verify", "-l", tried.name)
        return {"start_s": start, "verify_s": verify, "serves_s": tried.serves()}
    except Bad as bad:
        raise Bad(f"{what}: {bad}") from bad


def _snapshot(tried: Tried, _: Random) -> Figures:
    """Save, change, restore; and the same lab from nothing, which restoring is compared with."""
    of = ("-l", tried.name)
    save = tried.run("snapshot", "save", *of, SNAPSHOT)
    last = Lab.find(tried.name).nodes[-1]
    last.expect(f"touch {MARK}")
    tried.run("stack", "rm", *of, "trial")
    restore = tried.run("snapshot", "restore", *of, "--yes", SNAPSHOT)
    serves = tried.serves()
    if Lab.find(tried.name).node(last.name).run(f"test -e {MARK}").ok:
        raise Bad(f"{last.name}: {MARK} was made after the snapshot, and is there after its restoration")
    tried.begin_count()
    down = tried.down()
    tried.refuse_left()
    up = tried.up()
    tried.deploy()
    ratio = restore / (down + up)
    figures: Figures = {"save_s": save, "restore_s": restore, "serves_s": serves, "down_s": down, "up_s": up}
    figures["ratio"] = ratio
    if ratio > MOST:
        raise Bad(f"restoring took {ratio:.1f} times as long as down and up, more than {MOST:g}", figures)
    return figures


ROWS = {
    "cycles": Row(100, _once, _cycle),
    "kills": Row(50, _once, _kill),
    "joint": Row(20, _stack, _joint),
    "snapshots": Row(5, _stack, _snapshot),
    "host": Row(5, _alone, _host),
}
