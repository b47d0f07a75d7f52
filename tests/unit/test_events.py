"""What happened, as values; and steps that are never silent for long."""

from __future__ import annotations

import dataclasses
import json
import threading
from typing import get_type_hints

import pytest

from labctl import events
from labctl.events import Event, Noted, StepFinished, StepProgress, Steps, StepStarted, quiet, to_dict

SAMPLES = {str: "text", int: 2, float: 1.5, bool: True}


def samples() -> list[Event]:
    """One event of every kind."""
    made = []
    for kind in Event.__subclasses__():
        hints = get_type_hints(kind)
        made.append(kind(**{each.name: SAMPLES[hints[each.name]] for each in dataclasses.fields(kind)}))
    return made


@pytest.mark.parametrize("event", samples(), ids=lambda event: type(event).__name__)
def test_every_event_can_be_carried_by_json_and_names_its_kind(event: Event) -> None:
    carried = json.loads(json.dumps(to_dict(event)))

    kind = getattr(events, carried.pop("event"))
    assert kind(**carried) == event


def test_who_is_quiet_hears_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet(Noted("hello"))

    assert capsys.readouterr() == ("", "")


def test_a_step_tells_of_its_begin_and_its_end_with_its_number(heard: list[Event]) -> None:
    steps = Steps(heard.append, total=2)

    with steps.step("Images"):
        pass
    with steps.step("Nodes"):
        pass

    begun = [event for event in heard if isinstance(event, StepStarted)]
    done = [event for event in heard if isinstance(event, StepFinished)]
    assert begun == [StepStarted("Images", 1, 2), StepStarted("Nodes", 2, 2)]
    assert [(event.step, event.number, event.total, event.ok) for event in done] == [
        ("Images", 1, 2, True),
        ("Nodes", 2, 2, True),
    ]
    assert all(event.seconds >= 0 for event in done)


def test_a_step_that_fails_is_told_as_failed_and_its_error_goes_on(heard: list[Event]) -> None:
    steps = Steps(heard.append, total=1)

    with pytest.raises(ValueError, match="broken"), steps.step("Nodes"):
        raise ValueError("broken")

    assert isinstance(heard[-1], StepFinished)
    assert not heard[-1].ok


def test_the_last_note_of_a_step_is_told_at_its_end(heard: list[Event]) -> None:
    steps = Steps(heard.append, total=1)

    with steps.step("Network"):
        steps.note("first")
        steps.note("172.30.0.0/24")

    assert isinstance(heard[-1], StepFinished)
    assert heard[-1].note == "172.30.0.0/24"


def test_a_note_does_not_go_over_to_the_next_step(heard: list[Event]) -> None:
    steps = Steps(heard.append, total=2)
    with steps.step("Network"):
        steps.note("172.30.0.0/24")
    with steps.step("Nodes"):
        pass

    assert isinstance(heard[-1], StepFinished)
    assert heard[-1].note == ""


def test_a_step_that_says_nothing_gives_signs_of_life_with_its_last_note() -> None:
    signs: list[StepProgress] = []
    enough = threading.Event()

    def hear(event: Event) -> None:
        if isinstance(event, StepProgress):
            signs.append(event)
            # On a busy machine the first sign may come before there is a note.
            if [sign.note for sign in signs].count("worker1 boots") == 3:
                enough.set()

    steps = Steps(hear, total=1, quiet=0.01)
    with steps.step("Nodes"):
        steps.note("worker1 boots")
        assert enough.wait(10)

    assert {sign.step for sign in signs} == {"Nodes"}
    assert {sign.note for sign in signs[-3:]} == {"worker1 boots"}
    assert [sign.seconds for sign in signs] == sorted(sign.seconds for sign in signs)


def test_nobody_stares_at_a_silent_terminal_for_more_than_two_seconds() -> None:
    silence = Steps(quiet, total=1)._quiet

    assert silence * 1.25 <= 2  # it looks four times in that time, and may be late by one look


def test_no_sign_of_life_comes_after_the_step(heard: list[Event]) -> None:
    steps = Steps(heard.append, total=1, quiet=0.001)

    with steps.step("Nodes"):
        pass
    threads = [thread for thread in threading.enumerate() if thread.name.endswith("(_tick)")]

    assert threads == []
    assert isinstance(heard[-1], StepFinished)


def test_events_of_many_threads_come_one_at_a_time() -> None:
    inside = threading.Lock()
    overlaps: list[Event] = []

    def hear(event: Event) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(event)
            return
        inside.release()

    steps = Steps(hear, total=1)

    def talk() -> None:
        for number in range(200):
            steps.emit(Noted(str(number)))

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert overlaps == []
