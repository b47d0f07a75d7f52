"""Every error says what is wrong in one clear line, what to do next, and how to exit."""

from __future__ import annotations

import re
import traceback

import pytest

from labctl import errors
from labctl.errors import (
    Abandoned,
    CommandFailed,
    EngineRefused,
    LabctlError,
    LabError,
    NodeDown,
    NotFoundError,
    NotYetError,
    SeveralErrors,
    SpecError,
    UsageError,
    WaitTimeout,
)
from labctl.transport import Result


def every_error() -> list[type[LabctlError]]:
    found: list[type[LabctlError]] = []
    todo: list[type[LabctlError]] = [LabctlError]
    while todo:
        found.append(one := todo.pop())
        todo += [kind for kind in one.__subclasses__() if kind.__module__ == errors.__name__]
    return found


@pytest.mark.parametrize("kind", every_error())
def test_every_error_stands_in_the_tree_that_the_docstring_draws(kind: type[LabctlError]) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")
    assert kind.__name__ in errors.__all__


@pytest.mark.parametrize(
    ("kind", "code"),
    [(UsageError, 2), (SpecError, 2), (NotFoundError, 2), (NotYetError, 1), (EngineRefused, 3), (LabError, 3)],
)
def test_the_exit_code_belongs_to_the_kind_of_error(kind: type[LabctlError], code: int) -> None:
    assert kind.exit_code == code


def test_one_problem_of_a_spec_is_told_in_one_line() -> None:
    assert SpecError(["lab.yaml:3: workers: expected a whole number"]).message == (
        "lab.yaml:3: workers: expected a whole number"
    )


def test_several_problems_of_a_spec_are_counted_and_each_has_a_line() -> None:
    error = SpecError(["a", "b"], source="lab.yaml")

    assert error.message.splitlines() == ["lab.yaml: 2 problems", "a", "b"]
    assert error.problems == ("a", "b")


def test_a_spec_error_says_where_to_read_what_a_spec_may_say() -> None:
    assert "labctl schema" in (SpecError(["a"]).hint or "")


def test_what_is_not_found_is_answered_with_the_nearest_name() -> None:
    error = NotFoundError("node", "wroker1", ["manager1", "worker1"])

    assert error.message == "no node named 'wroker1': did you mean worker1?"
    assert error.nearest == "worker1"


def test_where_nothing_is_near_all_names_are_told() -> None:
    error = NotFoundError("lab", "zzz", ["b", "a"])

    assert error.message == "no lab named 'zzz': there is: a, b"
    assert error.nearest is None


def test_where_there_is_nothing_at_all_that_is_said() -> None:
    assert NotFoundError("lab", "x", []).message == "no lab named 'x': there is no lab at all"


def test_a_long_list_of_names_is_cut() -> None:
    message = NotFoundError("node", "zzz", [f"worker{n}" for n in range(100)]).message

    assert message.endswith(", …")
    assert message.count(",") == 12


def test_a_failed_command_is_told_with_its_last_words() -> None:
    result = Result("docker swarm join", 1, stderr="one\ntwo\nthree\nfour\n")

    assert CommandFailed("worker1", result).message == "worker1: `docker swarm join` exited 1: two; three; four"


def test_a_failed_command_that_said_nothing_on_stderr_is_told_with_its_output() -> None:
    assert CommandFailed("worker1", Result("ls", 2, stdout="no such file\n")).message.endswith("no such file")


def test_a_failed_command_that_was_silent_is_told_as_silent() -> None:
    assert CommandFailed("worker1", Result("false", 1)).message.endswith("it printed nothing")


def test_a_node_that_is_down_comes_with_the_command_that_starts_it() -> None:
    error = NodeDown("worker1", "exited")

    assert error.message == "node worker1 is exited"
    assert "labctl start worker1" in (error.hint or "")


def test_a_node_that_is_suspended_comes_with_the_command_that_lets_it_go_on() -> None:
    assert NodeDown("worker1", "paused").hint == "`labctl resume worker1` lets it go on."


def test_a_node_that_runs_and_is_silent_is_not_sent_to_start_which_leaves_it_alone() -> None:
    assert "`labctl restart worker1`" in (NodeDown("worker1", "not answering over SSH", silent=True).hint or "")


def test_a_timeout_tells_what_was_last_seen() -> None:
    assert WaitTimeout("the leader", 2.5, "no leader").message == (
        "gave up on the leader after 2.5 s; last seen: no leader"
    )


def test_several_errors_are_told_one_a_line_and_the_same_one_once() -> None:
    both = SeveralErrors([LabError("no disk"), LabError("no disk"), LabError("no memory")])

    assert both.message.splitlines() == ["no disk", "no memory"]


def test_several_errors_exit_as_the_worst_of_them() -> None:
    assert SeveralErrors([NotYetError("soon"), UsageError("no")]).exit_code == 2


def test_several_errors_give_the_first_hint_that_there_is() -> None:
    assert SeveralErrors([LabError("a"), LabError("b", hint="do b"), LabError("c", hint="do c")]).hint == "do b"


def test_giving_up_because_of_another_error_is_an_error_of_the_lab() -> None:
    assert issubclass(Abandoned, LabError)


def test_a_traceback_ends_with_the_hint_as_it_now_is() -> None:
    problem = LabError("the lab is down", hint="`labctl up` makes one.")
    problem.add_note("seen by a test")
    problem.hint = "`labctl start` starts it."

    shown = "".join(traceback.format_exception_only(problem))

    assert shown.endswith("the lab is down\n-> `labctl start` starts it.\nseen by a test\n")
    assert str(problem) == "the lab is down"


def test_where_there_is_no_hint_a_traceback_shows_none() -> None:
    problem = LabError("the lab is down", hint="Wait.")
    problem.hint = None

    assert "".join(traceback.format_exception_only(problem)).endswith("the lab is down\n")
