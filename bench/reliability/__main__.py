"""`python -m bench.reliability ROW`: how often a lab comes back.

Rows: cycles, kills, joint, snapshots, host. Each runs by itself, and goes on where it was cut off: trials of the same
seed and size that are in bench/results/reliability.jsonl are not done again. `report` writes docs/reliability.md from
that file, `report --check` only tells whether it is up to date.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from random import Random

from bench.reliability import page, results
from bench.reliability.counting import Ground
from bench.reliability.results import Run, Trial
from bench.reliability.rows import ROWS, Row, fresh
from bench.reliability.tried import Bad, Tried
from labctl.errors import LabctlError
from labctl.state import state_dir


def main(words: Sequence[str] | None = None) -> int:
    """Do what was asked for; the exit code is 1 where a trial failed or the page is out of date."""
    given = parsed(words)
    if given.row == "report":
        return page.report(check=given.check)
    run = Run(given.row, given.seed, given.nodes, given.managers)
    count = given.count or ROWS[given.row].count
    done = {trial.number for trial in results.read() if trial.run == run}
    missing = [number for number in range(1, count + 1) if number not in done]
    if missing:
        ground = Ground(state_dir() / "reliability")
        ground.make()
        os.environ.update(ground.environment)
        tempfile.tempdir = None  # found anew, in the trials' own place
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            _row(ROWS[given.row], Tried(given.lab, run.nodes, run.managers, ground), run, missing, given.minutes)
        except KeyboardInterrupt:
            print("\ncut off: the same command goes on", file=sys.stderr)
            return 130
    trials = sorted((trial for trial in results.read() if trial.run == run), key=lambda trial: trial.number)
    print("\n" + page.section(run, trials))
    left = count - len(trials)
    if left > 0:
        print(f"\n{left} of {count} are left: the same command goes on.")
    return 0 if all(trial.is_good for trial in trials) else 1


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; what cannot be meant ends with 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.reliability", description=__doc__)
    parser.add_argument("row", metavar="ROW", choices=[*ROWS, "report"], help=f"{', '.join(ROWS)}, or report")
    parser.add_argument("--count", type=int, help="trials in all; " + _counts())
    parser.add_argument("--seed", type=int, default=1, help="which random moments; another seed begins anew")
    parser.add_argument("--nodes", type=int, default=2, help="(default: 2)")
    parser.add_argument("--managers", type=int, default=1, help="how many of the nodes (default: 1)")
    parser.add_argument("--minutes", type=float, default=28.0, help="no trial begins after these (default: 28)")
    parser.add_argument("--lab", default="reliability", help="the lab's name (default: reliability)")
    parser.add_argument("--check", action="store_true", help="with report: write nothing")
    given = parser.parse_args(words)
    if not 1 <= given.managers <= given.nodes:
        parser.error(f"{given.managers} managers of {given.nodes} nodes: there are one or more, and no more than nodes")
    if given.count is not None and given.count < 1:
        parser.error(f"--count {given.count}: one or more")
    return given


def _counts() -> str:
    return ", ".join(f"{name} {row.count}" for name, row in ROWS.items())


def _row(row: Row, tried: Tried, run: Run, numbers: Sequence[int], minutes: float) -> None:
    """Do the trials, until there is no time for another one."""
    end = time.monotonic() + 60 * minutes
    commit, stands = results.commit(), False
    try:
        for number in numbers:
            if time.monotonic() > end:
                break
            trial = _trial(row, tried, run, number, commit, stands=stands)
            results.append(trial)
            print(f"{run.row} {number}: {trial.why or 'good'} ({trial.seconds:.0f} s)", flush=True)
            stands = trial.is_good
    finally:
        fresh(tried)


def _trial(row: Row, tried: Tried, run: Run, number: int, commit: str, *, stands: bool) -> Trial:
    """Do one trial; what it stands on is made first where it does not stand, and may fail as well."""
    began, why, figures = time.monotonic(), "", dict[str, float | str]()
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    try:
        if not stands:
            row.begin(tried)
            began = time.monotonic()
        figures = row.trial(tried, Random(f"{run.row} {run.seed} {number}"))
    except Bad as bad:
        why, figures = str(bad), bad.figures
    except LabctlError as problem:
        why = problem.message
    rounded = {key: round(value, 2) if isinstance(value, float) else value for key, value in figures.items()}
    return Trial(run, number, date, commit, round(time.monotonic() - began, 1), why, rounded)


if __name__ == "__main__":
    sys.exit(main())
