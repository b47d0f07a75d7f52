"""Checks: pytest and testinfra over a lab's nodes, run in a process of their own.

What an exercise's test file imports is here; its fixtures are in `labctl.checks.plugin`.
"""

from labctl.checks.answers import not_yet, patiently, wrong

__all__ = ["not_yet", "patiently", "wrong"]
