"""What users of the stack see, and what its services see of each other."""

from __future__ import annotations

import time
from urllib.request import urlopen

from labctl import Lab
from labctl.pytest_plugin import Stack


def test_the_page_is_served(app: Stack) -> None:
    with urlopen(app.url("web"), timeout=10) as page:
        assert b"Hello from the stack" in page.read()


def test_each_node_has_a_replica(app: Stack, lab: Lab) -> None:
    running = {task.node_id for task in app.tasks() if task.image.startswith("nginx") and task.state == "running"}

    assert app.services["web"].running == len(running) == len(lab.nodes)


def test_requests_are_logged(app: Stack) -> None:
    with urlopen(app.url("web", "/?from=test")) as page:
        assert page.status == 200

    for _ in range(50):  # a log takes its way from the container to the node's engine
        if "GET /?from=test" in app.logs("web"):
            return
        time.sleep(0.2)
    raise AssertionError(app.logs("web"))
