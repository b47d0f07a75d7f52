"""An exercise's text as the page shows it: what can be run, what is asked, and nothing that can do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.exercise.language import Frame, frame_of, languages_of
from labctl.exercise.model import Fence
from labctl.exercise.questions import Question
from labctl.exercise.reading import read_in
from labctl.web.parts import html_of, parts_of
from tests.unit.exercise.test_shipped import FOLDERS

FENCE = Fence("w1", "echo {{node.w1.ip}}", "sh", 1)
EDIT = Fence("host", "a\nb", "sh", 1, edit=True)
SETUP = Fence("m1", "echo same", "sh", 1, setup=True)
SEEN = Fence("m1", "echo same", "sh", 1)


def fill(text: str) -> str:
    return text.replace("{{node.w1.ip}}", "10.0.0.12")


def test_a_block_of_the_step_can_be_run_and_the_line_above_it_goes() -> None:
    text = "Type:\n\nOn **w1**:\n\n```sh\necho 10.0.0.12\n```\n\nDone.\n\n```text\nonly read\n```"
    parts = parts_of(text, [FENCE], [], Frame(), fill)

    assert [part["kind"] for part in parts] == ["text", "run", "text"]
    assert parts[0]["html"] == "<p>Type:</p>\n"
    assert parts[1] == {"kind": "run", "number": 0, "node": "w1", "code": "echo 10.0.0.12", "edit": False}
    assert "only read" in parts[2]["html"]


def test_a_block_behind_the_scenes_is_never_the_one_that_is_run() -> None:
    parts = parts_of("```sh\necho same\n```", [SETUP, SEEN], [], Frame())

    assert [part["number"] for part in parts] == [1]
    assert parts_of("```sh\necho same\n```", [SETUP], [], Frame())[0]["kind"] == "text"


def test_a_block_that_has_to_be_changed_says_so() -> None:
    parts = parts_of(
        "On **this machine**; change it first:\n\n```sh\na\nb\n```", [EDIT], [], Frame(places={"host": "this machine"})
    )

    assert parts == [{"kind": "run", "number": 0, "node": "host", "code": "a\nb", "edit": True}]


def test_a_block_to_be_changed_that_has_no_gap_loses_its_heading_too() -> None:
    parts = parts_of("On **this machine**:\n\n```sh\na\nb\n```", [EDIT], [], Frame(places={"host": "this machine"}))

    assert [part["kind"] for part in parts] == ["run"]


def test_a_question_stands_where_its_text_stood() -> None:
    question = Question("leader", "Who *leads*?", 1, exact=("manager1",))
    parts = parts_of(f"Before.\n\n{question.shown()}\n\nBehind.", [], [question], Frame())

    assert [part["kind"] for part in parts] == ["text", "ask", "text"]
    assert parts[1]["html"] == "<p>Who <em>leads</em>?</p>\n" and parts[1]["judged"]
    assert "manager1" not in str(parts[1])


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](file:///etc/passwd)",
        "![a](http://evil.example/pixel.png)",
        '<http://evil.example/"onmouseover=alert(1)>',
        "```sh\n</code><script>alert(1)</script>\n```",
        "[a]: javascript:alert(1)\n\n[a]",
    ],
)
def test_a_text_can_do_nothing(text: str) -> None:
    html = html_of(text).lower()

    for harm in ("<script", "<img", 'href="javascript', 'href="data', 'href="file', "<a onmouseover", ' onerror=a"'):
        assert harm not in html


def test_a_link_leaves_the_page_alone() -> None:
    assert html_of("[a](https://docs.docker.com)") == (
        '<p><a href="https://docs.docker.com" target="_blank" rel="noopener noreferrer">a</a></p>\n'
    )


def test_an_address_of_the_lab_is_a_link_and_no_other_is_made_one() -> None:
    html = html_of(
        "Open http://127.0.0.1:8080. Not `http://127.0.0.1:1`, [this](https://x.y/http://127.0.0.1:2), http://x.y"
    )

    assert html.count("<a ") == 2
    assert (
        'Open <a href="http://127.0.0.1:8080" target="_blank" rel="noopener noreferrer">http://127.0.0.1:8080</a>.'
        in html
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_every_block_and_question_that_a_lesson_shows_is_found(folder: Path) -> None:
    for code in languages_of(folder):
        exercise = read_in(folder, code)
        frame = frame_of(folder / ("exercise.md" if code == "en" else f"exercise.{code}.md"))
        for step in exercise.steps:
            parts = parts_of(step.text, step.fences, step.questions, frame)
            seen = [number for number, fence in enumerate(step.fences) if fence.is_seen]
            assert [part["number"] for part in parts if part["kind"] == "run"] == seen, (code, step.id)
            assert [part["id"] for part in parts if part["kind"] == "ask"] == [one.id for one in step.questions]
