"""Who answers for Docker Hub's names."""

from __future__ import annotations

import pytest

from labctl.errors import UsageError
from labctl.images.mode import HUB_URL, MirrorMode, mirror_mode


def never_asked() -> bool:
    """Fail: the answer was said already."""
    raise AssertionError("the Hub was asked")


@pytest.mark.parametrize(
    ("said", "upstream"),
    [("always", HUB_URL), ("never", ""), ("ALWAYS", HUB_URL), ("http://10.0.0.9:5000/", "http://10.0.0.9:5000")],
)
def test_what_was_said_holds_without_asking(monkeypatch: pytest.MonkeyPatch, said: str, upstream: str) -> None:
    monkeypatch.setenv("LABCTL_HUB", said)

    assert mirror_mode(never_asked).upstream == upstream


@pytest.mark.parametrize("said", ["auto", "", None])
@pytest.mark.parametrize(("in_reach", "upstream"), [(True, HUB_URL), (False, "")])
def test_else_the_hub_is_asked(
    monkeypatch: pytest.MonkeyPatch, said: str | None, in_reach: bool, upstream: str
) -> None:
    monkeypatch.delenv("LABCTL_HUB", raising=False)
    if said is not None:
        monkeypatch.setenv("LABCTL_HUB", said)

    assert mirror_mode(lambda: in_reach).upstream == upstream


def test_anything_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HUB", "sometimes")

    with pytest.raises(UsageError, match="LABCTL_HUB=sometimes"):
        mirror_mode(never_asked)


def test_stand_ins_are_never_in_the_store_that_is_served_beside_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_HUB", "always")

    assert mirror_mode().store != MirrorMode().store
    assert not mirror_mode().uses_standins
    assert MirrorMode().uses_standins
