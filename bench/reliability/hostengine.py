"""The restart of this host's engine, where nobody else needs it and labctl itself may start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.reliability.tried import Bad
from labctl.host.engine_facts import read_pid
from labctl.host.machine_facts import gather_machine

__all__ = ["PIDFILE", "refuse", "restart"]

PIDFILE = Path("/var/run/docker.pid")
ENDS_WITHIN = 60.0


def refuse(client: Any, lab: str, *, manager: str | None = None, pidfile: Path = PIDFILE) -> None:
    """Raise SystemExit where the engine must not be restarted, or where labctl could not start it again.

    `manager` is what manages services here; it is found out where it is not said.
    """
    if os.geteuid() != 0:
        raise SystemExit("host: only root restarts an engine; the row was not run")
    others = sorted(
        one["Names"][0].lstrip("/") for one in client.containers() if one["Labels"].get("labctl.lab") != lab
    )
    if others:
        shown = f"{', '.join(others[:3])}{', …' if len(others) > 3 else ''}"
        raise SystemExit(f"host: {len(others)} containers that are not lab {lab}'s run on this engine ({shown}), and "
                         "would end: take them down first; the row was not run")  # fmt: skip
    manager = gather_machine().service_manager if manager is None else manager
    if manager:
        return
    if read_pid(pidfile) is None:
        raise SystemExit(
            f"host: nothing manages services here, and {pidfile} names no engine that `labctl doctor --fix` could "
            "start again; the row was not run"
        )


def restart() -> float:
    """End the engine in order, let `labctl doctor --fix` start it, and return the seconds."""
    began = time.monotonic()
    if gather_machine().service_manager == "systemd":
        subprocess.run(["systemctl", "stop", "docker.socket", "docker"], check=True)
    else:
        _end(read_pid(PIDFILE))
    fix = [sys.executable, "-m", "labctl", "--progress", "plain", "doctor", "--fix", "--yes"]
    done = subprocess.run(fix, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Bad(f"labctl doctor --fix exited {done.returncode}: {(done.stdout + done.stderr)[-300:]}")
    return time.monotonic() - began


def _end(pid: int | None) -> None:
    if pid is None:
        raise Bad(f"{PIDFILE} names no engine")
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + ENDS_WITHIN
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            raise Bad(f"the engine, process {pid}, does not end within {ENDS_WITHIN:.0f} s")
        time.sleep(0.1)
