"""An exercise that needs no nodes: its blocks run on this machine, its checks look at files there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labctl.engine.fake import Answer, FakeEngine
from labctl.exercise import Exercise, read_exercise
from labctl.exercise.session import Session
from labctl.lab import Context, Lab, find_lab
from labctl.spec import labels

FRONT = """---
format: 1
id: demo
title: A demo
summary: Files
minutes: 5
lab: {managers: 1, workers: 1}
---

Welcome.
"""
TEXT = """
## First {#first}

Make a file called `one` in `{{node.m1.name}}`.

<details><summary>Hint</summary>Use touch.</details>

<details><summary>Hint</summary>touch one</details>

<details><summary>Solution</summary>

```sh node=host solve
touch $PLACE/one
```

</details>

## Second {#second}

Make another one.

```sh node=host
mkdir $PLACE/two
```

```sh node=host reset
rm -rf $PLACE/one $PLACE/two
```
"""
CHECKS = """
import os, pathlib
import pytest
from labctl.checks import not_yet

PLACE = pathlib.Path(os.environ["PLACE"])


@pytest.mark.step("first")
def test_one():
    \"\"\"There is one.\"\"\"
    if not (PLACE / "one").exists():
        not_yet("there is no file one", look="ls")


@pytest.mark.step("second")
def test_two():
    \"\"\"There are two.\"\"\"
    if not (PLACE / "two").exists():
        not_yet("there is no folder two", look="ls")
"""
Demo = Callable[..., Exercise]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the exercise's files are; its blocks and checks know it as PLACE."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.setenv("PLACE", str(folder))
    return folder


@pytest.fixture
def demo(tmp_path: Path, place: Path) -> Demo:
    """Write the exercise, with other text or checks where given, and read it."""

    def write(text: str = TEXT, checks: str = CHECKS, front: str = FRONT) -> Exercise:
        folder = tmp_path / "exercises" / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "exercise.md").write_text(front + text)
        (folder / "test_demo.py").write_text(checks)
        return read_exercise(folder)

    return write


def lab_with(*nodes: str, **states: str) -> Lab:
    """A lab called demo of nodes that nothing can be run on; `states` are those that do not run."""

    def container(node: str) -> dict[str, Any]:
        role = "manager" if node.startswith("manager") else "worker"
        number = 11 + nodes.index(node)
        marks = {
            labels.LAB: "demo", labels.KIND: "node", labels.NODE: node, labels.ROLE: role,
            labels.ADDRESS: f"10.0.0.{number}", labels.PORT: "1",
        }  # fmt: skip
        return {"Id": node, "Names": [f"/demo-{node}"], "State": states.get(node, "running"), "Labels": marks}

    answers: dict[str, Answer] = {
        "GET /containers/json": [container(node) for node in nodes],
        "GET /networks": [],
        "GET /volumes": {"Volumes": []},
    }
    return find_lab(Context(FakeEngine(answers)), "demo")


@pytest.fixture
def lab(state: Path) -> Lab:
    """One manager and one worker; both are down, so that nobody runs anything on them by mistake."""
    return lab_with("manager1", "worker1", manager1="exited", worker1="exited")


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of a lesson no node of the lab is asked, as none answers."""
    monkeypatch.setattr("labctl.exercise.run.left_in", lambda _lab: ())


@pytest.fixture
def begin(lab: Lab) -> Callable[[Exercise], Session]:
    """Begin an exercise in the lab, or go on with it."""

    def begin_exercise(exercise: Exercise) -> Session:
        return Session.begin(lab, exercise, lambda _event: None, lambda _note: None)

    return begin_exercise
