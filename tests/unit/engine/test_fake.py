"""The engine for tests is the real client with a script for a wire: what it answers went the real way."""

from __future__ import annotations

import pytest

from labctl.engine.fake import Asked, FakeEngine
from labctl.errors import EngineRefused, EngineUnreachable


def test_a_scripted_answer_is_answered() -> None:
    assert FakeEngine({"GET /info": {"Name": "w1"}}).info() == {"Name": "w1"}


def test_what_was_not_scripted_is_refused() -> None:
    with pytest.raises(AssertionError, match="not scripted: GET /version; scripted: \\['GET /info'\\]"):
        FakeEngine({"GET /info": {}}).version()


def test_a_scripted_refusal_comes_as_a_real_one_would() -> None:
    engine = FakeEngine({"GET /info": EngineRefused("no swarm", status=503)}, where="the engine of w1")

    with pytest.raises(EngineRefused, match=r"^the engine of w1 refused: no swarm$") as caught:
        engine.info()

    assert caught.value.status == 503


def test_a_scripted_silence_comes_as_a_real_one_would() -> None:
    with pytest.raises(EngineUnreachable, match=r"^the engine does not answer: cable cut\n"):
        FakeEngine({"GET /info": EngineUnreachable("cable cut")}).info()


def test_a_function_may_decide() -> None:
    counts = iter([1, 2])
    engine = FakeEngine({"GET /info": lambda asked: {"count": next(counts), "asked": str(asked)}})

    assert engine.info() == {"count": 1, "asked": "GET /info"}
    assert engine.info()["count"] == 2


def test_what_was_asked_is_remembered_with_its_query_and_body() -> None:
    engine = FakeEngine({"POST /services/create": {"ID": "s1"}})

    engine.post("/services/create", {"Name": "web"}, dry="1")

    assert engine.asked == [Asked("POST", "/services/create", {"dry": "1"}, {"Name": "web"})]
