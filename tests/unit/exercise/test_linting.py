"""What lint finds by reading alone, each with its line; nothing of the exercise is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import SpecError
from labctl.exercise import find_exercise
from labctl.exercise.layout import missing_files, unclosed
from labctl.exercise.linting import read_checks
from labctl.exercise.verify import lint

from .conftest import CHECKS, FRONT, TEXT, Demo


def problems(demo: Demo, **changed: str) -> list[str]:
    """What reading and lint say of the changed exercise."""
    with pytest.raises(SpecError) as caught:
        lint(demo(**changed))
    return list(caught.value.problems)


def check(head: str, body: str = "pass", before: str = "") -> str:
    """The demo's checks and one more, which begins in line 23."""
    return f'{CHECKS}\n{before}\n@pytest.mark.step("first")\ndef {head}:\n    """It is so."""\n    {body}\n'


def test_nothing_of_the_exercise_is_run(demo: Demo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w')\n{CHECKS}\nassert False\n"

    lint(demo(checks=evil))

    assert not ran.exists()


def test_a_module_that_is_not_there_is_told_with_its_line(demo: Demo, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    head = "import helper\nimport nothing_of_the_kind\nfrom nor_this.one import x\nfrom . import y\n"
    exercise = demo(checks=f"{head}open({str(ran)!r}, 'w')\n{CHECKS}")
    exercise.checks.with_name("helper.py").write_text(f"open({str(ran)!r}, 'w')")

    with pytest.raises(SpecError) as caught:
        lint(exercise)

    assert [problem.partition(".py:")[2] for problem in caught.value.problems] == [
        "2: there is no module nothing_of_the_kind to import",
        "3: there is no module nor_this to import",
    ]
    assert not ran.exists()


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("test_a(swram)", "test_a: there is no fixture swram: did you mean swarm?"),
        ("test_a(tmp_path)", "test_a: there is no fixture tmp_path: there is lab, node"),
        ("test_a(host)", "`host` would be the learner's own machine"),
    ],
)
def test_an_unknown_fixture_is_told_with_its_line(demo: Demo, head: str, told: str) -> None:
    (said,) = problems(demo, checks=check(head))

    assert told in said
    assert "test_demo.py:" in said


def test_fixtures_of_its_own_are_known(demo: Demo) -> None:
    own = "@pytest.fixture\ndef mine(swarm):\n    return swarm\n"

    lint(demo(checks=check("test_a(mine, node, lab, managers, workers, observer, request, more=1)", before=own)))


def test_fixtures_beside_it_and_parameters_are_known(demo: Demo) -> None:
    exercise = demo(checks=check("test_a(theirs, number)", before='@pytest.mark.parametrize("number", [1, 2])'))
    exercise.checks.with_name("conftest.py").write_text("import pytest\n@pytest.fixture\ndef theirs(): pass\n")

    lint(exercise)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('swarm.servcie("a")', "swarm has no servcie: did you mean service?"),
        ('swarm.service("a").must_rum()', "swarm.service('a') has no must_rum: did you mean must_run?"),
        ('swarm.stack("a").service("b").replica', "has no replica: did you mean replicas?"),
        ('web = swarm.service("a"); web.runing()', "web has no runing: did you mean running?"),
    ],
)
def test_a_misspelt_word_on_swarm_is_told(demo: Demo, body: str, told: str) -> None:
    (said,) = problems(demo, checks=check("test_a(swarm)", body))

    assert told in said


@pytest.mark.parametrize(
    "body",
    [
        'swarm.stack("a").service("b").must_run(); swarm.stack("a").services.anything',
        'web = swarm.service("a"); web.running()[0].anything; web.facts.anything; swarm.view.anything()',
        'web = swarm.service("a"); web = 1; web.anything',
        'swarm.http("w1", 80).json()["a"].anything',
    ],
)
def test_what_is_not_known_is_not_complained_of(demo: Demo, body: str) -> None:
    lint(demo(checks=check("test_a(swarm)", body)))


def test_a_mark_that_is_not_there_is_told(demo: Demo) -> None:
    said = problems(demo, checks=CHECKS.replace('mark.step("second")', 'mark.stpe("second")'))

    assert any("test_two: there is no mark stpe: did you mean step?" in one for one in said)


def test_marks_and_steps_may_have_names(demo: Demo) -> None:
    named = 'step = pytest.mark.step\nLATER = ("first", "second")\n@step(*LATER)\ndef test_a():\n    """It is so."""\n'

    found = read_checks(demo(checks=CHECKS + named))

    assert (found.checks[-1].steps, found.problems) == (("first", "second"), [])


def test_steps_that_only_running_would_tell_are_refused(demo: Demo) -> None:
    said = problems(demo, checks=check("test_a()").replace('step("first")\ndef test_a', "step(f())\ndef test_a"))

    assert any("the ids of steps stand there as they are" in one for one in said)


def test_python_that_is_none_is_told_with_its_line(demo: Demo) -> None:
    (said,) = problems(demo, checks="import pytest\n\ndef test_a(:\n    pass\n")

    assert "test_demo.py:3: this is no Python: " in said


def test_an_exercise_to_do_before_must_be_there(demo: Demo) -> None:
    (said,) = problems(demo, front=FRONT.replace("minutes: 5", "minutes: 5\nneeds: [voting-ap]"))

    assert "exercise.md:7: needs: there is no exercise voting-ap: did you mean voting-app?" in said
    lint(demo(front=FRONT.replace("minutes: 5", "minutes: 5\nneeds: [voting-app]")))


def test_a_code_block_that_is_not_closed_is_told_as_that_alone(demo: Demo) -> None:
    (said,) = problems(demo, text=TEXT.replace("touch $PLACE/one\n```", "touch $PLACE/one\n"))

    assert "exercise.md:22: the code block that begins here is not closed by ```" in said


def test_details_that_are_not_closed_are_told_with_their_line(demo: Demo) -> None:
    (said,) = problems(demo, text=TEXT.replace("touch one</details>", "touch one"))

    assert "exercise.md:18: <details> is not closed by </details>" in said


def test_a_missing_picture_is_told_and_others_are_not(demo: Demo) -> None:
    pictures = "\n![here](here.png) ![away](https://example.com/x.png) `![code](no.png)`\n\n![a map](img/map.png)\n"
    exercise = demo(text=TEXT + pictures)
    (exercise.folder / "here.png").write_bytes(b"")

    with pytest.raises(SpecError) as caught:
        lint(exercise)

    (said,) = caught.value.problems
    assert "the file img/map.png is not there" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```sh\na\n```\n~~~\n```\n~~~", []),
        ("````\n```\n````", []),
        ("```\n<details>\n```", []),
        ("a `<details>` b", []),
        ("<details>\n</details>", []),
        ("<details><summary>Hint</summary>a</details>\n<details>b</details>", []),
        ("a\n```sh\nb\n```sh\nc\n```", [(2, "the code block that begins here is not closed by ```")]),
        ("a\n```sh\nb", [(2, "the code block that begins here is not closed by ```")]),
        ("````\n```", [(1, "the code block that begins here is not closed by ````")]),
        ("<details>\n## Next", [(1, "<details> is not closed by </details> before the next step")]),
        ("<details>\n<details>\n</details>", [(1, "<details> is not closed by </details> before the one in line 2")]),
    ],
)
def test_what_is_left_open(text: str, told: list[tuple[int, str]]) -> None:
    assert unclosed(text.split("\n")) == told


def test_pictures_in_html_count_too(tmp_path: Path) -> None:
    assert missing_files(['<img src="a.png">'], tmp_path) == [(1, "the file a.png is not there")]


def test_what_labctl_ships_keeps_the_rules() -> None:
    lint(find_exercise("voting-app"))
