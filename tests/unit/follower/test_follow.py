"""The follower's loop: what a manager says is open, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from labctl.follower.files import (
    CANDIDATES,
    FIXED,
    PINS,
    STATE,
    Hosted,
    State,
    Until,
    Way,
    Wish,
    pin_file,
    read_pins,
    save_json,
)
from labctl.follower.follow import AFTER_CHANGE, NOBODY, QUIET, Follower
from labctl.follower.managers import ManagersError, Seen

WEB = Wish(8080, 8080, "tcp")
SEEN = Seen((WEB,), ("10.0.0.12", "10.0.0.11"), ("10.0.0.11",), "10.0.0.11")


class Swarm:
    """A swarm that says what a test lets it say."""

    def __init__(self, says: Seen | str) -> None:
        self.says = says
        self.asked: list[list[str]] = []

    def look(self, candidates: Iterable[str]) -> Seen:
        """Answer, or fail."""
        self.asked.append(list(candidates))
        if isinstance(self.says, str):
            raise ManagersError(self.says)
        return self.says


class Proxy:
    """A proxy that remembers, and may find ports taken."""

    def __init__(self) -> None:
        self.carries: list[Way] = []
        self.nodes: list[str] = []
        self.taken: list[set[int]] = []

    def serve(self, ways: Sequence[Way], nodes: Sequence[str]) -> set[int]:
        """Carry these, unless a port is taken."""
        if self.taken:
            return self.taken.pop(0)
        self.carries, self.nodes = list(ways), list(nodes)
        return set()


def follower(folder: Path, swarm: Swarm, proxy: Proxy, *, most: int = 100) -> Follower:
    """A follower on a host where every port is free."""
    return Follower(swarm, proxy, str(folder), free=lambda _port, _protocol: True, most=most)


def test_what_is_published_is_open_and_closes_when_the_service_goes(tmp_path: Path) -> None:
    swarm, proxy = Swarm(SEEN), Proxy()
    follows = follower(tmp_path, swarm, proxy)

    follows.step(0.0)
    assert proxy.carries == [Way(8080, 8080, "tcp", 8080)]
    assert proxy.nodes == ["10.0.0.12", "10.0.0.11"]

    swarm.says = SEEN._replace(published=())
    follows.step(1.0)
    assert proxy.carries == []


def test_labctl_reads_what_it_did(tmp_path: Path) -> None:
    follower(tmp_path, Swarm(SEEN), Proxy()).step(0.0)

    state = State.of(json.loads((tmp_path / STATE).read_text()))

    assert state.ways == (Way(8080, 8080, "tcp", 8080),)
    assert (state.source, state.error, state.looks) == ("10.0.0.11", "", 1)


def test_managers_that_are_known_are_asked_before_the_nodes_that_labctl_named(tmp_path: Path) -> None:
    save_json(str(tmp_path / CANDIDATES), ["10.0.0.11", "10.0.0.12"])
    swarm = Swarm(SEEN._replace(managers=("10.0.0.13",)))
    follows = follower(tmp_path, swarm, Proxy())

    follows.step(0.0)
    follows.step(1.0)

    assert swarm.asked == [["10.0.0.11", "10.0.0.12"], ["10.0.0.13", "10.0.0.11", "10.0.0.12"]]


def test_while_no_manager_answers_what_was_open_stays_open_even_in_a_new_process(tmp_path: Path) -> None:
    follower(tmp_path, Swarm(SEEN), Proxy()).step(0.0)
    proxy = Proxy()
    again = follower(tmp_path, Swarm("10.0.0.11: timed out"), proxy)

    again.begin()
    assert proxy.carries == [Way(8080, 8080, "tcp", 8080)]

    again.step(0.0)
    assert proxy.carries == [Way(8080, 8080, "tcp", 8080)]
    assert again.state.error == "10.0.0.11: timed out"
    assert again.nap(0.0) == NOBODY


def test_pins_are_open_whatever_is_published_until_they_are_taken_away(tmp_path: Path) -> None:
    pin = tmp_path / PINS / pin_file(Wish(9000, 80, "tcp"))
    pin.parent.mkdir()
    pin.write_text("1")
    (pin.parent / "nonsense").write_text("1")
    proxy = Proxy()
    follows = follower(tmp_path, Swarm(SEEN._replace(published=())), proxy)

    follows.step(0.0)
    assert proxy.carries == [Way(9000, 80, "tcp", 9000, True)]

    pin.write_text("0")
    follows.step(1.0)
    assert proxy.carries == []
    assert not pin.exists()
    assert read_pins(str(tmp_path)) == set()


@pytest.mark.parametrize("number", [8202, 0], ids=["its number", "any number"])
def test_what_was_opened_for_a_service_closes_when_it_publishes_the_port_no_more(tmp_path: Path, number: int) -> None:
    pin = tmp_path / PINS / pin_file(Wish(8202, 8202, "tcp"))
    pin.parent.mkdir()
    save_json(str(pin), Until("s1", 82)._asdict())
    (pin.parent / pin_file(Wish(9000, 80, "tcp"))).write_text("1")
    stays = Way(9000, 80, "tcp", 9000, True)
    own = Hosted("s1", number, 82, "tcp")
    swarm, proxy = Swarm(SEEN._replace(published=(), hosted=(own,))), Proxy()
    follows = follower(tmp_path, swarm, proxy)

    follows.step(0.0)
    assert proxy.carries == [stays, Way(8202, 8202, "tcp", 8202, True)]

    swarm.says = "nobody answers"
    follows.step(1.0)
    assert len(proxy.carries) == 2, "nobody says that it is gone"

    swarm.says = SEEN._replace(published=(), hosted=(own._replace(service="s2", number=0), own._replace(number=8203)))
    follows.step(2.0)
    assert proxy.carries == [stays]
    assert not pin.exists()


def test_a_pin_that_came_after_the_look_is_judged_by_the_next_one(tmp_path: Path) -> None:
    pin = tmp_path / PINS / pin_file(Wish(8202, 8202, "tcp"))
    pin.parent.mkdir()

    class Slow(Swarm):
        def look(self, candidates: Iterable[str]) -> Seen:
            save_json(str(pin), Until("s1", 82)._asdict())
            return super().look(candidates)

    follows = follower(tmp_path, Slow(SEEN), Proxy())

    follows.step(0.0)
    assert pin.exists()
    follows.step(1.0)
    assert not pin.exists()


def test_a_port_that_is_taken_at_the_last_moment_gets_another(tmp_path: Path) -> None:
    proxy = Proxy()
    proxy.taken = [{8080}]

    follower(tmp_path, Swarm(SEEN), proxy).step(0.0)

    (way,) = proxy.carries
    assert way.target == 8080
    assert way.host != 8080


def test_ports_that_are_taken_again_and_again_are_told(tmp_path: Path) -> None:
    proxy = Proxy()
    proxy.taken = [{8080}] * 5
    follows = follower(tmp_path, Swarm(SEEN), proxy)

    follows.step(0.0)

    assert "8080" in follows.state.warnings[0]


def test_too_many_ports_are_told_in_a_line(tmp_path: Path) -> None:
    many = tuple(Wish(port, port, "tcp") for port in range(1000, 1013))
    follows = follower(tmp_path, Swarm(SEEN._replace(published=many)), Proxy(), most=10)

    follows.step(0.0)

    assert follows.state.warnings == ("3 published ports are not open here: 10 is the most",)


def test_where_the_engine_publishes_the_ways_are_those_that_labctl_chose(tmp_path: Path) -> None:
    save_json(str(tmp_path / FIXED), [[8081, 8080, "tcp", 8080, False]])
    proxy = Proxy()

    follower(tmp_path, Swarm(SEEN), proxy).step(0.0)

    assert proxy.carries == [Way(8081, 8080, "tcp", 8080)]


def test_a_change_is_looked_at_soon_and_again(tmp_path: Path) -> None:
    follows = follower(tmp_path, Swarm(SEEN), Proxy())
    follows.step(0.0)
    assert follows.nap(0.0) == QUIET

    follows.stir(10.0)

    naps = []
    for pause in AFTER_CHANGE:
        naps.append(round(follows.nap(10.0), 3))
        follows.step(10.0 + pause)
    assert naps == list(AFTER_CHANGE)
    assert follows.nap(20.0) == QUIET


@pytest.mark.parametrize("text", ["[]", '{"ways": [[1]]}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a state"):
        State.of(json.loads(text))
