"""Host keys: recorded once, checked ever after."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl.errors import LabError
from labctl.pki import make_ssh_key
from labctl.transport.known_hosts import HostKey, KnownHosts, entry_name


def new_key() -> HostKey:
    return HostKey.parse(make_ssh_key("x").certificate.decode())


@pytest.fixture
def known(tmp_path: Path) -> KnownHosts:
    return KnownHosts(tmp_path / "known_hosts")


@pytest.mark.parametrize(
    ("address", "port", "name"), [("10.0.0.1", 22, "10.0.0.1"), ("127.0.0.1", 2222, "[127.0.0.1]:2222")]
)
def test_a_name_is_what_openssh_calls_it(address: str, port: int, name: str) -> None:
    assert entry_name(address, port) == name


def test_a_file_that_is_missing_knows_nobody(known: KnownHosts) -> None:
    assert known.keys("w1") == []
    known.forget("w1")
    assert not known.file.exists()


def test_a_key_that_was_recorded_is_known(known: KnownHosts) -> None:
    key = new_key()

    known.pin("10.0.0.1", key, "w1")
    known.pin("10.0.0.1", key, "w1")  # twice is fine
    known.check("10.0.0.1", key, "w1")

    assert known.keys("10.0.0.1") == [key]
    assert known.file.read_text() == f"10.0.0.1 {key}\n"
    assert known.file.stat().st_mode & 0o777 == 0o600


def test_another_key_is_told_with_both_fingerprints_and_the_mend(known: KnownHosts) -> None:
    first, second = new_key(), new_key()
    known.pin("10.0.0.1", first, "w1")

    for attempt in (known.check, known.pin):
        with pytest.raises(LabError) as caught:
            attempt("10.0.0.1", second, "w1")
        assert first.fingerprint in caught.value.message
        assert second.fingerprint in caught.value.message
        assert "`labctl down` and `labctl up`" in (caught.value.hint or "")
    with pytest.raises(LabError) as caught:
        known.check("10.0.0.1", second, "w1", scan="ssh-keyscan 10.0.0.1")
    mend = f"`ssh-keygen -f {known.file} -R 10.0.0.1 && ssh-keyscan 10.0.0.1 >> {known.file}`"
    assert mend in (caught.value.hint or "")
    assert known.keys("10.0.0.1") == [first]


def test_a_host_that_was_never_recorded_is_refused(known: KnownHosts) -> None:
    known.pin("10.0.0.1", new_key(), "w1")

    with pytest.raises(LabError, match="w2 shows a host key that was never recorded"):
        known.check("10.0.0.2", new_key(), "w2")


def test_what_is_forgotten_may_be_recorded_anew_and_the_others_stay(known: KnownHosts) -> None:
    other, second = new_key(), new_key()
    known.pin("10.0.0.1", new_key(), "w1")
    known.pin("10.0.0.2", other, "w2")

    known.forget("10.0.0.1")
    known.pin("10.0.0.1", second, "w1")

    assert known.keys("10.0.0.1") == [second]
    assert known.keys("10.0.0.2") == [other]


def test_lines_of_others_are_read_and_kept(known: KnownHosts) -> None:
    key = new_key()
    known.file.write_text(f"# mine\n\n@revoked x {key}\nw1,10.0.0.1 {key} a comment\n")

    known.pin("10.0.0.2", key, "w2")

    assert known.keys("10.0.0.1") == [key]
    assert known.keys("x") == []
    assert known.file.read_text().startswith("# mine\n")


@pytest.mark.parametrize("line", ["w1 ssh-ed25519", "w1 ssh-ed25519 not/base64!", "w1"])
def test_a_broken_line_is_told(known: KnownHosts, line: str) -> None:
    known.file.write_text(line + "\n")

    with pytest.raises(LabError, match="this is no SSH public key"):
        known.keys("w1")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        KnownHosts(tmp_path).keys("w1")


def test_many_machines_may_boot_at_once(known: KnownHosts) -> None:
    keys = {f"10.0.0.{number}": new_key() for number in range(1, 21)}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: known.pin(item[0], item[1], "w"), keys.items()))

    assert {name: known.keys(name) for name in keys} == {name: [key] for name, key in keys.items()}


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_openssh_reads_the_file_and_shows_the_same_fingerprint(known: KnownHosts) -> None:
    key = new_key()
    known.pin("[10.0.0.1]:2222", key, "w1")

    found = subprocess.run(
        ["ssh-keygen", "-l", "-F", "[10.0.0.1]:2222", "-f", known.file], capture_output=True, text=True, check=True
    )

    assert key.fingerprint in found.stdout
