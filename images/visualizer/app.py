"""The swarm at a glance: nodes as columns, tasks as boxes. Reads the manager's engine through its mounted socket."""

import http.client
import json
import os
import socket
import threading
import time
from http import HTTPStatus
from pathlib import Path

from webserver import HOSTNAME, Handler, serve

SOCKET = os.environ.get("DOCKER_SOCKET", "/var/run/docker.sock")
PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
FRESH_SECONDS = 0.5  # many browsers look at once; the manager is asked this often at most
WAIT_SECONDS = 5


class EngineError(Exception):
    """The engine cannot be asked; the message says what to do."""


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=WAIT_SECONDS)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def ask(path: str) -> list[dict]:
    """What the engine answers to GET `path`; EngineError if it does not."""
    connection = EngineConnection()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except FileNotFoundError as error:
        raise EngineError(f"{SOCKET} is not there: mount it (--mount type=bind,src={SOCKET},dst={SOCKET})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EngineError(f"the engine does not answer on {SOCKET}: {error}") from error
    finally:
        connection.close()
    if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise EngineError("this node is no swarm manager: add --constraint node.role==manager")
    if response.status != HTTPStatus.OK:
        raise EngineError(f"the engine says {response.status}: {answer.get('message', '')}")
    return answer


def node_view(node: dict) -> dict:
    """Of a node, what the page draws."""
    resources = node["Description"].get("Resources", {})
    return {
        "id": node["ID"],
        "name": node["Description"].get("Hostname", node["ID"]),
        "role": node["Spec"]["Role"],
        "leader": node.get("ManagerStatus", {}).get("Leader", False),
        "state": node["Status"]["State"],
        "availability": node["Spec"]["Availability"],
        "memory": resources.get("MemoryBytes", 0),
        "tasks": [],
    }


def task_view(task: dict, services: dict[str, str]) -> dict:
    """Of a task, what the page draws. Its environment stays out: it may hold passwords."""
    service = services.get(task.get("ServiceID", ""), "?")
    image, _, digest = task["Spec"].get("ContainerSpec", {}).get("Image", "").partition("@")
    return {
        "id": task["ID"],
        "service": service,
        "name": f"{service}.{task['Slot']}" if task.get("Slot") else service,
        "image": image or digest,
        "state": task["Status"]["State"],
        "desired": task["DesiredState"],
        "error": task["Status"].get("Err", ""),
        "container": task["Status"].get("ContainerStatus", {}).get("ContainerID", "")[:12],
    }


def overview() -> dict:
    """Nodes with their tasks, and the tasks that no node has yet. Tasks that ended and should have are left out."""
    nodes = {node["ID"]: node_view(node) for node in ask("/nodes")}
    services = {service["ID"]: service["Spec"]["Name"] for service in ask("/services")}
    waiting = []
    for task in sorted(ask("/tasks"), key=lambda task: (task.get("ServiceID", ""), task.get("Slot", 0), task["ID"])):
        if task["DesiredState"] == "shutdown" and task["Status"]["State"] not in ("running", "starting"):
            continue
        home = nodes.get(task.get("NodeID", ""))
        (home["tasks"] if home else waiting).append(task_view(task, services))
    ordered = sorted(nodes.values(), key=lambda node: (node["role"], node["name"], node["id"]))
    return {"nodes": ordered, "waiting": waiting, "served_by": HOSTNAME}


class Overview:
    """The last overview, made anew when it has aged; one request does it for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expires = 0.0
        self._answer: tuple[int, str] = (HTTPStatus.OK, "")

    def answer(self) -> tuple[int, str]:
        """HTTP status and JSON."""
        with self._lock:
            if time.monotonic() >= self._expires:
                self._answer = self._make()
                self._expires = time.monotonic() + FRESH_SECONDS
            return self._answer

    @staticmethod
    def _make() -> tuple[int, str]:
        try:
            return HTTPStatus.OK, json.dumps(overview())
        except EngineError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, json.dumps({"error": str(error), "served_by": HOSTNAME})


OVERVIEW = Overview()


class Visualizer(Handler):
    """GET / is the page, /api what it draws."""

    def do_GET(self) -> None:  # noqa: N802
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self.reply_plain("ok")
        elif path == "/":
            self.reply(PAGE)
        elif path == "/api":
            status, text = OVERVIEW.answer()
            self.reply(text, "application/json", status)
        else:
            self.reply_plain("nothing here: / and /api", HTTPStatus.NOT_FOUND)


if __name__ == "__main__":
    serve(Visualizer, default_port=8080)
