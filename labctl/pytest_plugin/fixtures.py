"""The fixtures. Each may be overridden, as fixtures are: in a conftest.py, a module or a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from labctl.pytest_plugin.session import lab_of_session, lab_that_stands, leaves_stacks
from labctl.pytest_plugin.stacks import StackMaker

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.node import Node
    from labctl.swarm import SwarmView

__all__ = ["lab", "lab_spec", "module_stack", "node", "stack", "swarm"]


@pytest.fixture(scope="session")
def lab_spec() -> object:
    """What lab the session needs: a LabSpec, the Path of a lab.yaml, or a dict of Lab.up's keywords. Override it."""
    return {"nodes": 2}


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, lab_spec: object) -> Iterator[Lab]:
    """A lab for all tests of the session, removed at its end; the one that --labctl-lab or LABCTL_LAB names stays."""
    with lab_of_session(request.config, lab_spec) as found:
        yield found


@pytest.fixture
def swarm(lab: Lab) -> SwarmView:
    """The lab's swarm as a manager sees it: `nodes()`, `services()`, `tasks()`."""
    return lab_that_stands(lab).swarm()


@pytest.fixture
def node(lab: Lab) -> Callable[[str], Node]:
    """A node of the lab as it now is: `node("w1").run("uptime")`."""

    def find(name: str) -> Node:
        return lab_that_stands(lab).node(name)

    return find


@pytest.fixture
def stack(request: pytest.FixtureRequest, lab: Lab) -> Iterator[StackMaker]:
    """Deploys stacks for this test: `app = stack("docker-stack.yml")`, `app.url("web", "/health")`."""
    yield from _stacks(request, lab)


@pytest.fixture(scope="module")
def module_stack(request: pytest.FixtureRequest, lab: Lab) -> Iterator[StackMaker]:
    """The same for stacks that all tests of a module use."""
    yield from _stacks(request, lab)


def _stacks(request: pytest.FixtureRequest, lab: Lab) -> Iterator[StackMaker]:
    maker = StackMaker(lab_that_stands(lab), request)
    yield maker
    if not leaves_stacks(request.config):
        maker.remove()
