"""Events on stderr: plain lines for logs and pipes, JSON lines for programs, a live line on a terminal."""

from __future__ import annotations

import io
import json

import pytest

from labctl import events
from labctl.cli.render import PlainRenderer, TerminalRenderer, renderer
from labctl.events import Event

LINES: list[tuple[Event, str]] = [
    (events.StepStarted("Images", 2, 6), "[2/6] Images …"),
    (events.StepProgress("Images", "nginx: 3 of 5", 7.4), "      Images: nginx: 3 of 5 (7 s)"),
    (events.StepProgress("Images", "", 7.4), "      Images: working (7 s)"),
    (events.StepFinished("Images", 2, 6, 7.44), "[2/6] Images done in 7.4 s"),
    (events.StepFinished("Network", 3, 6, 0.1, note="172.30.0.0/24"), "[3/6] Network done in 0.1 s: 172.30.0.0/24"),
    (events.StepFinished("Images", 2, 6, 7.44, ok=False, note="half"), "[2/6] Images failed in 7.4 s"),
    (events.Warned("2 managers survive the loss of 0"), "warning: 2 managers survive the loss of 0"),
    (events.NodeReady("worker1", "26.1.5"), "      worker1 is up (engine 26.1.5)"),
    (events.NodeJoined("worker1", "worker"), "      worker1 joined as worker"),
    (events.NodeRemoved("worker1"), "      worker1 removed"),
    (events.TaskConverged("web", 2, 2), "      web 2/2"),
    (events.TaskConverged("web", 0, 1, count="0/1 (1/1 completed)"), "      web 0/1 (1/1 completed)"),
    (events.TaskConverged("web", 1, 2, "no suitable node"), "      web 1/2: no suitable node"),
    (events.CheckFinished("deploy", "the vote is counted", "done"), "      ✓ the vote is counted"),
    (events.CheckFinished("deploy", "it is up", "not-yet", "0 of 2"), "      … it is up: 0 of 2"),
    (events.CheckFinished("deploy", "it is up", "wrong", "port 80"), "      ✗ it is up: port 80"),
    (events.CheckFinished("deploy", "it is up", "broken", "no node"), "      ! it is up: no node"),
    (events.Noted("taking back what was made"), "      taking back what was made"),
]


def plain(*heard: Event, verbose: bool = False) -> str:
    out = io.StringIO()
    draw = PlainRenderer(out, verbose=verbose)
    for event in heard:
        draw(event)
    return out.getvalue()


@pytest.mark.parametrize(("event", "line"), LINES)
def test_an_event_is_a_plain_line(event: Event, line: str) -> None:
    assert plain(event) == line + "\n"


def test_what_only_the_patient_want_to_read_is_not_told() -> None:
    assert plain(events.NodeStarted("worker1")) == ""


def test_commands_are_shown_to_who_asks_for_them() -> None:
    shown = events.CommandShown("manager1", "docker swarm init")

    assert plain(shown) == ""
    assert plain(shown, verbose=True) == "      manager1 $ docker swarm init\n"


def test_json_lines_carry_every_event(capsys: pytest.CaptureFixture[str]) -> None:
    draw = renderer("json", verbose=False)
    for event, _ in LINES:
        draw(event)

    said = capsys.readouterr()
    assert said.out == ""
    assert [json.loads(line) for line in said.err.splitlines()] == [events.to_dict(event) for event, _ in LINES]


def test_none_tells_no_progress_and_every_warning(capsys: pytest.CaptureFixture[str]) -> None:
    draw = renderer("none", verbose=True, lab="demo")
    for event, _ in LINES:
        draw(event)
    draw(events.CommandShown("manager1", "docker swarm init"))
    draw(events.Warned("the proxy does not start: `labctl up` tries again"))

    assert capsys.readouterr() == (
        "",
        "warning: 2 managers survive the loss of 0\n"
        "warning: the proxy does not start: `labctl -l demo up` tries again\n",
    )


def test_where_there_is_no_terminal_the_lines_are_plain_and_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    renderer("auto", verbose=False)(events.Noted("hello"))

    assert capsys.readouterr() == ("", "      hello\n")


@pytest.mark.parametrize("progress", ["plain", "auto"])
def test_plain_lines_are_plain_on_a_terminal_too_where_asked_for(
    progress: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    drawn = renderer(progress, verbose=False)

    assert isinstance(drawn, PlainRenderer if progress == "plain" else TerminalRenderer)


def test_on_a_terminal_finished_steps_stay_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    draw = TerminalRenderer()
    for event in (
        events.StepStarted("Nodes", 1, 2),
        events.StepProgress("Nodes", "worker1 boots", 1.0),
        events.NodeReady("worker1", "26.1.5"),
        events.StepFinished("Nodes", 1, 2, 2.04, note="4 engines answer"),
        events.StepStarted("Swarm", 2, 2),
        events.StepFinished("Swarm", 2, 2, 0.5, ok=False),
        events.Warned("careful"),
    ):
        draw(event)

    said = capsys.readouterr()
    assert said.out == ""
    kept = [line.rstrip() for line in said.err.splitlines() if line.strip()]
    assert kept == ["✓ Nodes 2.0 s  4 engines answer", "✗ Swarm 0.5 s", "warning: careful"]


def test_a_node_that_comes_up_after_its_step_leaves_no_spinner_behind(capsys: pytest.CaptureFixture[str]) -> None:
    draw = TerminalRenderer()
    for event in (
        events.StepStarted("Nodes", 1, 2),
        events.StepFinished("Nodes", 1, 2, 0.4, ok=False),
        events.NodeReady("worker1", "26.1.5"),
    ):
        draw(event)

    kept = [line.rstrip() for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert kept == ["✗ Nodes 0.4 s", "  worker1 is up (engine 26.1.5)"]


def test_what_is_told_is_never_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    draw = TerminalRenderer()
    draw(events.Noted("[red]not red[/red] [/]"))
    draw(events.StepStarted("[bold]", 1, 1))
    draw(events.StepFinished("[bold]", 1, 1, 0.0, note="[/nothing]"))

    said = capsys.readouterr().err
    assert "[red]not red[/red] [/]" in said
    assert "[bold] 0.0 s  [/nothing]" in said


def test_what_a_step_says_again_is_written_now_and_then_only() -> None:
    out = io.StringIO()
    renderer = PlainRenderer(out)
    for second in range(1, 24):
        renderer(events.StepProgress("Converging", "app_web: 0 of 1" if second < 22 else "app_web: 1 of 1", second))

    assert out.getvalue().splitlines() == [
        "      Converging: app_web: 0 of 1 (1 s)",
        "      Converging: app_web: 0 of 1 (11 s)",
        "      Converging: app_web: 0 of 1 (21 s)",
        "      Converging: app_web: 1 of 1 (22 s)",
    ]
