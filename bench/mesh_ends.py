"""The two ends of a measured connection; runs on a node's own python3, from standard input.

python3 - serve PORT             echo what comes on short connections, count what comes on long ones
python3 - ask ADDRESS:PORT SECONDS
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

ECHO, COUNT = b"e", b"c"
MESSAGE = bytes(63)
BLOCK = bytes(1 << 18)


def serve(port: int) -> None:
    """Answer for ever."""
    listener = socket.create_server(("", port), backlog=512)
    while True:
        link, _ = listener.accept()
        threading.Thread(target=answer, args=(link,), daemon=True).start()


def answer(link: socket.socket) -> None:
    """Echo, or count up to the end and tell the count."""
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with link:
        if link.recv(1) == ECHO:
            while data := link.recv(64):
                link.sendall(data)
            return
        total = 0
        while size := len(link.recv(1 << 18)):
            total += size
        link.sendall(b"%d\n" % total)


def opened(address: tuple[str, int], mode: bytes) -> socket.socket:
    """Connect and say what is wanted."""
    link = socket.create_connection(address, timeout=10)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(mode)
    return link


def ask(address: tuple[str, int], seconds: float) -> dict[str, float]:
    """Measure for `seconds` each: a round trip (median us), connections made (1/s), throughput (MiB/s)."""
    rounds = []
    end = time.monotonic() + seconds
    with opened(address, ECHO) as link:
        while (began := time.perf_counter()) and time.monotonic() < end:
            link.sendall(MESSAGE)
            link.recv(64, socket.MSG_WAITALL)
            rounds.append(time.perf_counter() - began)
    made = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with opened(address, ECHO) as link:
            link.sendall(b"x")
            link.recv(1)
        made += 1
    began = time.monotonic()
    with opened(address, COUNT) as link:
        while time.monotonic() < began + seconds:
            link.sendall(BLOCK)
        link.shutdown(socket.SHUT_WR)
        total = int(link.makefile().readline())
        took = time.monotonic() - began
    return {"us": sorted(rounds)[len(rounds) // 2] * 1e6, "per_s": made / seconds, "mib": total / took / 2**20}


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    host, _, port = sys.argv[2].rpartition(":")
    print(json.dumps(ask((host, int(port)), float(sys.argv[3]))))
