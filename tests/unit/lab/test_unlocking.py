"""Managers that are locked: unlocked with a key that was given or that another manager has, or told at once."""

from __future__ import annotations

import pytest

from labctl.engine.fake import Answer, Asked
from labctl.errors import EngineRefused, LabError, SwarmLocked
from labctl.events import CommandShown, Event, Noted
from labctl.lab.unlocking import unlock_all

from ..nodes import FakeNode, fake_node, raw_info

KEY = "SWMKEY-1-secret"


def locked(name: str = "manager1") -> FakeNode:
    node = fake_node(name, api={"GET /info": raw_info("locked")})

    def unlock(_asked: Asked) -> Answer:
        node.api["GET /info"] = raw_info("active", manager=True)
        return None

    node.api["POST /swarm/unlock"] = unlock
    return node


def test_a_key_that_was_given_goes_to_the_engine_and_nowhere_else(heard: list[Event]) -> None:
    manager, worker = locked(), fake_node("worker1", api={"GET /info": raw_info("active")})
    manager.show = heard.append

    assert unlock_all([manager, worker], KEY, heard.append) == [manager]

    (asked,) = [one for one in manager.asked.asked if one.method == "POST"]
    assert asked.body == {"UnlockKey": KEY}
    assert manager.shell.commands == []
    assert heard == [
        CommandShown("manager1", "docker swarm unlock"),
        Noted("manager1: unlocked with the key that was given"),
    ]


def test_a_manager_that_works_tells_the_key(heard: list[Event]) -> None:
    works = fake_node(
        "manager2",
        api={
            "GET /info": raw_info("active", manager=True),
            "GET /swarm": {},
            "GET /swarm/unlockkey": {"UnlockKey": KEY},
        },
    )
    node = locked()

    unlock_all([node, works], None, heard.append)

    assert heard == [Noted("manager1: unlocked with the key that manager2 has")]


def test_without_a_key_it_is_told_at_once() -> None:
    with pytest.raises(SwarmLocked, match="manager1 is locked") as caught:
        unlock_all([locked()], None, lambda _: None)

    assert "`labctl ssh manager1 docker swarm unlock`" in (caught.value.hint or "")


def test_a_key_that_does_not_fit_is_in_no_error() -> None:
    node = locked()
    node.api["POST /swarm/unlock"] = EngineRefused(f"invalid key {KEY}", status=400)

    with pytest.raises(LabError, match="manager1 stays locked") as caught:
        unlock_all([node], KEY, lambda _: None)

    assert KEY not in caught.value.message + (caught.value.hint or "")


def test_where_nothing_is_locked_nothing_is_asked() -> None:
    assert unlock_all([fake_node(api={"GET /info": raw_info("active")})], None, lambda _: None) == []
