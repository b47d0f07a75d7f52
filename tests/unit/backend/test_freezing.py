"""A node whose container cannot be frozen at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.backend.dind.freezing import FREEZE_LIMIT, freeze
from labctl.engine.fake import Answer, FakeEngine
from labctl.errors import EngineRefused, LabError
from labctl.waiting import FakeClock

from ..nodes import fake_node

BUSY = EngineRefused("the engine refused: OCI runtime pause failed: unable to freeze: unknown", status=500)
PAUSE = "POST /containers//pause"


def test_a_node_on_which_programs_start_is_tried_again() -> None:
    answers: Iterator[Answer] = iter([BUSY, BUSY, ""])
    engine = FakeEngine({PAUSE: lambda _: next(answers)})

    freeze(engine, fake_node("worker1"), lambda: True, clock=FakeClock())

    assert len(engine.asked) == 3


def test_one_that_never_stands_still_is_told_with_what_to_do() -> None:
    clock = FakeClock()

    with pytest.raises(LabError, match="worker1 does not stand still") as caught:
        freeze(FakeEngine({PAUSE: BUSY}), fake_node("worker1"), lambda: True, clock=clock)

    assert clock.now() == FREEZE_LIMIT
    assert "`labctl suspend worker1`" in str(caught.value.hint)


def test_another_refusal_is_told_at_once_and_one_that_is_down_is_fine() -> None:
    engine = FakeEngine({PAUSE: EngineRefused("no such container", status=404)})

    with pytest.raises(EngineRefused, match="no such container"):
        freeze(engine, fake_node("worker1"), lambda: True)
    freeze(engine, fake_node("worker1"), lambda: False)

    assert len(engine.asked) == 1
