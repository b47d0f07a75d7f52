"""`python -m bench.web LAB`: how quick the page of `labctl web` is, on a lab with a swarm that is up.

A keystroke's echo over the page's websocket is compared with that of a terminal held directly, in turns.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Page, sync_playwright
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from bench.common import median
from bench.tick import CHECKS, TEXT, p95
from labctl import Lab
from labctl.transport import Terminal
from labctl.web.app import PAGE, guarded
from labctl.web.desk import Desk
from labctl.web.serving import bound
from labctl.web.serving import serving as serving_page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
READY = "() => document.querySelector('.node') && document.querySelector('.xterm-rows')"
TICKED = "() => document.querySelector('#checks .check.done')"
IDLE = 60.0  # seconds
LONG = """() => { window.long = []; new PerformanceObserver(list => list.getEntries().forEach(
  one => window.long.push(one.duration))).observe({type: 'longtask', buffered: true}); }"""


def main() -> None:
    """Measure on a lab that is up, and leave nothing in it."""
    parser = argparse.ArgumentParser(prog="python -m bench.web", description=__doc__)
    parser.add_argument("lab")
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    lab = Lab.find(given.lab)
    packed = sum(len(gzip.compress(path.read_bytes())) for path in PAGE.rglob("*") if path.suffix in (".js", ".css"))
    print(f"| what | figure |\n|---|---|\n| scripts and styles, gzipped | {packed / 1000:.0f} kB |")
    with tempfile.TemporaryDirectory() as place, serving(lab.name, Path(place)) as (process, address):
        cookie = cookie_of(address)
        echoes(lab, address, cookie, given.keys)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page()
            page.goto(address)
            interactive(page, address, given.runs)
            ticks(page, lab, given.runs)
            browser.close()
        time.sleep(20)  # until the looks that follow a change are over
        before = spent(process)
        time.sleep(IDLE)
        print(f"| the server while nothing happens, of a core | {100 * (spent(process) - before) / IDLE:.2f} % |")
    recorded(lab)


@contextmanager
def serving(lab: str, place: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`labctl web` with an exercise of two checks."""
    folder = place / "tick"
    folder.mkdir()
    (folder / "exercise.md").write_text(TEXT)
    (folder / "test_tick.py").write_text(CHECKS)
    words = [sys.executable, "-m", "labctl", "web", str(folder), "-l", lab]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield psutil.Process(process.pid), process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()
            reset = [sys.executable, "-m", "labctl", "exercise", "reset", str(folder), "--yes", "-l", lab]
            subprocess.run(reset, stderr=subprocess.DEVNULL, check=True)


def cookie_of(address: str) -> str:
    """What a browser is given for the address."""
    found = re.fullmatch(r"http://(localhost:\d+)(/.*)", address)
    assert found is not None, address
    connection = HTTPConnection(found[1])
    connection.request("GET", found[2])
    return str(connection.getresponse().headers["set-cookie"]).partition(";")[0]


def echoes(lab: Lab, address: str, cookie: str, keys: int) -> None:
    """From a keystroke to its echo: over the page's websocket, and on a terminal that is held directly."""
    origin = address.partition("/?")[0]
    node, page, bare = lab.node("m1"), list[float](), list[float]()
    way = connect(f"ws{origin[4:]}/ws", origin=Origin(origin), additional_headers={"cookie": cookie})
    with way as socket, node.terminal("exec cat > /dev/null") as direct:
        socket.send(json.dumps({"do": "open", "node": node.name, "rows": 24, "columns": 80}))
        socket.send(json.dumps({"do": "keys", "node": node.name, "data": "cat > /dev/null\r"}))
        settle(socket, node.name)
        for _ in range(keys):
            page.append(timed(lambda: type_page(socket, node.name)))
            bare.append(timed(lambda: type_bare(direct)))
        socket.send(json.dumps({"do": "keys", "node": node.name, "data": "\x03"}))
    more = 1000 * (p95(page) - p95(bare))
    print(f"| a keystroke's echo, median and p95 | {1000 * median(page):.1f} ms, {1000 * p95(page):.1f} ms |")
    print(f"| the same without the page | {1000 * median(bare):.1f} ms, {1000 * p95(bare):.1f} ms |")
    print(f"| the page's part at p95 | {more:.1f} ms |")


def settle(socket: ClientConnection, node: str) -> None:
    """Take what comes until nothing does."""
    while True:
        try:
            taken(socket, node, socket.recv(timeout=2))
        except TimeoutError:
            return


def type_bare(terminal: Terminal) -> None:
    """The same on a terminal that is held directly."""
    terminal.send(b"x")
    terminal.read()


def type_page(socket: ClientConnection, node: str) -> None:
    """Type a letter, and wait until it comes back."""
    socket.send(json.dumps({"do": "keys", "node": node, "data": "x"}))
    while not taken(socket, node, socket.recv(timeout=60)):
        pass


def taken(socket: ClientConnection, node: str, data: str | bytes) -> bool:
    """Tell the server that what a terminal showed was taken, as a page does; whether it was that."""
    if isinstance(data, str):
        return False
    at = int.from_bytes(data[1 + data[0] : 9 + data[0]], "big") + len(data) - 10 - data[0]
    socket.send(json.dumps({"do": "seen", "node": node, "at": at}))
    return True


def interactive(page: Page, address: str, runs: int) -> None:
    """From an address to a map and a terminal; and the longest piece of work of the page's main thread then."""
    took, longest = [], 0.0
    for _ in range(runs):
        page.add_init_script(f"({LONG})()")
        began = time.monotonic()
        page.goto(address.partition("?")[0])
        page.wait_for_function(READY)
        took.append(time.monotonic() - began)
        longest = max([longest, *page.evaluate("window.long")])
    print(f"| map and terminal are there, median and p95 | {median(took):.2f} s, {p95(took):.2f} s |")
    print(f"| the longest task of the page's main thread | {longest:.0f} ms |")


def ticks(page: Page, lab: Lab, runs: int) -> None:
    """From a change in the lab to its tick in the page."""
    shell, took = lab.node("m1").expect, []
    shell("docker secret rm bench-tick; true")
    for _ in range(runs):
        page.wait_for_function(f"() => !({TICKED})()")
        shell("echo 1 | docker secret create bench-tick -")
        took.append(timed(lambda: page.wait_for_function(TICKED)))
        shell("docker secret rm bench-tick")
    print(f"| a secret's tick in the page, median and p95 | {median(took):.2f} s, {p95(took):.2f} s |")


def recorded(lab: Lab) -> None:
    """The longest task of the main thread while a lab of 100 nodes is drawn and its 400 tasks move about."""
    desk, (port, sockets) = Desk(lab, None), bound(None)
    guard = guarded(desk, port, "k" * 43)
    desk.hub.tell({"type": "hello", "lab": "large", "exercise": False}, keep=True)
    desk.hub.tell(large(0), keep=True)
    with closing(desk), serving_page(guard, sockets), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(guard.address)
        page.locator(".task").nth(399).wait_for()
        page.evaluate(LONG.replace(", buffered: true", ""))
        for turn in range(1, 21):
            desk.hub.tell(large(turn), keep=True)
            page.locator(".task", has_text=f"web.{turn}.").first.wait_for(state="attached")
        longest = max(page.evaluate("window.long"), default=0.0)
        browser.close()
    print(f"| the longest task while 400 tasks on 100 nodes move | {longest:.0f} ms |")


def large(turn: int) -> dict[str, Any]:
    """A lab of 100 nodes, as it is told."""
    nodes: list[dict[str, Any]] = [
        {"name": f"worker{n}", "short": f"w{n}", "role": "worker", "leader": False, "state": "ready",
         "machine": "running", "address": "10.0.0.1", "availability": "active", "tasks": []} for n in range(100)
    ]  # fmt: skip
    for n in range(400):
        task = {"name": f"web.{turn}.{n}", "service": f"s{n % 9}", "state": "running", "desired": "running"}
        nodes[(n * 7 + turn * 13) % 100]["tasks"].append({**task, "reason": "", "image": "nginx"})
    return {
        "type": "lab",
        "name": "large",
        "nodes": nodes,
        "waiting": [],
        "ports": [],
        "networks": [],
        "faults": [],
        "trouble": "",
    }


def timed(do: Callable[[], object]) -> float:
    """How many seconds it takes."""
    began = time.monotonic()
    do()
    return time.monotonic() - began


def spent(process: psutil.Process) -> float:
    """Processor seconds of the server and its children, by now."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
