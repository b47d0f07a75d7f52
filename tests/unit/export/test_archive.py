"""An archive is written whatever hangs or breaks, and tells what it lacks."""

from __future__ import annotations

import json
import tarfile
import threading
from pathlib import Path

import pytest

from labctl.errors import LabError, UsageError
from labctl.export import Collector, Redactor, write_archive
from tests.guard import LONG, no_hang


def unpacked(file: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with tarfile.open(file) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content is not None
            found[entry.name] = content.read().decode()
    return found


def test_texts_and_values_stand_where_they_belong(tmp_path: Path) -> None:
    looks = [Collector("host/info.json", lambda: {"a": 1}), Collector("nodes/w1/ip.txt", lambda: "eth0")]

    assert write_archive(tmp_path / "logs.tar.gz", looks, Redactor()) == []

    found = unpacked(tmp_path / "logs.tar.gz")
    assert json.loads(found["logs/host/info.json"]) == {"a": 1}
    assert found["logs/nodes/w1/ip.txt"] == "eth0"
    assert [entry["path"] for entry in json.loads(found["logs/index.json"])] == ["host/info.json", "nodes/w1/ip.txt"]


def test_what_breaks_is_told_and_the_rest_is_there(tmp_path: Path) -> None:
    def down() -> str:
        raise LabError("node w1 is exited")

    def bug() -> str:
        raise KeyError("Swarm")

    looks = [Collector("a.txt", down), Collector("b.txt", bug), Collector("c.txt", lambda: "fine")]

    missing = write_archive(tmp_path / "logs.tar.gz", looks, Redactor())

    assert missing == ["a.txt: node w1 is exited", "b.txt: KeyError: 'Swarm'"]
    assert set(unpacked(tmp_path / "logs.tar.gz")) == {"logs/c.txt", "logs/index.json"}


def test_what_hangs_is_left_behind(tmp_path: Path) -> None:
    over = threading.Event()
    slow = Collector("slow.txt", lambda: str(over.wait(LONG)))

    with no_hang():
        missing = write_archive(tmp_path / "l.tgz", [slow], Redactor(), limit=0.2)

    assert missing == ["slow.txt: no answer in the time there was"]
    over.set()


def test_a_secret_of_one_look_is_hidden_in_every_other(tmp_path: Path) -> None:
    looks = [
        Collector("a.txt", lambda: "connected with Tr0ub4dor"),
        Collector("a.json", lambda: {"cmd": "login Tr0ub4dor"}),
        Collector("z.json", lambda: {"Env": ["DB_PASSWORD=Tr0ub4dor"]}),
    ]

    write_archive(tmp_path / "logs.tar.gz", looks, Redactor())

    assert "Tr0ub4dor" not in "".join(unpacked(tmp_path / "logs.tar.gz").values())


def test_a_secret_in_an_error_is_hidden(tmp_path: Path) -> None:
    def refused() -> str:
        raise LabError("cannot pull from http://me:hunter22@registry/")

    missing = write_archive(tmp_path / "logs.tar.gz", [Collector("a.txt", refused)], Redactor())

    assert "hunter22" not in missing[0]
    assert "hunter22" not in "".join(unpacked(tmp_path / "logs.tar.gz").values())


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    write_archive(tmp_path / "logs.tar.gz", [], Redactor())

    assert (tmp_path / "logs.tar.gz").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write_archive(tmp_path / "missing" / "logs.tar.gz", [], Redactor())


def test_it_takes_the_place_of_a_file_with_a_mode_of_its_own_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "victim").chmod(0o666)
    (tmp_path / "logs.tar.gz").symlink_to("victim")

    write_archive(tmp_path / "logs.tar.gz", [], Redactor())

    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "logs.tar.gz").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "logs.tar.gz").is_symlink()


def test_an_error_is_hidden_by_what_another_look_taught(tmp_path: Path) -> None:
    def refused() -> str:
        raise LabError("the engine said: bad value Tr0ub4dor9")

    looks = [Collector("a.txt", refused), Collector("z.json", lambda: {"Env": ["X=Tr0ub4dor9"]})]

    assert "Tr0ub4dor9" not in write_archive(tmp_path / "logs.tar.gz", looks, Redactor())[0]
