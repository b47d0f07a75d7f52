"""What several nodes are at is told in one line, and who is done is not in it."""

from __future__ import annotations

from labctl.lab.doing import Doing


def test_it_is_told_whenever_it_changes() -> None:
    notes: list[str] = []
    doing = Doing(notes.append)

    with doing.at("manager1", "booting"):
        with doing.at("worker1", "booting"):
            pass
        with doing.at("worker2", "joining"):
            pass

    assert notes == [
        "booting: manager1",
        "booting: manager1, worker1",
        "booting: manager1",
        "booting: manager1; joining: worker2",
        "booting: manager1",
    ]


def test_of_many_the_first_are_named() -> None:
    doing = Doing(lambda _: None)
    blocks = [doing.at(f"worker{number}", "booting") for number in range(1, 6)]
    for block in blocks:
        block.__enter__()

    assert str(doing) == "booting: worker1, worker2, worker3 and 2 more"
