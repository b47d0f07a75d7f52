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
from .engineapi import LocalEngine, diagnostic_port
from .gossip import GossipBell
from .httpget import Connection, over_tcp, over_unix
from .ipvs import ipvs_available
from .networkdb import NetworkDB
from .nft import OWN_MARK
from .plumber import Plumber
from .status import STATUS_FILE, MeshStatus, Mode

log = logging.getLogger("mesh")


def main() -> int:
    """Serve until the process ends, or return 0 when the kernel serves the mesh itself."""
    options = parse_options()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="mesh: %(message)s")
    before = MeshStatus.load(options.status) or MeshStatus(Mode.IDLE, 0.0)
    if options.force or not ipvs_available():
        serve(options, before)
    before._replace(mode=Mode.IPVS, updated=time.time(), error=None, pending=None).save(options.status)
    log.info("this kernel has IPVS and serves the mesh itself")
    return 0


def serve(options: argparse.Namespace, before: MeshStatus) -> NoReturn:
    """Run the agent; `before` is what the one before it left behind."""
    remember_crashes(options.status)
    engine = LocalEngine(Connection(over_unix(options.socket)))
    port = options.port or diagnostic_port()
    networkdb = NetworkDB(Connection(over_tcp("127.0.0.1", port, mark=OWN_MARK)))
    Agent(engine, networkdb, Plumber(), GossipBell(), status_file=options.status, before=before).run()


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mesh", description="the routing mesh without IPVS, for one node")
    parser.add_argument("--socket", default="/var/run/docker.sock", help="the engine's API")
    parser.add_argument("--port", type=int, help="the engine's network-diagnostic-port (as in daemon.json)")
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
