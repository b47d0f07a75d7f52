"""Tests that change the stack have one of their own."""

from __future__ import annotations

from collections.abc import Callable
from urllib.request import urlopen

import pytest

from labctl import Lab, Node, NotYetError
from labctl.pytest_plugin import StackMaker


def test_the_stack_serves_after_an_update(stack: StackMaker) -> None:
    app = stack("docker-stack.yml", environment={"WEB_TAG": "alpine"})

    app.update(environment={"WEB_TAG": "latest"})

    with urlopen(app.url("web"), timeout=10) as page:
        assert page.status == 200


def test_a_tag_that_does_not_exist_is_noticed(stack: StackMaker) -> None:
    with pytest.raises(NotYetError, match="No such image"):
        stack(text="services: {web: {image: 'nosuch/image:1'}}")


@pytest.mark.labctl_needs("netem")
def test_a_long_line_is_endured(lab: Lab, node: Callable[[str], Node]) -> None:
    with lab.fault("delay", "w1", delay="100ms", seconds=60):
        assert node("w1").run("true").ok
