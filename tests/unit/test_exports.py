"""What a package shows is what it says in __all__: no more, no less, and all of it is there."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import labctl


@pytest.fixture(scope="module")
def modules() -> dict[str, ModuleType]:
    """Every module of labctl by its name, but the one that runs it."""
    found = [info.name for info in pkgutil.walk_packages(labctl.__path__, "labctl.")]
    names = ["labctl", *(name for name in found if not name.endswith("__main__"))]
    return {name: importlib.import_module(name) for name in names}


def shown_by(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", []))


def taken_by(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Every `from labctl.x import y`, wherever it stands, as (labctl.x, y)."""
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "labctl":
            yield from ((node.module, alias.name) for alias in node.names)


def package_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_what_a_module_says_it_has_is_there(modules: dict[str, ModuleType]) -> None:
    missing = [f"{name}.{one}" for name, found in modules.items() for one in shown_by(found) if not hasattr(found, one)]

    assert missing == []


def test_every_module_says_what_it_has_and_says_it_once(modules: dict[str, ModuleType]) -> None:
    assert [name for name, found in modules.items() if len(set(shown_by(found))) < len(shown_by(found))] == []
    assert [name for name, found in modules.items() if not shown_by(found) and list(taken_by(found))] == []


def test_a_package_shows_all_that_it_takes_from_its_modules(modules: dict[str, ModuleType]) -> None:
    hidden = [
        f"{name}.{one}"
        for name, found in modules.items()
        if hasattr(found, "__path__")
        for _, one in taken_by(found)
        if not isinstance(getattr(found, one), ModuleType) and one not in shown_by(found)
    ]

    assert hidden == []


def test_a_package_takes_from_others_only_what_they_show(modules: dict[str, ModuleType]) -> None:
    hidden = [
        f"{name}: {source}.{one}"
        for name, found in modules.items()
        for source, one in taken_by(found)
        if package_of(source) != package_of(name)
        and f"{source}.{one}" not in modules
        and (source not in modules or one not in shown_by(modules[source]))
    ]

    assert hidden == []
