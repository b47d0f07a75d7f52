"""What `verify` asks on a node. It is sent there as text, so it imports nothing but the standard library.

It starts no container, and no program in one: a socket that is made in a task's network namespace stays there, and asks
the engine's name server as the task itself would. The node's own processes open the ports.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

__all__ = ["ask", "decoded", "question", "said"]

SERVER = ("127.0.0.11", 53)  # the engine's, in each network namespace that it made for a container
A, IN, OPT = 1, 1, 41
LARGEST = 65000  # bytes of an answer: one that has hundreds of addresses is not cut short
AGAIN = 0.5  # seconds after which a question that got lost is asked again
LISTENS = "0A"  # the kernel's number for a socket that waits for connections
CLONE_NEWNET = 0x40000000
AT_ONCE = 32


def question(number: int, name: str) -> bytes:
    """A question for the addresses of a name."""
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    head = struct.pack(">6H", number, 0x0100, 1, 0, 0, 1)
    return head + labels + b"\0" + struct.pack(">2H", A, IN) + b"\0" + struct.pack(">2HIH", OPT, LARGEST, 0, 0)


def decoded(answer: bytes) -> list[str]:
    """The addresses in an answer. Raises ValueError for one that is not understood."""
    try:
        _, _, questions, answers = struct.unpack(">4H", answer[:8])
        place, found = 12, list[str]()
        for _ in range(questions):
            place = _behind_name(answer, place) + 4
        for _ in range(answers):
            place = _behind_name(answer, place)
            kind, _, _, size = struct.unpack(">2HIH", answer[place : place + 10])
            if kind == A:
                found.append(socket.inet_ntoa(answer[place + 10 : place + 10 + size]))
            place += 10 + size
    except (struct.error, IndexError, OSError) as error:
        raise ValueError(f"not an answer of a name server: {error}") from error
    return found


def ask(wanted: dict[str, Any]) -> dict[str, Any]:
    """Answer all questions, each within `limit` seconds; see `labctl.lab.services`."""
    limit = float(wanted["limit"])
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    asked = [_enter(task, home) for task in wanted["tasks"]]
    _await(asked, limit)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ports = list(pool.map(lambda port: _opened(port[0], port[1], port[2], limit), wanted["ports"]))
    return {"tasks": [one and {"listening": one["listening"], "names": one["names"]} for one in asked], "ports": ports}


def said(wanted: str) -> str:
    """Answer a text with a text, both JSON."""
    return json.dumps(ask(json.loads(wanted)))


def _behind_name(answer: bytes, place: int) -> int:
    while size := answer[place]:
        if size >= 0xC0:  # the rest stands elsewhere
            return place + 2
        place += 1 + size
    return place + 1


def _enter(task: dict[str, Any], home: int) -> dict[str, Any] | None:
    """Look into a task's namespace, and leave a socket there that has asked; None for a task that is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if task["container"] not in Path(f"/proc/{task['pid']}/mountinfo").read_text(errors="replace"):
            return None  # another process has its number
        there = os.open(f"/proc/{task['pid']}/ns/net", os.O_RDONLY)
    except OSError:
        return None
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a task's network namespace cannot be entered")
        try:
            names = dict.fromkeys(task["names"])
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            asking.setblocking(False)
            return {"socket": asking, "names": names, "order": list(names), "listening": _listening()}
        finally:
            libc.setns(home, CLONE_NEWNET)
    finally:
        os.close(there)


def _listening() -> list[int]:
    """The TCP ports at which something listens, for others too, in the namespace that this thread is in."""
    found = set()
    for file in ("tcp", "tcp6"):
        try:
            rows = [line.split() for line in Path(f"/proc/thread-self/net/{file}").read_text().splitlines()][1:]
        except OSError:
            continue
        places = [row[1].split(":") for row in rows if row[3] == LISTENS]
        found |= {int(port, 16) for address, port in places if not _is_loopback(address)}
    return sorted(found)


def _is_loopback(address: str) -> bool:
    """Whether the kernel's word for an address, in hexadecimal and with the last byte first, is one of loopback's."""
    return address.endswith("7F") if len(address) == 8 else address == "00000000000000000000000001000000"


def _await(asked: list[Any], limit: float) -> None:
    end, again = time.monotonic() + limit, 0.0
    waiting = {one["socket"]: one for one in asked if one and one["order"]}
    while waiting and (now := time.monotonic()) < end:
        if now >= again:
            again = now + AGAIN
            for one in waiting.values():
                _send(one)
        for ready in select.select(list(waiting), [], [], min(again, end) - now)[0]:
            one = waiting[ready]
            _receive(one)
            if None not in one["names"].values():
                del waiting[ready]


def _send(one: dict[str, Any]) -> None:
    for number, name in enumerate(one["order"]):
        if one["names"][name] is None:
            try:
                one["socket"].sendto(question(number, name), SERVER)
            except OSError:
                return  # no server, or no room: it is asked again


def _receive(one: dict[str, Any]) -> None:
    try:
        answer = one["socket"].recv(LARGEST)
        (number,) = struct.unpack(">H", answer[:2])
        one["names"][one["order"][number]] = decoded(answer)
    except (OSError, ValueError, IndexError, struct.error):
        pass  # refused, or nothing that was asked for: it is asked again


def _opened(address: str, port: int, times: int, limit: float) -> str:
    """Connect so many times in a row, and close; the reason of the first that fails, "" where none does."""
    for _ in range(times):
        try:
            socket.create_connection((address, port), timeout=limit).close()
        except OSError as error:
            return "no answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
    return ""
