"""`python3 -m mesh`: serve this node's mesh, or end at once with success where the kernel does."""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from types import TracebackType
from typing import NoReturn

from .agent import Agent
from .engineapi import LocalEngine
from .httpget import Connection, over_tcp, over_unix
from .ipvs import ipvs_available
from .networkdb import NetworkDB
from .status import STATUS_FILE, MeshStatus, Mode

log = logging.getLogger("mesh")


def main() -> int:
    """Serve until the process ends, or return 0 when the kernel serves the mesh itself."""
    options = parse_options()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="mesh: %(message)s")
    before = MeshStatus.load(options.status)
    crashes = before.crashes if before else 0
    if options.force or not ipvs_available():
        serve(options, crashes)
    MeshStatus(Mode.IPVS, time.time(), crashes=crashes).save(options.status)
    log.info("this kernel has IPVS and serves the mesh itself")
    return 0


def serve(options: argparse.Namespace, crashes: int) -> NoReturn:
    """Run the agent; `crashes` are the ends that it had before."""
    remember_crashes(options.status)
    engine = LocalEngine(Connection(over_unix(options.socket)))
    networkdb = NetworkDB(Connection(over_tcp("127.0.0.1", options.port)))
    Agent(engine, networkdb, status_file=options.status, crashes=crashes).run()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh", description="the routing mesh without IPVS, for one node")
    parser.add_argument("--socket", default="/var/run/docker.sock", help="the engine's API")
    parser.add_argument("--port", type=int, default=2000, help="the engine's network-diagnostic-port")
    parser.add_argument("--status", default=STATUS_FILE, help="the status file to write")
    parser.add_argument("--force", action="store_true", help="serve even though the kernel has IPVS")
    return parser.parse_args()


def remember_crashes(path: str) -> None:
    """Let the end of this process by a bug be told in the status file, for whoever starts it again."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            last = MeshStatus.load(path) or MeshStatus(Mode.IDLE, 0.0)
            frame = traceback.extract_tb(trace)[-1]
            text = f"the agent crashed: {kind.__name__}: {error} ({frame.filename}:{frame.lineno})"
            last._replace(updated=time.time(), error=text, last_error=text, crashes=last.crashes + 1).save(path)
        usual(kind, error, trace)

    sys.excepthook = hook


if __name__ == "__main__":
    sys.exit(main())
