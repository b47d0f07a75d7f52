"""exercise.md as authors write it, well and in every way badly: each problem is told with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.assets import asset
from labctl.errors import NotFoundError, SpecError
from labctl.exercise import Exercise, read_exercise

FRONT = """---
format: 1
id: demo
title: A demo
summary: What it is
minutes: 5
lab: {managers: 1, workers: 2}
ports: {Web: 8080}
---
"""
STEP = """
## Look {#look}

See what is there:

```sh node=m1
docker node ls
```
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write an exercise called demo, with a file for its checks."""

    def write_exercise(text: str) -> Path:
        folder = tmp_path / "demo"
        folder.mkdir(exist_ok=True)
        (folder / "exercise.md").write_text(text)
        (folder / "test_demo.py").write_text("")
        return folder

    return write_exercise


def problems(folder: Path) -> list[str]:
    """The problems of an exercise, each as `line: text`."""
    with pytest.raises(SpecError) as caught:
        read_exercise(folder)
    assert "docs/exercises.md" in (caught.value.hint or "")
    prefix = f"{folder / 'exercise.md'}"
    return [problem.removeprefix(prefix).removeprefix(":").strip() for problem in caught.value.problems]


# -- what is there


def test_the_front_matter_is_read(write: Write) -> None:
    found = read_exercise(write(FRONT + "\n# A demo\n\nWelcome.\n" + STEP))

    assert (found.id, found.front.title, found.front.lab.nodes) == ("demo", "A demo", 3)
    assert found.intro == "Welcome."
    assert found.checks.name == "test_demo.py"


def test_a_step_has_its_text_and_its_blocks(write: Write) -> None:
    (step,) = read_exercise(write(FRONT + STEP)).steps

    assert (step.id, step.title, step.line) == ("look", "Look", 11)
    (fence,) = step.fences
    assert (fence.node, fence.code, fence.language, fence.line) == ("m1", "docker node ls", "sh", 15)
    assert step.text == "See what is there:\n\nOn **m1**:\n\n```sh\ndocker node ls\n```"


def test_marks_on_blocks_decide_what_is_seen_and_what_is_played(write: Write) -> None:
    text = """
## Do {#do}

```sh node=m1 edit
change me ???
```

```sh node=w1 solve fail=ok
solved
```

```sh node=host reset
gone
```

```text
sample output
```

```yaml
a: 1
```
"""
    found = read_exercise(write(FRONT + text))
    (step,) = found.steps

    assert "change me" in step.text
    assert "On **m1**; change it first:" in step.text
    assert "solved" not in step.text
    assert "gone" not in step.text
    assert "sample output" in step.text
    assert [(fence.code, fence.fail_ok) for fence in step.played] == [("solved", True)]
    assert [fence.code for fence in found.reset] == ["gone"]


def test_hints_come_in_order_and_the_solution_last(write: Write) -> None:
    text = """
<details><summary>Hint</summary>

One **bold** word.

</details>

<details><summary>Hint 2</summary>Two.</details>

<details><summary>Why is that so?</summary>

Because.

</details>

<details><summary>Solution</summary>

```sh node=m1 solve
solved
```

</details>

The end.
"""
    (step,) = read_exercise(write(FRONT + STEP + text)).steps

    assert step.hints == ("One **bold** word.", "Two.")
    assert step.solution == "On **m1**:\n\n```sh\nsolved\n```"
    assert "Because." in step.text
    assert "Solution" not in step.text
    assert step.text.endswith("The end.")


def test_blocks_in_lists_are_blocks_too(write: Write) -> None:
    text = "\n## Do {#do}\n\n1. First\n\n   ```sh node=m1\n   ls\n   ```\n"

    (step,) = read_exercise(write(FRONT + text)).steps

    assert [fence.code for fence in step.fences] == ["ls"]
    assert "   On **m1**:\n\n   ```sh\n   ls" in step.text


def test_go_templates_are_not_ours_to_fill_in(write: Write) -> None:
    text = "\n## Do {#do}\n\n```sh node=m1\ndocker node ls --format '{{.Hostname}} {{json .}}'\n```\n"

    assert read_exercise(write(FRONT + text)).steps[0].fences[0].code.endswith("'{{.Hostname}} {{json .}}'")


def test_steps_are_found_by_id_and_number(write: Write) -> None:
    found = read_exercise(write(FRONT + STEP + STEP.replace("look", "again")))

    assert found.step("again").id == found.step("2").id == "again"
    with pytest.raises(NotFoundError, match="no step named 'loook': did you mean look"):
        found.step("loook")


def test_what_is_shipped_can_be_read() -> None:
    found = [read_exercise(folder) for folder in asset("exercises").iterdir() if (folder / "exercise.md").is_file()]

    assert "voting-app" in [one.id for one in found]
    for one in found:
        assert all(step.played or step.questions for step in one.steps)
        assert one.reset, f"{one.id} cannot be begun anew"


# -- front matter that is none


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("format: 1", "format: 2", "2: format 2 is not known here: this labctl reads format 1"),
        ("format: 1", "format: one\nnonsense: 1", "2: format 'one' is not known here"),
        ("id: demo", "id: other", "3: id: the folder is called demo, not other"),
        ("id: demo", "id: Demo App", "3: id: 'Demo App' is no id"),
        ("title: A demo\n", "", "1: title: it is missing"),
        ("minutes: 5", "minutes: soon", "6: minutes: it should be a valid integer"),
        ("managers: 1", "managers: 9", "7: lab.managers: it should be less than or equal to 7"),
        ("Web: 8080", "Web: 99999", "8: ports.Web: it should be less than or equal to 65535"),
        ("title:", "  title:", "4: "),
        ("What it is", "[a, b]", "5: summary: it should be a valid string"),
        ("format: 1", "\tformat: 1", "2: a tab; YAML indents with spaces"),
        ("title: A demo", "title: A demo\ntitle: Two", "5: 'title' is there twice"),
    ],
)
def test_front_matter_that_is_none_is_told(write: Write, old: str, new: str, told: str) -> None:
    assert any(told in problem for problem in problems(write(FRONT.replace(old, new) + STEP)))


@pytest.mark.parametrize("front", ["", "---\nformat: 1\n", "# A demo\n"])
def test_front_matter_that_is_missing_is_told(write: Write, front: str) -> None:
    (found,) = problems(write(front + STEP))

    assert found.startswith("1: it begins with front matter between two lines ---")


def test_of_another_format_nothing_else_is_said(write: Write) -> None:
    assert len(problems(write(FRONT.replace("format: 1\nid: demo", "format: 7\nfoo: 1") + "no steps"))) == 1


def test_unknown_keys_are_told_with_those_that_there_are(write: Write) -> None:
    (found,) = problems(write(FRONT.replace("minutes: 5", "minutes: 5\ncolour: red") + STEP))

    assert found.startswith("7: colour: there is no such key; there is format, id, title, summary,")


# -- steps that are none


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (STEP, "No steps.", "it has no steps: a step begins with ## Title {#id}"),
        (" {#look}", "", "11: the step 'Look' has no id: ## Look {#look}"),
        ("#look", "#Look It", "11: 'Look' is no id: lower-case words with hyphens between"),
        ("node=m1", "", "15: a block that runs says where, once"),
        ("node=m1", "node=m1 node=w1", "15: a block that runs says where, once"),
        ("sh node=m1", "text solve", "15: a block that runs says where, once"),
        ("node=m1", "node=x1", "15: node=x1: there is m1, m2, ..., w1, w2, ..., @manager, @worker, @all, and host"),
        ("node=m1", "node=w3", "15: node=w3: the lab of this exercise need not have that node"),
        ("node=m1", "node=m1 slove", "15: 'slove' means nothing on a code block; there is node=m1, solve, edit"),
        ("docker node ls\n", "", "15: the code block is empty"),
        ("node=m1", "node=m1 edit", "11: step look: nothing in it runs"),
        ("sh node=m1", "text", "11: step look: nothing in it runs"),
        ("\n## Look", "\n```sh node=m1\nls\n```\n\n## Look", "11: a block that runs belongs to a step"),
    ],
)
def test_steps_that_are_none_are_told(write: Write, old: str, new: str, told: str) -> None:
    assert any(told in problem for problem in problems(write(FRONT + STEP.replace(old, new))))


SOLUTION = "<details><summary>Solution</summary>a</details>\n\n"
A_HINT = "<details><summary>Hint</summary>a</details>\n\n"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (STEP, "20: two steps have the id look"),
        ("<details><summary>Hint</summary>\n\nnever closed\n", "19: <details> is not closed by </details>"),
        ("<details><summary>Hint</summary>\n\n</details>\n", "19: the hint is empty"),
        (SOLUTION + SOLUTION, "21: step look: a second solution"),
        (SOLUTION + A_HINT, "21: step look: a hint after the solution comes too late"),
        ("Open {{url.Wbe}}.", "19: {{url.Wbe}}: `ports` in the front matter has Web"),
        ("At {{node.w9.ip}}.", "19: {{node.w9.ip}}: there is {{node.m1.ip}} and {{node.m1.name}}"),
        ("At {{node.m1.mac}}.", "19: {{node.m1.mac}}: there is {{node.m1.ip}} and {{node.m1.name}}"),
    ],
)
def test_what_is_wrong_inside_a_step_is_told(write: Write, more: str, told: str) -> None:
    assert told in problems(write(FRONT + STEP + "\n" + more))


def test_all_problems_are_told_at_once_and_in_order(write: Write) -> None:
    text = STEP.replace("node=m1", "node=x1 foo") + STEP.replace(" {#look}", "")

    found = problems(write(FRONT + text))

    assert [problem.split(":")[0] for problem in found] == ["15", "15", "19"]


def test_an_exercise_without_a_file_of_checks_is_told(write: Write) -> None:
    folder = write(FRONT + STEP)
    (folder / "test_demo.py").unlink()

    assert problems(folder) == ["test_demo.py is missing beside it: an exercise without checks proves nothing"]


def test_what_is_no_file_is_told(tmp_path: Path, write: Write) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        read_exercise(tmp_path / "nowhere")
    folder = write("")
    (folder / "exercise.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="is not text"):
        read_exercise(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=400))
def test_whatever_stands_there_is_read_or_told(write: Write, text: str) -> None:
    folder = write("")
    for whole in (text, FRONT + text, FRONT + STEP + text):
        (folder / "exercise.md").write_text(whole, encoding="utf-8", errors="replace")
        try:
            assert isinstance(read_exercise(folder), Exercise)
        except SpecError as bad:
            assert bad.problems


# -- what a step says of itself, and blocks that nobody sees


def test_a_step_tells_its_minutes_and_what_it_leaves(write: Write) -> None:
    steps = read_exercise(
        write(FRONT + STEP.replace("{#look}", "{#look minutes=4 optional passing}") + STEP.replace("#look", "#again"))
    ).steps

    assert [(step.id, step.minutes, step.optional, step.passing) for step in steps] == [
        ("look", 4, True, True),
        ("again", 0, False, False),
    ]


@pytest.mark.parametrize("word", ["minutes=0", "minutes=x", "minutes=61", "option", "minutes"])
def test_a_word_behind_an_id_that_means_nothing_is_told(write: Write, word: str) -> None:
    (problem,) = problems(write(FRONT + STEP.replace("{#look}", f"{{#look {word}}}")))

    assert f"{word!r} means nothing behind a step's id" in problem


BEHIND = """
```sh node=host setup
labctl fault inject block w1
```

```sh node=m1 wrong="the stack is called vote"
docker stack deploy -c f.yml vote
```

```sh node=m1 undo
docker stack rm vote
```

<details><summary>Debrief</summary>

That was it.

</details>
"""


def test_nobody_sees_set_up_and_mistakes_and_the_debrief_comes_later(write: Write) -> None:
    (step,) = read_exercise(write(FRONT + STEP + BEHIND)).steps

    assert step.text == "See what is there:\n\nOn **m1**:\n\n```sh\ndocker node ls\n```"
    assert step.debrief == "That was it."
    assert [fence.code for fence in step.played] == ["docker node ls"]
    assert [fence.code for fence in step.setup] == ["labctl fault inject block w1"]
    (mistake,) = step.mistakes
    assert mistake.told == "the stack is called vote"
    assert [fence.code for fence in mistake.undone_by] == ["docker stack rm vote"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("host setup", "host setup solve", "a block is one of solve and setup, not both"),
        (' wrong="the stack is called vote"', " undo", "an `undo` block takes back the `wrong` or `right` block"),
        (' wrong="the stack is called vote"', ' right wrong="x"', "a block is one of wrong and right, not both"),
        ("<summary>Debrief", "<summary>Debreif", "is shown at once; did you mean Debrief?"),
        ("<summary>Debrief", "<summary>Answer", "is shown at once; did you mean Solution?"),
        ("That was it.", "", "the debrief is empty"),
        (
            "</details>",
            "</details>\n\n<details><summary>Hint</summary>x</details>",
            "hint after the debrief comes too",
        ),
        ("</details>", "</details>\n\n<details><summary>Debrief</summary>x</details>", "a second debrief"),
    ],
)
def test_what_is_wrong_behind_the_scenes_is_told(write: Write, old: str, new: str, told: str) -> None:
    folder = write(FRONT + STEP + BEHIND.replace(old, new))

    assert any(told in problem for problem in problems(folder))


def test_another_right_way_is_seen_by_nobody_and_can_be_taken_back(write: Write) -> None:
    way = "\n```sh node=m1 right\ndocker service scale web=2\n```\n"
    text = FRONT + STEP + BEHIND.replace(' wrong="the stack is called vote"', " right")

    (step,) = read_exercise(write(text)).steps

    (found,) = step.ways
    assert not step.mistakes
    assert not found.gone_by.is_seen
    assert [fence.code for fence in found.undone_by] == ["docker stack rm vote"]
    assert any("nothing takes this `right` block back" in problem for problem in problems(write(FRONT + STEP + way)))
