"""Which port of the host each way gets."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from labctl.follower.files import Way, Wish
from labctl.follower.plan import any_free, is_free, plan

WEB = Wish(8080, 8080, "tcp")


def planned(
    *wishes: Wish,
    memory: dict[str, int] | None = None,
    listening: Iterable[tuple[int, str]] = (),
    taken: Iterable[int] = (),
    most: int = 100,
) -> tuple[list[Way], int]:
    """A plan on a host where some ports are taken, and 40001, 40002, … are given in their place."""
    blocked, others = set(taken), iter(range(40001, 41000))
    return plan(
        wishes,
        {} if memory is None else memory,
        set(listening),
        free=lambda port, _: port not in blocked,
        pick=lambda _: next(others),
        most=most,
    )


def test_a_port_is_the_same_here_where_it_is_free() -> None:
    assert planned(WEB, Wish(53, 53, "udp")) == ([Way(53, 53, "udp", 53), Way(8080, 8080, "tcp", 8080)], 0)


def test_a_taken_port_gets_another_and_keeps_it_for_good() -> None:
    memory: dict[str, int] = {}

    ways, _ = planned(WEB, memory=memory, taken=[8080])
    assert ways == [Way(40001, 8080, "tcp", 8080)]

    planned(memory=memory)  # the service goes
    assert planned(WEB, memory=memory)[0] == ways


def test_a_port_that_is_open_is_the_proxys_own() -> None:
    assert planned(WEB, listening=[(8080, "tcp")], taken=[8080])[0] == [Way(8080, 8080, "tcp", 8080)]


def test_a_remembered_port_that_somebody_took_meanwhile_is_given_up() -> None:
    memory = {WEB.key: 40500}

    assert planned(WEB, memory=memory, taken=[40500, 8080])[0] == [Way(40001, 8080, "tcp", 8080)]
    assert memory == {WEB.key: 40001}


def test_what_is_pinned_comes_first() -> None:
    pinned = Wish(8080, 80, "tcp", pinned=True)

    assert planned(WEB, pinned)[0] == [Way(8080, 80, "tcp", 8080, True), Way(40001, 8080, "tcp", 8080)]


def test_a_way_that_is_pinned_and_published_is_one() -> None:
    assert planned(WEB, WEB._replace(pinned=True), WEB)[0] == [Way(8080, 8080, "tcp", 8080, True)]


def test_who_pinned_another_port_for_it_gets_no_third() -> None:
    pinned = Wish(9000, 8080, "tcp", pinned=True)

    assert planned(WEB, pinned, taken=[8080])[0] == [Way(9000, 8080, "tcp", 9000, True)]
    assert len(planned(WEB, pinned)[0]) == 2


def test_thousands_of_ports_are_bounded() -> None:
    ways, too_many = planned(*(Wish(port, port, "tcp") for port in range(20000, 25000)), most=1000)

    assert (len(ways), too_many) == (1000, 4000)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        assert not is_free(tcp.getsockname()[1], "tcp")
        assert not is_free(udp.getsockname()[1], "udp")
    for protocol in ("tcp", "udp"):
        assert is_free(any_free(protocol), protocol)
