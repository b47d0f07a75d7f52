"""Days on which machines do not come up. Each is told in one line with its mend, and nothing is left behind."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labctl.images.box import boxes_dir, ensure_box
from labctl.lab import open_context
from labctl.waiting import Pending, wait_until
from tests.vm.typed import LABCTL, UP_LIMIT, left_of, run, virsh

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs Vagrant: labctl doctor --backend vagrant --fix"),
]
UP = ("up", "--nodes", "1", "--backend", "vagrant", "--provider", "libvirt", "--no-verify", "--name")


@pytest.fixture(scope="module", autouse=True)
def _box() -> None:
    """The box is there, so that what is interrupted is the boot."""
    ensure_box(open_context().engine, "libvirt")


@pytest.fixture
def name() -> Iterator[str]:
    made = f"vb{secrets.token_hex(2)}"
    yield made
    assert run("down", "-l", made).returncode == 0
    assert not left_of(made)


def booting(name: str) -> subprocess.Popen[str]:
    """A `labctl up` whose machine has begun to boot."""
    up = subprocess.Popen([LABCTL, *UP, name], stderr=subprocess.PIPE, text=True, start_new_session=True)

    def begun() -> None:
        if f"{name}-manager1" not in virsh("list", "--name").split():
            raise Pending(f"no machine runs yet; up has ended: {up.poll()}")

    wait_until("the machine running", begun, limit=180, pause=0.2)
    return up


def test_ctrl_c_during_the_boot_leaves_nothing(name: str) -> None:
    up = booting(name)

    os.killpg(up.pid, signal.SIGINT)  # as a terminal does: Vagrant hears it too
    said = up.communicate(timeout=180)[1]

    assert up.returncode == 130, said
    assert "Traceback" not in said
    assert not left_of(name), said


def test_after_kill_9_during_the_boot_up_makes_the_lab(name: str) -> None:
    up = booting(name)
    os.killpg(up.pid, signal.SIGKILL)
    up.communicate()

    again = run(*UP, name, limit=UP_LIMIT)

    assert again.returncode == 0, again.stderr
    assert run("status", "-l", name).returncode == 0


def test_after_kill_9_during_the_boot_down_leaves_nothing(name: str) -> None:
    up = booting(name)
    os.killpg(up.pid, signal.SIGKILL)
    up.communicate()

    down = run("down", "-l", name)

    assert down.returncode == 0, down.stderr
    assert not left_of(name)


def test_a_machine_that_dies_while_it_boots_is_told(name: str) -> None:
    up = booting(name)
    virsh("destroy", f"{name}-manager1")

    said = up.communicate(timeout=UP_LIMIT)[1]

    assert up.returncode == 3, said
    assert "went off while it booted" in said, said
    assert not left_of(name), said


def test_two_labs_come_up_at_once() -> None:
    names = [f"vb{secrets.token_hex(2)}" for _ in range(2)]
    ended: dict[str, subprocess.CompletedProcess[str]] = {}

    def up(name: str) -> None:
        ended[name] = run(*UP, name, limit=UP_LIMIT)

    threads = [threading.Thread(target=up, args=(name,)) for name in names]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [done.returncode for done in ended.values()] == [0, 0], [done.stderr for done in ended.values()]
        addresses = {run("ip", "-l", name, "manager1").stdout for name in names}
        assert len(addresses) == 2
    finally:
        for name in names:
            assert run("down", "-l", name).returncode == 0
            assert not left_of(name)


def test_two_ups_of_one_name_at_once_make_one_lab(name: str) -> None:
    first = booting(name)

    second = run(*UP, name, limit=UP_LIMIT)

    said = first.communicate(timeout=UP_LIMIT)[1]
    assert first.returncode == 0, said
    assert second.returncode == 0, second.stderr
    assert virsh("list", "--name").count(name) == 1


def test_a_network_that_is_taken_is_refused_before_anything_is_made(name: str) -> None:
    with interface("172.29.77.1/24"):
        done = run(*UP, name, "--subnet", "172.29.77.0/24")

    assert done.returncode in (2, 3)
    assert "172.29.77.0/24" in done.stderr
    assert not left_of(name)


@pytest.mark.parametrize(
    ("flags", "word"), [(("--memory", "900g"), "MiB are free"), (("--provider", "hyperv"), "Windows")]
)
def test_what_cannot_be_had_is_refused_at_once(name: str, flags: tuple[str, ...], word: str) -> None:
    began = time.monotonic()

    done = run(*UP, name, *flags)

    assert done.returncode in (2, 3)
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 12, done.stderr
    assert not left_of(name)
    assert time.monotonic() - began < UP_LIMIT / 10


def test_a_box_that_was_cut_short_is_made_anew(name: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(boxes_dir().parent / "boxes", cache / "boxes")
    for box in cache.glob("boxes/*/libvirt.box"):
        box.write_bytes(box.read_bytes()[:100_000])
    vagrant_home = tmp_path / "vagrant"

    done = run(*UP, name, limit=UP_LIMIT, LABCTL_CACHE=str(cache), VAGRANT_HOME=str(vagrant_home))

    assert done.returncode == 0, done.stderr
    assert "made the box for libvirt" in done.stderr


def test_no_vagrant_is_told_with_the_mend(name: str, tmp_path: Path) -> None:
    done = run(*UP, name, PATH=without("vagrant", tmp_path))

    assert done.returncode == 3
    assert "Vagrant is not installed" in done.stderr
    assert "labctl doctor --backend vagrant" in done.stderr


def without(program: str, folder: Path) -> str:
    """A PATH that has all but one program."""
    for place in reversed(os.environ["PATH"].split(":")):
        for found in Path(place).glob("*"):
            if found.name != program:
                link = folder / found.name
                link.unlink(missing_ok=True)
                link.symlink_to(found)
    return str(folder)


@contextmanager
def interface(address: str) -> Iterator[None]:
    """An interface of this host's with an address, for as long as the block."""
    name = f"vb{secrets.token_hex(3)}"
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        ip("address", "add", address, "dev", name)
        ip("link", "set", name, "up")
        yield
    finally:
        ip("link", "delete", name)


def ip(*words: str) -> None:
    """Change this host's interfaces."""
    subprocess.run(["ip", *words], check=True, timeout=30)
