"""The box: found when it is whole, packed as each provider reads it, made of what nodes in containers have."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

from labctl.assets import asset
from labctl.engine.fake import FakeEngine
from labctl.errors import HostError, UsageError
from labctl.images import box, box_package
from labctl.images.box import box_digest, ensure_box, find_box
from labctl.spec.choices import PROVIDERS


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABCTL_CACHE", str(tmp_path))
    return tmp_path / "boxes"


def lay_out(cache: Path, provider: str) -> Path:
    folder = cache / box_digest()
    folder.mkdir(parents=True)
    for name in (*box.PARTS, f"{provider}.box"):
        (folder / name).write_text(name)
    (folder / "box.json").write_text(json.dumps({"sizes": {name: len(name) for name in box.PARTS}}))
    (folder / f"{provider}.box.size").write_text(str(len(f"{provider}.box")))
    return folder


def test_a_box_that_was_never_made_is_not_found() -> None:
    assert find_box("libvirt") is None


def test_a_box_is_found_with_all_that_boots_it(cache: Path) -> None:
    folder = lay_out(cache, "libvirt")
    found = find_box("libvirt")

    assert found is not None
    assert (found.file, found.disk) == (folder / "libvirt.box", folder / "disk.qcow2")
    assert (found.kernel, found.initrd) == (folder / "vmlinuz", folder / "initrd.img")
    assert "root=LABEL=labctl" in found.cmd_line


def test_only_libvirt_boots_a_kernel_directly(cache: Path) -> None:
    lay_out(cache, "virtualbox")
    found = find_box("virtualbox")

    assert found is not None
    assert (found.kernel, found.initrd) == (None, None)


def test_half_a_box_is_none(cache: Path) -> None:
    (lay_out(cache, "libvirt") / "initrd.img").unlink()

    assert find_box("libvirt") is None


@pytest.mark.parametrize("name", ["disk.qcow2", "libvirt.box"])
def test_a_part_that_was_cut_short_is_no_box(cache: Path, name: str) -> None:
    (lay_out(cache, "libvirt") / name).write_text("x")

    assert find_box("libvirt") is None


def test_another_provider_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no box is made for parallels"):
        find_box("parallels")


def test_a_box_that_is_there_needs_no_engine(cache: Path) -> None:
    lay_out(cache, "libvirt")

    assert ensure_box(FakeEngine(), "libvirt") == find_box("libvirt")


def test_a_full_disk_is_told_before_anything_is_made(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "ROOM", 1 << 60)

    with pytest.raises(HostError, match="no room in"):
        ensure_box(FakeEngine(), "libvirt")
    assert list(cache.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_engine: object, folder: Path, **_: object) -> dict[str, str]:
        (folder / "disk.qcow2").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labctl.images.box_build.build_disk", fill)

    with pytest.raises(HostError, match=r"no room in .*: nothing of it was kept"):
        ensure_box(FakeEngine(), "libvirt")
    assert list(cache.iterdir()) == []


def test_what_a_killed_command_left_is_removed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(_engine: object, folder: Path, **_: object) -> dict[str, str]:
        for name in ("disk.qcow2", "vmlinuz", "initrd.img"):
            (folder / name).write_text(name)
        return {"docker.io": "26"}

    (cache / ".making-999999999-old").mkdir(parents=True)
    monkeypatch.setattr("labctl.images.box_build.build_disk", make)

    made = ensure_box(FakeEngine(), "libvirt")

    assert made.file.is_file()
    assert [entry.name for entry in cache.iterdir()] == [box_digest()]
    assert json.loads((made.file.parent / "box.json").read_text())["docker.io"] == "26"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_box_has_the_files_that_vagrant_looks_for(provider: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"disk")
    box_package.package(provider, disk, tmp_path / "box")

    with tarfile.open(tmp_path / "box") as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive}
        said = files["metadata.json"]
        assert said is not None
        assert json.loads(said.read())["provider"] == provider
    wanted = {
        "libvirt": {"box.img"},
        "virtualbox": {"box.ovf", "disk.vmdk"},
        "hyperv": {"Virtual Machines/box.xml", "Virtual Hard Disks/disk.vhdx"},
    }[provider]
    assert wanted <= set(files)


def test_libvirt_is_told_the_size_and_format_of_the_disk() -> None:
    assert box_package.metadata("libvirt") == {"provider": "libvirt", "format": "qcow2", "virtual_size": 20}


def test_virtualbox_finds_the_disk_by_its_name() -> None:
    tree = ElementTree.fromstring(box_package.virtualbox_ovf("disk.vmdk", 42))
    file = tree.find("{*}References/{*}File")

    assert file is not None
    assert sorted(file.attrib.values()) == ["42", "disk.vmdk", "file1"]


def test_every_text_that_vagrant_reads_for_hyper_v_is_in_an_element_with_an_attribute() -> None:
    tree = ElementTree.parse(io.BytesIO(box_package.hyperv_xml().encode("utf-16"))).getroot()
    plain = [each.tag for each in tree.iter() if (each.text or "").strip() and not each.attrib]

    assert plain == []
    assert tree.findtext("properties/subtype") == "1"  # generation 2


def packages_of_the_node_image() -> set[str]:
    text = (asset("dind") / "Dockerfile").read_text().replace("\\\n", " ")
    found = re.search(r"--no-install-recommends\s+(.*?)\s&&", text)
    assert found is not None
    return set(found[1].split())


def test_a_machine_has_what_a_container_has() -> None:
    said = YAML(typ="safe").load((asset("playbooks") / "vars" / "packages.yml").read_text())
    there = {*said["labctl_node_packages"], said["labctl_client_package"], said["labctl_compose_package"]}

    assert there == packages_of_the_node_image() - {"tini"}  # a machine has systemd
