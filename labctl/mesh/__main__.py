"""`python3 -m mesh`: serve this node's mesh, or end at once with success where the kernel does."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from .agent import Agent
from .engineapi import LocalEngine, diagnostic_port
from .gossip import GossipBell
from .httpget import Connection, over_tcp, over_unix
from .ipvs import ipvs_available
from .networkdb import NetworkDB
from .nft import OWN_MARK
from .plumber import Plumber
from .saying import say
from .status import STATUS_FILE, MeshStatus, Mode

if TYPE_CHECKING:
    from types import TracebackType


class Options(NamedTuple):
    """What the command line may say."""

    socket: str = "/var/run/docker.sock"
    port: int | None = None
    status: str = STATUS_FILE
    force: bool = False


def main() -> int:
    """Serve until the process ends, or return 0 when the kernel serves the mesh itself."""
    options = parse_options(sys.argv[1:])
    found = MeshStatus.load(options.status)
    before = found or MeshStatus(Mode.IDLE, 0.0)
    if options.force or not ipvs_available():
        if found is None:
            before.save(options.status)  # so that the next agent knows that it is not the first
        serve(options, before, first=found is None)
    before._replace(mode=Mode.IPVS, updated=time.time(), error=None, pending=None).save(options.status)
    say("this kernel has IPVS and serves the mesh itself")
    return 0


def serve(options: Options, before: MeshStatus, *, first: bool) -> NoReturn:
    """Run the agent; `before` is what the one before it left behind, unless it is the first of this node."""
    remember_crashes(options.status)
    engine = LocalEngine(Connection(over_unix(options.socket)))
    port = options.port or diagnostic_port()
    networkdb = NetworkDB(Connection(over_tcp("127.0.0.1", port, mark=OWN_MARK)))
    Agent(engine, networkdb, Plumber(first=first), GossipBell(), status_file=options.status, before=before).run()


def parse_options(words: list[str]) -> Options:
    """Read the command line."""
    if not words:
        return Options()  # as in a node: the parser takes longer to import than the agent itself
    import argparse

    usual = Options()
    parser = argparse.ArgumentParser(prog="mesh", description="the routing mesh without IPVS, for one node")
    parser.add_argument("--socket", default=usual.socket, help="the engine's API")
    parser.add_argument("--port", type=int, help="the engine's network-diagnostic-port (as in daemon.json)")
    parser.add_argument("--status", default=usual.status, help="the status file to write")
    parser.add_argument("--force", action="store_true", help="serve even though the kernel has IPVS")
    return Options(**vars(parser.parse_args(words)))


def remember_crashes(path: str) -> None:
    """Let the end of this process by a bug be told in the status file, for whoever starts it again."""
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, Exception):
            import traceback

            last = MeshStatus.load(path) or MeshStatus(Mode.IDLE, 0.0)
            frame = traceback.extract_tb(trace)[-1]
            text = f"the agent crashed: {kind.__name__}: {error} ({frame.filename}:{frame.lineno})"
            last._replace(updated=time.time(), error=text, last_error=text, crashes=last.crashes + 1).save(path)
        usual(kind, error, trace)

    sys.excepthook = hook


if __name__ == "__main__":
    sys.exit(main())
