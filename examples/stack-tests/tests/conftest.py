"""The lab that the stack is tested on, and the stack that most tests ask."""

from __future__ import annotations

import pytest

from labctl.pytest_plugin import Stack, StackMaker


@pytest.fixture(scope="session")
def lab_spec() -> dict[str, object]:
    """One manager and one worker, as small as a runner of CI."""
    return {"nodes": 2}


@pytest.fixture(scope="module")
def app(module_stack: StackMaker) -> Stack:
    """The stack, once for all tests of a file. Nobody changes it."""
    return module_stack("docker-stack.yml")
