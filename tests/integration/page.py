"""The page of `labctl web` in a real browser, and its server as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = next((path for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if path.exists()), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LIMIT = 120.0  # seconds; a busy machine is no failure
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Text as the terminal shows it: xterm.js draws it as rows of spans, with spaces that do not break.
SCREEN = """name => [...document.querySelectorAll(`#panel-${name} .xterm-rows > div`)]
  .map(row => row.textContent).join('\\n')"""


class Server:
    """`labctl web` with these words, until the block ends."""

    def __init__(self, *words: str, port: int | None = None) -> None:
        chosen = [] if port is None else ["--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labctl", "web", *words, *chosen],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
            env={**os.environ, "LABCTL_LANG": "en"},
        )  # fmt: skip
        self.said: list[str] = []
        assert self._process.stdout is not None and self._process.stderr is not None
        self._hearing = threading.Thread(target=lambda: self.said.extend(self._process.stderr or ()), daemon=True)
        self._hearing.start()
        line = self._process.stdout.readline()
        found = re.fullmatch(r"http://localhost:(\d+)/\?token=(\S+)\n", line)
        assert found is not None, (line, self.said)
        self.address, self.port, self.token = line.strip(), int(found[1]), found[2]

    def end(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait(LIMIT)
        assert self.token not in "".join(self.said)
        return code

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._hearing.join(LIMIT)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium."""
    assert CHROMIUM is not None, "these tests need Debian's chromium: `make browser`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Learner:
    """Somebody who has nothing but the page."""

    def __init__(self, browser: Browser, server: Server, *, size: dict[str, int] | None = None, **more: Any) -> None:
        self.context = browser.new_context(viewport=size or WIDE, reduced_motion="reduce", **more)  # type: ignore[arg-type]  # a TypedDict
        self.context.set_default_timeout(LIMIT * 1000)
        expect.set_options(timeout=LIMIT * 1000)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=f"http://localhost:{server.port}")
        self.complaints: list[str] = []
        self.page = self.open(server.address)

    def open(self, address: str) -> Page:
        """Open the page in a tab."""
        page = self.context.new_page()
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", f"{error} {error.stack}"))
        page.goto(address)
        page.locator(".node").first.wait_for(state="attached")
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "WebSocket" not in text and "ERR_CONNECTION_REFUSED" not in text:
            self.complaints.append(text)

    def run(self, place: str, *, nth: int = 0) -> None:
        """Press a block's Run."""
        self.page.get_by_role("button", name=f"Run on {place}", exact=True).nth(nth).click()

    def tab(self, node: str) -> None:
        """Look at a node's terminal."""
        self.page.locator(f"#tab-{node}").click()
        self.page.locator(f"#panel-{node} .xterm-rows").wait_for()

    def type(self, node: str, line: str) -> None:
        """Type a line into a node's terminal, once it shows a prompt."""
        self.tab(node)
        self.until(node, "$")
        self.page.locator(f"#panel-{node} .xterm-helper-textarea").focus()
        self.page.keyboard.type(f"{line}\n")

    def screen(self, node: str) -> str:
        """What a node's terminal shows now."""
        return str(self.page.evaluate(SCREEN, node)).replace("\u00a0", " ")

    def until(self, node: str, text: str) -> None:
        """Wait until the terminal shows a text; a line that goes over the edge is one line."""
        self.page.wait_for_function(
            f"([name, text]) => ({SCREEN})(name).replaceAll('\\u00a0', ' ').replaceAll('\\n', '').includes(text)",
            arg=[node, text],
        )

    def answer(self, text: str, *, nth: int = 0) -> None:
        """Answer a question that wants a word."""
        question = self.page.locator("form.question", has=self.page.locator("input.input")).nth(nth)
        question.locator("input.input").fill(text)
        question.get_by_role("button").click()

    def choose(self, text: str) -> None:
        """Choose an answer."""
        self.page.locator("label.choice", has_text=text).click()

    def next(self) -> None:
        """Wait until the step is done, and go on."""
        expect(self.page.locator(".ways .button.primary")).to_be_visible()
        self.page.locator(".ways .button.primary").click()

    def step(self, title: str) -> None:
        """Wait until the step of that title is shown."""
        expect(self.page.locator("article.step h2")).to_have_text(title)

    def violations(self) -> list[str]:
        """What axe-core finds of serious or critical weight."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def menu(self, node: str, item: str) -> None:
        """Do something with a node."""
        self.page.get_by_role("button", name=f"What to do with {node}").click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def card(self, node: str) -> Locator:
        """A node's card on the map."""
        return self.page.locator(".node", has=self.page.locator(".node-name", has_text=node))

    def picture(self, name: str) -> None:
        """Take a picture of what is seen; into docs/ where LABCTL_PICTURES is set."""
        folder = ROOT / ("docs" if os.environ.get("LABCTL_PICTURES") else "reports/pictures")
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png")

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
