"""An exercise in the page: what its `Run` tells, as messages, and what a learner asks of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from labctl.checks.report import CheckReport, told
from labctl.errors import UsageError
from labctl.exercise.checking import ANSWER
from labctl.exercise.language import file_in, frame_of, languages_of
from labctl.exercise.model import HOST, Step
from labctl.exercise.run import Run
from labctl.exercise.telling import (
    Answered,
    Checked,
    Finished,
    HintGiven,
    Listed,
    RunEvent,
    SolutionGiven,
    StepDone,
    StepShown,
    as_json,
)
from labctl.web.hub import Hub
from labctl.web.parts import Fill, Part, html_of, parts_of

__all__ = ["Lesson"]

LOG = "lesson"  # what a page that comes later has to hear of the step
STANDING = (HintGiven, Answered)  # each of them
LATEST = (Checked, StepDone, SolutionGiven, Finished)  # the last of each kind


class Lesson:
    """Follows a run until it is closed, and asks it what pages ask."""

    def __init__(self, run: Run, hub: Hub, language: str) -> None:
        self.run = run
        self._hub = hub
        self._language = language
        self._asking = threading.Lock()

    def start(self) -> None:
        """Show the step that the learner is at, and tell all that comes."""
        following = self.run.follow()
        threading.Thread(target=self._follow, args=(following,), name="labctl-web-lesson", daemon=True).start()
        self.run.start()

    def _follow(self, following: Any) -> None:
        for event in following:
            self._hear(event)

    # -- what the run tells

    def _hear(self, event: RunEvent) -> None:
        message = {"type": "run", **self._said(event)}
        if isinstance(event, StepShown):
            self._hub.log(LOG, message, anew=True)
        elif isinstance(event, STANDING):
            self._hub.log(LOG, message)
        elif isinstance(event, LATEST):
            self._hub.log(LOG, message, once="event")
        else:
            self._hub.tell(message)
        if isinstance(event, StepShown | StepDone | Finished):
            self._tell_outline()

    def _tell_outline(self) -> None:
        exercise, progress = self.run.exercise, self.run.session.progress
        steps = [
            {
                "id": step.id,
                "title": step.title,
                "minutes": step.minutes,
                "optional": step.optional,
                "done": step.id in progress.done,
            }
            for step in exercise.steps
        ]
        front = exercise.front
        outline = {
            "id": front.id,
            "title": front.title,
            "summary": front.summary,
            "language": self._language,
            "languages": languages_of(exercise.folder),
            "current": progress.current,
            "steps": steps,
        }
        self._hub.tell({"type": "outline", **outline}, keep=True)

    def _said(self, event: RunEvent) -> dict[str, Any]:
        said = as_json(event)
        match event:
            case StepShown():
                step = self.run.exercise.step(event.step)
                said["parts"] = self._parts(event.text, step)
                said["intro"] = html_of(event.intro) if event.intro else ""
                said["debrief"] = html_of(event.debrief) if event.debrief else ""
                said["answers"] = self._answers(step)
                said["has"] = {"hints": len(step.hints), "solution": bool(step.solution)}
                del said["text"]
            case Checked():
                said["results"] = [{**asdict(one), "html": _inline(one.title)} for one in event.results]
                said["failure"] = _failure(event)
            case StepDone():
                said["debrief"] = html_of(event.debrief) if event.debrief else ""
            case HintGiven() | SolutionGiven():
                said["parts"] = self._parts(event.text, self.run.exercise.step(event.step))
            case Finished() | Listed():
                pass
        return said

    def _parts(self, text: str, step: Step) -> list[Part]:
        fill: Fill = self.run.session.stage.fill
        frame = frame_of(file_in(self.run.exercise.folder, self._language))
        return parts_of(text, step.fences, step.questions, frame, fill)

    def _answers(self, step: Step) -> dict[str, dict[str, Any]]:
        given = self.run.session.stage.answers.all()
        found = {}
        for question in step.questions:
            if question.id in given:
                worth = question.filled(self.run.session.stage.fill).judge(given[question.id])
                is_known = question.is_judged_here
                found[question.id] = {
                    "answer": given[question.id],
                    "right": worth.is_right if is_known else None,
                    "reason": worth.reason,
                }
        return found

    # -- what a learner asks

    def ask(self, verb: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a page asks. What is meant for a step that the learner has left is not done any more."""
        run, simple = self.run, self._simple()
        with self._asking:
            if (step := said.get("step")) is not None and step != run.step.id:
                return {"late": True}
            if verb in simple:
                simple[verb]()
                return {}
            match verb:
                case "go":
                    run.go_to(run.exercise.step(str(said.get("to", ""))))
                case "answer":
                    run.answer(str(said.get("question", "")), str(said.get("text", "")))
                case "language":
                    self._read_in(str(said.get("code", "")))
                case "run-here":
                    return self._run_here(int(said.get("number", -1)))
                case _:
                    raise UsageError(f"the page asked for {verb!r}, which means nothing")
        return {}

    def _simple(self) -> dict[str, Callable[[], None]]:
        run = self.run
        return {
            "next": run.next,
            "back": run.back,
            "check": run.check,
            "hint": run.hint,
            "solution": run.solution,
            "list": run.list,
            "reset": run.reset,
            "finish": run.finish,
        }

    def _read_in(self, code: str) -> None:
        self.run.read_in(code)
        self._language = code

    def _run_here(self, number: int) -> dict[str, Any]:
        """Run a block of the step that is for the learner's machine, and nothing else than such a block."""
        fences = self.run.step.fences
        if not 0 <= number < len(fences) or fences[number].node != HOST or fences[number].is_behind_the_scenes:
            raise UsageError("there is no such block for this machine in the step")
        stage = self.run.session.stage
        results = stage.run(fences[number], may_fail=True)
        stage.refresh()
        return {"output": "".join(f"{one.stdout}{one.stderr}" for one in results), "code": results[0].code}


def _failure(event: Checked) -> dict[str, str] | None:
    """The first check that is not content, for people; a question without an answer is seen on the question."""
    first = CheckReport(event.results).first
    if first is None or (first.name.startswith(ANSWER) and first.outcome == "not-yet"):
        return None
    head = told(CheckReport((first,)))[0]
    return {"outcome": first.outcome, "text": head, "found": first.found, "look": first.look}


def _inline(text: str) -> str:
    return html_of(text).strip().removeprefix("<p>").removesuffix("</p>")
