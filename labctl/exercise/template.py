"""What `labctl exercise new` writes: the smallest exercise that keeps the rules."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError
from labctl.exercise.model import ID, checks_name

__all__ = ["write_template"]

EXERCISE = """---
format: 1
id: {id}
title: {title}
summary: Run a service and see it answer
level: beginner
minutes: 5
lab:
  managers: 1
  workers: 1
images:
  - nginx:latest
ports:
  Web: 8080
---

# {title}

Say here what it is about, and why it is worth the time.

## Run a service {{#run}}

Say what to do and what to look at. What a learner types on the first manager stands in a block like this:

```sh node=m1
docker service ls
```

Then run nginx as a service called `web` that publishes port 8080. You will find it at {{{{url.Web}}}}.

<details><summary>Hint</summary>

`docker service create --help` tells how to publish a port.

</details>

<details><summary>Solution</summary>

```sh node=m1 solve
docker service create --detach --name web --publish 8080:80 nginx:latest
```

</details>

```sh node=m1 reset fail=ok
docker service rm web
```
"""

CHECKS = '''"""What is true after each step of {id}."""

import pytest

from labctl.checks import not_yet


@pytest.mark.step("run")
def test_web_runs(swarm):
    """The service web runs."""
    swarm.service("web").must_run()


@pytest.mark.step("run")
def test_web_answers(swarm):
    """Its page answers on worker 1."""
    answer = swarm.http("w1", 8080)
    if not answer.ok:
        not_yet("the page does not answer on worker 1", found=answer, look=f"curl {{answer.url}}")
'''


def write_template(folder: Path) -> list[Path]:
    """Write a new exercise and return its files. Raises UsageError for a bad name, or a folder that is not empty."""
    name = folder.resolve().name
    if not ID.fullmatch(name):
        raise UsageError(f"{name!r} is no id for an exercise: lower-case words with hyphens between, like my-exercise")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not empty")
    title = name.replace("-", " ").capitalize()
    files = {
        folder / "exercise.md": EXERCISE.format(id=name, title=title),
        folder / checks_name(name): CHECKS.format(id=name),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"cannot write in {folder}: {problem.strerror}") from problem
    return list(files)
