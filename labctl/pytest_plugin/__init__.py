"""labctl's pytest plugin: a lab for a session of tests, and stacks on it for a test. docs/pytest.md tells of it.

pytest reads this package wherever labctl is installed, so it imports pytest and nothing large: docker, pydantic and
the rest come with the first fixture that is used.
"""

from labctl.pytest_plugin.fixtures import lab, lab_spec, module_stack, node, stack, swarm
from labctl.pytest_plugin.hooks import (
    pytest_addoption,
    pytest_configure,
    pytest_configure_node,
    pytest_runtest_makereport,
    pytest_runtest_setup,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_unconfigure,
)
from labctl.pytest_plugin.stacks import Stack, StackMaker

__all__ = [
    "Stack",
    "StackMaker",
    "lab",
    "lab_spec",
    "module_stack",
    "node",
    "pytest_addoption",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_unconfigure",
    "stack",
    "swarm",
]
