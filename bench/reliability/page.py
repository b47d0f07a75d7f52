"""docs/reliability.md, made of the figures."""

from __future__ import annotations

import statistics
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.reliability import results
from bench.reliability.results import Run, Trial

__all__ = ["PAGE", "growth", "report", "section", "text"]

PAGE = results.ROOT / "docs" / "reliability.md"
TITLES = {
    "cycles": "Up and down",
    "kills": "`up` cut off",
    "joint": "All nodes restarted at once",
    "snapshots": "Snapshots",
    "host": "The engine of this host restarted",
}
WHAT = {
    "cycles": (
        "`Lab.up` and `lab.down()` in one process. After each, nothing may be left; what the process itself "
        "keeps is told at the end."
    ),
    "kills": (
        "`labctl up` ends at a random moment by SIGKILL or by Ctrl-C twice. Then `labctl up` must bring the "
        "lab up, tried, or `labctl down` must take it away; in the end nothing may be left."
    ),
    "joint": (
        "The containers of all nodes are restarted, killed and started, or stopped, all at once and behind "
        "labctl's back; half of the time the registry and the proxy too. Then `labctl start` and `labctl "
        "verify` must succeed, and a stack of two services must serve within 30 seconds: its port on each "
        "node and on 127.0.0.1, its names and VIPs in a task on each node."
    ),
    "snapshots": (
        "A lab with the same stack is saved; the stack is removed and a file made; the snapshot is restored, "
        "and the stack must serve and the file be gone. Restoring is compared with `down` and `up` of the "
        "same lab, in turns."
    ),
    "host": (
        "The engine ends in order and is started by `labctl doctor --fix`; then as above. The row refuses to "
        "run where other containers would end with it."
    ),
}
NAMES = {
    "up_s": "`up`, s",
    "down_s": "`down`, s",
    "rss_mib": "memory of the process, MiB",
    "fds": "its open files",
    "threads": "its threads",
    "start_s": "`start`, s",
    "verify_s": "`verify`, s",
    "serves_s": "then until the stack serves, s",
    "save_s": "`snapshot save`, s",
    "restore_s": "`snapshot restore`, s",
    "ratio": "restore to `down` and `up`, ratio",
    "moment_s": "cut off after, s",
    "engine_s": "engine back after, s",
}
HEAD = Path(__file__).with_name("head.md").read_text()


def report(*, check: bool, file: Path = results.FILE, page: Path = PAGE) -> int:
    """Write the page, or only tell whether it is up to date; returns the exit code."""
    wanted = text(results.read(file))
    if page.exists() and page.read_text() == wanted:
        return 0
    if check:
        print(f"{page.name} is out of date: run `python -m bench.reliability report`", file=sys.stderr)
        return 1
    page.write_text(wanted)
    return 0


def text(trials: Sequence[Trial]) -> str:
    """The page."""
    runs = results.runs_of(trials)
    parts = [HEAD]
    for row, title in TITLES.items():
        parts.append(f"## {title}\n\n{textwrap.fill(WHAT[row], 120, break_on_hyphens=False)}\n")
        mine = {run: sorted(found, key=lambda trial: trial.number) for run, found in runs.items() if run.row == row}
        parts += [section(run, found) + "\n" for run, found in mine.items()] or ["Not measured yet.\n"]
    return "\n".join(parts)


def section(run: Run, trials: Sequence[Trial]) -> str:
    """One run: how many were good, its figures, and what went wrong."""
    good = [trial for trial in trials if trial.is_good]
    dates = sorted(trial.date[:10] for trial in trials) or ["-"]
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    commits = ", ".join(dict.fromkeys(trial.commit for trial in trials)) or "-"
    size = f"{run.nodes} nodes, {run.managers} of them manager{'s' if run.managers > 1 else ''}"
    lines = [f"**{run.row}: {len(good)} of {len(trials)} good.** {size}; seed {run.seed}; {when}; commit {commits}."]
    if figures := {name: values for name in NAMES if (values := _values(good, name))}:
        lines += ["", "| what | median | lowest | highest |", "|---|---|---|---|"]
        lines += [f"| {NAMES[name]} | {_row(values)} |" for name, values in figures.items()]
    if grown := growth(good):
        told = ", ".join(f"{name} {value:+.1f}" for name, value in grown.items())
        lines += ["", f"From the second quarter of a batch to its last, medians, at most: {told}."]
    lines += _bad(trials)
    return "\n".join(lines)


def _bad(trials: Sequence[Trial]) -> list[str]:
    told = [
        f"- trial {trial.number}, {trial.date}, commit {trial.commit}: {_plain(trial.why)}"
        for trial in trials
        if not trial.is_good
    ]
    return ["", "What went wrong:", "", *told] if told else []


def _plain(why: str) -> str:
    """A reason on one line, without what Markdown or a reader of links would take for its own."""
    return (
        " ".join(why.split()).replace("`", "'").replace("[", "(").replace("]", ")").replace("<", "(").replace(">", ")")
    )


def _values(trials: Sequence[Trial], name: str) -> list[float]:
    # 0 stands for "not done in this trial", where a figure is a time.
    found = [trial.figures.get(name) for trial in trials]
    return [float(one) for one in found if isinstance(one, int | float) and (one or not name.endswith("_s"))]


def _row(values: Sequence[float]) -> str:
    return " | ".join(f"{value:.3g}" for value in (statistics.median(values), min(values), max(values)))


def growth(trials: Sequence[Trial]) -> Mapping[str, float]:
    """By how much what the process keeps has grown in a batch: its memory, files and threads; of batches, the worst.

    A batch shorter than eight trials tells nothing: what a first trial imports, a second one has.
    """
    batches: dict[object, list[Trial]] = {}
    for trial in trials:
        if "batch" in trial.figures:
            batches.setdefault(trial.figures["batch"], []).append(trial)
    grown: dict[str, float] = {}
    for batch in batches.values():
        quarter = len(batch) // 4
        if quarter < 2:
            continue
        for name in ("rss_mib", "fds", "threads"):
            values = _values(batch, name)
            more = statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])
            label = {"rss_mib": "MiB of memory", "fds": "open files", "threads": "threads"}[name]
            grown[label] = max(more, grown.get(label, more))
    return grown
