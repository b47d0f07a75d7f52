"""Heals a service's fault. It runs on managers too, where only Python's standard library is: it imports nothing else.

A service with a fault has it in its labels: which, since when until when, and what it had before. What somebody has
changed since then stays: only the broken part is put back, and only where it is still the broken one.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

ID, KIND, UNTIL = "labctl.fault", "labctl.fault.kind", "labctl.fault.until"
BEFORE, BROKEN = "labctl.fault.before", "labctl.fault.broken"
LABELS = (ID, KIND, UNTIL, BEFORE, BROKEN)
PARTS = {"bad-image": "Image", "unhealthy": "Healthcheck"}  # of the service's ContainerSpec, by the fault's kind
ATTEMPTS = 20
LOOKS, PAUSE = 720, 5.0  # managers without a majority heal nothing: that is tried again for an hour

Ask = Callable[[str, str, "Any"], "Any"]  # (method, path, body) -> the JSON that was answered


def part_of(spec: dict[str, Any], kind: str) -> Any:
    """What a service has where the fault strikes; None for nothing."""
    return spec["TaskTemplate"]["ContainerSpec"].get(PARTS[kind])


def with_part(spec: dict[str, Any], kind: str, value: Any) -> dict[str, Any]:
    """The spec with that part in place of its own."""
    container = {**spec["TaskTemplate"]["ContainerSpec"], PARTS[kind]: value}
    if value is None:
        del container[PARTS[kind]]
    return {**spec, "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": container}}


def healed(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without its fault."""
    labels = spec.get("Labels") or {}
    whole = {**spec, "Labels": {key: value for key, value in labels.items() if key not in LABELS}}
    kind = labels.get(KIND)
    try:
        before, broken = json.loads(labels[BEFORE]), json.loads(labels[BROKEN])
    except (KeyError, ValueError, RecursionError):  # somebody has changed the labels: nothing tells what was before
        return whole
    still_broken = kind in PARTS and part_of(spec, str(kind)) == broken
    return with_part(whole, str(kind), before) if still_broken else whole


def heal(ask: Ask, service: str, fault: str) -> bool:
    """Heal the fault of a service. Whether there was anything to heal.

    Somebody else may change the service at the same time: what it is then is read again.
    """
    for _ in range(ATTEMPTS):
        found = ask("GET", f"/services/{service}", None)
        if not found or (found["Spec"].get("Labels") or {}).get(ID) != fault:
            return False
        version = found["Version"]["Index"]
        if ask("POST", f"/services/{service}/update?version={version}", healed(found["Spec"])) is not None:
            return True
        time.sleep(0.3)
    return False


def heal_when_it_can_be(ask: Ask, service: str, fault: str) -> None:
    """Heal the fault, as soon as the managers can change the service."""
    for _ in range(LOOKS):
        if heal(ask, service, fault):
            return
        found = ask("GET", f"/services/{service}", None)
        if found is not None and (not found or (found["Spec"].get("Labels") or {}).get(ID) != fault):
            return  # it is healed, or the service is gone
        time.sleep(PAUSE)


class _Socket(http.client.HTTPConnection):
    """HTTP over the engine's own socket."""

    def connect(self) -> None:
        if sys.platform != "win32":  # nodes are Linux
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(30)
            self.sock.connect("/var/run/docker.sock")


def _ask(method: str, path: str, body: Any) -> Any:
    """Ask this node's engine; None for what it refuses, nothing for what it does not have."""
    connection = _Socket("engine")
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 404 and method == "GET":
            return {}
        return json.loads(said or b"{}") if answer.status < 300 else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    time.sleep(float(sys.argv[3]))
    heal_when_it_can_be(_ask, sys.argv[1], sys.argv[2])
