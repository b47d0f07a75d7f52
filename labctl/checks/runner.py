"""Runs checks in a process of their own and returns what came of them.

A process, because pytest is not made to run twice in one, and so that a check that goes wrong takes nothing with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from labctl.checks.handing import handed
from labctl.checks.report import CheckReport, CheckResult
from labctl.checks.sentences import ENGLISH
from labctl.errors import LabError, NotFoundError
from labctl.waiting import stretched

__all__ = ["CheckRun", "Heard", "Observe", "Request", "run_checks"]

Heard = Callable[[CheckResult], None]
Observe = Literal["no", "keep", "fresh"]

START_LIMIT = 30.0  # seconds for a Python to start and pytest to read a test file, on a busy host
CHECK_LIMIT = 22.0  # seconds for one check, a bit more than it gives itself and a look at the lab after it
NO_TESTS = 5  # pytest's exit code
# What a run of checks does without; each part costs time at every start.
LEFT_OUT = (
    "cacheprovider", "doctest", "faulthandler", "junitxml", "logging", "monkeypatch", "pastebin", "recwarn",
    "stepwise", "tmpdir", "unittest", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What to check: a test file, on a lab.

    `steps` are ids, empty for all; `wait` is for how many seconds to ask again what is not yet so; `observe` starts
    the steps' observers, `fresh` ones forget what they had seen. `nodes` are those that the exercise asks for: one of
    them that the lab lacks is the lab's fault, another that a check names is the check's. `answers` is a file with what
    the learner answered to questions; `language` is what the checks speak, where they are translated.
    """

    file: Path
    lab: str
    steps: tuple[str, ...] = ()
    wait: float = 0.0
    probes: bool = True
    observe: Observe = "no"
    nodes: tuple[str, ...] = ()
    answers: Path | None = None
    language: str = ENGLISH


def run_checks(request: Request, *, heard: Heard | None = None) -> CheckReport:
    """Run the checks and return their report; `heard` hears each answer, also those on the way, as it comes.

    Raises LabError when the checks cannot be run at all, NotFoundError when a step has none.
    """
    return CheckRun(request, heard=heard).result()


@dataclass
class CheckRun:
    """Checks that run in the background. With `watch` they are asked again and again until `close`.

    `hold` gets everything ready and begins at `go`: a process and its imports take longer than most checks.
    """

    request: Request
    heard: Heard | None = None
    watch: bool = False
    hold: bool = False
    collected: list[dict[str, Any]] = field(default_factory=list)
    _results: dict[tuple[str, str], CheckResult] = field(default_factory=dict)
    _said: bytes = b""
    _asked: str = ""  # the check that was begun and has not answered
    _reading: str = ""  # the file of the exercise that is being imported
    _fault: str = ""  # what keeps a file of the exercise from being imported
    _is_for_lint: bool = False  # lint finds that, too
    _is_in_order: bool = False  # the process has said that it is over
    _is_deaf: bool = False  # it did not end at its own limits

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        readable, writable = os.pipe()
        number, inheriting = handed(writable)
        try:
            self._process = subprocess.Popen(
                [*_command(self.request, number), *self._modes()],
                stdin=subprocess.PIPE if self.watch or self.hold else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                **inheriting,
                env=_environment(),
                cwd=self.request.file.parent,
                # A Ctrl-C at the learner's terminal is for us: at a question it ends the answer, and not the checks.
                start_new_session=sys.platform != "win32",
            )
        finally:
            os.close(writable)
        self._readers = [
            threading.Thread(target=self._read, args=(os.fdopen(readable, encoding="utf-8"),), daemon=True),
            threading.Thread(target=self._keep_words, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def is_over(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def look_now(self) -> None:
        """Ask a watching run for its probes, and for a look at once."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b"look\n")
                self._process.stdin.flush()

    def go(self) -> None:
        """Let a run that was held begin."""
        self._began = time.monotonic()
        self.look_now()

    def close(self) -> None:
        """End the run, whatever it is at."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def report(self) -> CheckReport:
        """What is known by now; checks without an answer are in it as not run."""
        results = [
            self._results.get((step, raw["name"]), _result(raw, step, {"outcome": "not-run"}))
            for raw in self.collected
            for step in self._steps_of(raw)
        ]
        return CheckReport(tuple(results), time.monotonic() - self._began)

    def result(self) -> CheckReport:
        """Wait for the end and return the report.

        Raises LabError when there is none, or no end, NotFoundError when no check is about the steps asked for.
        """
        try:
            self._wait_for_end()
        finally:
            self.close()
        for reader in self._readers:
            reader.join(5.0)
        code = self._process.returncode
        if self._asked:
            ended = f"ended the process that runs the checks (exit code {code})"
            self._blame("did not end, and is deaf to its limit" if self._is_deaf else ended)
            return self.report()
        self._refuse_faulty(code)
        if code not in (0, 1, NO_TESTS) or (code == NO_TESTS and not self.request.steps):
            raise LabError(
                f"the exercise is at fault: the checks in {self.request.file.name} cannot be run: {self._words()}",
                hint=f"`labctl exercise lint {self.request.file.parent}` tells more.",
            )
        report = self.report()
        if self.request.steps and not any(result.step for result in report.results):
            raise NotFoundError("check for step", ", ".join(self.request.steps), ())
        return report

    def _wait_for_end(self) -> None:
        while True:
            limit = self.request.wait + stretched(START_LIMIT + CHECK_LIMIT * len(self.collected))
            left = self._began + limit - time.monotonic()
            try:
                self._process.wait(max(0.0, min(left, 1.0)))
            except subprocess.TimeoutExpired:
                if left <= 0:
                    self._is_deaf = True
                    self._process.kill()
                    self._process.wait()
                    return
            else:
                return

    def _refuse_faulty(self, code: int) -> None:
        """Raise LabError when something outside of a check kept the checks from being run to their end."""
        file = self.request.file
        told = self._fault
        if self._reading and not self._is_in_order:
            ended = f"ended the process that reads it (exit code {code})"
            told = f"{self._reading} {'is not read to its end' if self._is_deaf else ended}"
        elif self._is_deaf and self._is_in_order:
            told = f"what {file.name} began goes on when its checks are over"
        elif self._is_deaf:
            raise LabError(f"the checks in {file.name} did not end: {self._words()}")
        elif self.collected and not self._is_in_order:
            told = f"{file.name} ended the process that runs its checks (exit code {code})"
        if told:
            mend = f"Its author has to mend that; `labctl exercise test {file.parent}` tries it."
            mend = f"`labctl exercise lint {file.parent}` tells more." if self._is_for_lint else mend
            raise LabError(f"the exercise is at fault: {told}", hint=mend)

    def _modes(self) -> list[str]:
        return [*(["--labctl-watch"] if self.watch else []), *(["--labctl-hold"] if self.hold else [])]

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._take(json.loads(line))

    def _take(self, said: Mapping[str, Any]) -> None:
        if said["kind"] == "collected":
            self.collected.extend(said["checks"])
            return
        if said["kind"] in ("reading", "read"):
            self._reading = said.get("file", "")
            return
        if said["kind"] == "fault":
            self._fault, self._is_for_lint, self._reading = said["message"], said["lint"], ""
            return
        if said["kind"] == "over":
            self._is_in_order = True
            return
        if said["kind"] == "begun":
            self._asked = said["name"]
            return
        if said["kind"] in ("finished", "same"):
            self._asked = ""
        if said["kind"] != "same":
            self._answer(said)

    def _blame(self, what: str) -> None:
        """Let the check that was asked last be at fault: nothing is heard of it any more."""
        raw = next(raw for raw in self.collected if raw["name"] == self._asked)
        message = f"the check {raw['name']} {what} ({raw['file']}:{raw['line']})"
        self._answer({"name": raw["name"], "outcome": "broken", "message": message, "at_fault": True})

    def _answer(self, said: Mapping[str, Any]) -> None:
        raw = next(raw for raw in self.collected if raw["name"] == said["name"])
        for step in self._steps_of(raw):
            result = self._results[step, raw["name"]] = _result(raw, step, said)
            if self.heard is not None:
                self.heard(result)

    def _steps_of(self, raw: Mapping[str, Any]) -> Iterator[str]:
        """The steps under which a check is told: those asked for; a guard of all steps stands by itself."""
        steps = [step for step in raw["steps"] if not self.request.steps or step in self.request.steps]
        yield from steps or [""]

    def _keep_words(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as words:
            self._said = words.read()

    def _words(self) -> str:
        """What pytest said, in one line: its own error lines where it marks them."""
        lines = [line.strip() for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        marked = [
            line.removeprefix("E ").strip() for line in lines if line.startswith(("E ", "ERROR:", "INTERNALERROR>"))
        ]
        return "; ".join((marked or lines)[-3:]) or "it said nothing"


def _result(raw: Mapping[str, Any], step: str, said: Mapping[str, Any]) -> CheckResult:
    described = {key: raw[key] for key in ("name", "guard", "probe")}
    described |= {"title": raw["title"] or raw["name"], "observed": raw["observer"] is not None}
    return CheckResult.of({**described, **said, "step": step})


def _command(request: Request, report: int) -> list[str]:
    file = request.file.resolve()  # the process does not stand where we do
    left_out = [word for name in LEFT_OUT for word in ("-p", f"no:{name}")]
    return [
        sys.executable, "-P", "-m", "pytest", "-p", "labctl.checks.plugin", *left_out,
        "-c", os.devnull, "--rootdir", str(file.parent), "--import-mode=importlib",
        "-s", "-q", "--no-header", "--tb=line", "--strict-markers",
        "--labctl-lab", request.lab, "--labctl-report", str(report), "--labctl-steps", ",".join(request.steps),
        "--labctl-nodes", ",".join(request.nodes), "--labctl-language", request.language,
        "--labctl-wait", str(request.wait), "--labctl-observe", request.observe,
        *(["--labctl-probes"] if request.probes else []),
        *(["--labctl-answers", str(request.answers)] if request.answers else []), str(file),
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    """Ours, less what would change how pytest runs; testinfra's own plugin stays out with all others."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
