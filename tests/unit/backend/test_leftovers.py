"""What old boxes left with Vagrant and libvirt: it goes, but for what stays by its name and what a machine uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from labctl.backend.vagrant import leftovers, pool
from labctl.errors import HostError

OLD, NOW = "labctl-000000000000", "labctl-111111111111"
IMAGE = "_vagrant_box_image_0_17_box.img"


class Virsh:
    """libvirt's storage and machines, as virsh tells of them; it refuses what was not scripted."""

    def __init__(self, volumes: Sequence[str], machines: dict[str, str], disks: dict[str, str]) -> None:
        self.volumes = list(volumes)
        self.machines = machines
        self.disks = disks

    def __call__(self, words: Sequence[str]) -> str:
        match list(words):
            case ["vol-list", "default"]:
                return "".join(f" {name}   /images/{name}\n" for name in [*self.volumes, *self.disks])
            case ["vol-path", name, "--pool", "default"]:
                return f"/images/{name}\n"
            case ["list", "--all", "--name"]:
                return "\n".join(self.machines) + "\n\n"
            case ["dumpxml", name]:
                return self.machines[name]
            case ["vol-dumpxml", name, "--pool", "default"]:
                return self.disks.get(name, "<volume/>")
            case ["vol-delete", name, "--pool", "default"]:
                self.volumes.remove(name)
                return ""
        raise AssertionError(f"nobody expected virsh {words}")


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """Vagrant's boxes: an old one, the present one, and one of somebody else; those removed are noted."""
    gone: list[tuple[str, str]] = []
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path))
    for name in (OLD, NOW, "debian-VAGRANTSLASH-bookworm64"):
        for place in ("0/libvirt", "0/amd64/virtualbox"):  # before Vagrant 2.4 and since
            (tmp_path / "boxes" / name / place).mkdir(parents=True)
            (tmp_path / "boxes" / name / place / "metadata.json").write_text("{}")
    monkeypatch.setattr(leftovers, "remove_box", lambda name, provider: gone.append((name, provider)))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/virsh")
    return gone


def scripted(
    monkeypatch: pytest.MonkeyPatch,
    *volumes: str,
    machines: dict[str, str] | None = None,
    disks: dict[str, str] | None = None,
) -> Virsh:
    said = Virsh(volumes, machines or {}, disks or {})
    monkeypatch.setattr(leftovers, "virsh", said)
    monkeypatch.setattr(leftovers, "virsh_or_nothing", said)
    return said


def test_old_copies_go_and_what_is_present_or_others_stays(
    monkeypatch: pytest.MonkeyPatch, forgotten: list[tuple[str, str]], tmp_path: Path
) -> None:
    kernel = tmp_path / "vmlinuz"
    kernel.write_bytes(b"kernel")
    present = pool.volume_of(kernel)
    libvirt = scripted(
        monkeypatch, OLD + IMAGE, NOW + IMAGE, "labctl-vmlinuz-0123", present, disks={"labctl-worker1.img": "<volume/>"}
    )

    removed, in_use = leftovers.prune_copies({NOW}, [kernel, tmp_path / "missing"])

    assert removed == [OLD + IMAGE, "labctl-vmlinuz-0123", OLD]
    assert in_use == []
    assert libvirt.volumes == [NOW + IMAGE, present]
    assert forgotten == [(OLD, "libvirt"), (OLD, "virtualbox")]


def test_what_a_machine_is_a_copy_of_or_starts_with_stays(
    monkeypatch: pytest.MonkeyPatch, forgotten: list[tuple[str, str]]
) -> None:
    libvirt = scripted(
        monkeypatch,
        OLD + IMAGE,
        "labctl-vmlinuz-0123",
        machines={"other-worker1": "<kernel>/images/labctl-vmlinuz-0123</kernel>"},
        disks={"other-worker1.img": f"<backingStore><path>/images/{OLD}{IMAGE}</path></backingStore>"},
    )

    removed, in_use = leftovers.prune_copies({NOW}, [])

    assert (removed, in_use) == ([], [OLD + IMAGE, "labctl-vmlinuz-0123", OLD])
    assert libvirt.volumes == [OLD + IMAGE, "labctl-vmlinuz-0123"]
    assert forgotten == []


def test_without_libvirt_only_vagrants_boxes_go(
    monkeypatch: pytest.MonkeyPatch, forgotten: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    assert leftovers.prune_copies({NOW}, []) == ([OLD], [])


def test_nothing_is_removed_while_nobody_can_say_what_is_used(
    monkeypatch: pytest.MonkeyPatch, forgotten: list[tuple[str, str]]
) -> None:
    libvirt = scripted(monkeypatch, OLD + IMAGE)

    def silent(words: Sequence[str]) -> str:
        if words[0] == "list":
            raise HostError("virsh list failed")
        return libvirt(words)

    monkeypatch.setattr(leftovers, "virsh", silent)

    with pytest.raises(HostError):
        leftovers.prune_copies({NOW}, [])
    assert libvirt.volumes == [OLD + IMAGE]
    assert forgotten == []
