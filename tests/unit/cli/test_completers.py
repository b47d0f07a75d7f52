"""What the shell offers, without a lab and with what needs none."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from labctl.cli.completers import (
    complete_filters,
    complete_images,
    complete_ports,
    complete_services,
    complete_shells,
    complete_snapshots,
    complete_stacks,
)
from labctl.cli.exercise import exercise

CTX, PARAM = click.Context(click.Command("x")), click.Option(["-x"])

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@pytest.mark.parametrize("complete", [complete_stacks, complete_services, complete_ports, complete_snapshots])
def test_where_no_engine_answers_nothing_is_offered(complete: Complete) -> None:
    assert complete(CTX, PARAM, "") == []


def test_words_for_many_nodes_are_offered() -> None:
    assert complete_filters(CTX, PARAM, "@") == ["@all", "@manager", "@worker"]
    assert complete_filters(CTX, PARAM, "@w") == ["@worker"]


def test_images_and_shells_need_no_lab() -> None:
    assert "nginx:latest" in complete_images(CTX, PARAM, "ngi")
    assert "fish" in complete_shells(CTX, PARAM, "f")


def test_an_exercise_is_offered_beside_the_verbs() -> None:
    offered = [item.value for item in exercise.shell_complete(click.Context(exercise), "")]

    assert {"voting-app", "list", "check"} <= set(offered)
    assert [item.value for item in exercise.shell_complete(click.Context(exercise), "vot")] == ["voting-app"]
