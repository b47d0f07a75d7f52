"""What Vagrant is given: an archive with the disk and a description in the provider's own words.

None of these files was exported by a provider: they say only what Vagrant's providers read (docs/box.md).
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from xml.sax.saxutils import escape

from labctl.errors import HostError

__all__ = ["DISKS", "hyperv_xml", "metadata", "package", "virtualbox_ovf"]

DISKS = {"libvirt": "qcow2", "virtualbox": "vmdk", "hyperv": "vhdx"}
DISK_GB = 20
MEMORY_MIB, CPUS = 1024, 1  # until the Vagrantfile says otherwise
MAC = "080027001AB0"  # each machine's NAT is one of its own, so all may have the same
VIRTUALBOX = f'''\
  config.vm.base_mac = "{MAC}"
  config.vm.provider(:virtualbox) {{ |vb| vb.default_nic_type = "virtio" }}
'''
# What is in the archive is packed already, but for Hyper-V's disk.
LEVELS = {"libvirt": 0, "virtualbox": 0, "hyperv": 3}


def metadata(provider: str) -> dict[str, object]:
    """Return metadata.json of a box."""
    if provider == "libvirt":
        return {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GB}
    return {"provider": provider}


def package(provider: str, disk: Path, target: Path) -> None:
    """Write the box of a provider around its disk. Raises OSError where it cannot be written."""
    files: dict[str, bytes | Path] = {"metadata.json": json.dumps(metadata(provider), indent=1).encode()}
    match provider:
        case "libvirt":
            files |= {"Vagrantfile": _vagrantfile(""), "box.img": disk}
        case "virtualbox":
            files["Vagrantfile"] = _vagrantfile(VIRTUALBOX)
            files |= {"box.ovf": virtualbox_ovf("disk.vmdk", disk.stat().st_size).encode(), "disk.vmdk": disk}
        case "hyperv":
            files["Virtual Machines/box.xml"] = hyperv_xml().encode("utf-16")
            files |= {"Vagrantfile": _vagrantfile(""), "Virtual Hard Disks/disk.vhdx": disk}
        case _:
            raise HostError(f"no box is made for {provider}")
    _pack(files, target, LEVELS[provider])


def _vagrantfile(lines: str) -> bytes:
    text = f'Vagrant.configure("2") do |config|\n  config.ssh.username = "vagrant"\n{lines}'
    return f'{text}  config.vm.synced_folder ".", "/vagrant", disabled: true\nend\n'.encode()


def _pack(files: dict[str, bytes | Path], target: Path, level: int) -> None:
    with tarfile.open(target, "w:gz", compresslevel=level) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode = 0o644
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as file:
                    archive.addfile(entry, file)


def virtualbox_ovf(disk: str, size: int) -> str:
    """Return the description that `VBoxManage import` reads; `size` is the disk file's, in bytes.

    The disk is on IDE and the cards are virtio: the kernel has no driver for AHCI, nor for Intel's cards. The first
    card is a NAT's: Vagrant's own connection goes through that one.
    """
    items = [
        ("3", "CPU", f"<rasd:VirtualQuantity>{CPUS}</rasd:VirtualQuantity>"),
        ("4", "memory", "<rasd:AllocationUnits>MegaBytes</rasd:AllocationUnits>"
         f"<rasd:VirtualQuantity>{MEMORY_MIB}</rasd:VirtualQuantity>"),
        ("5", "ide", "<rasd:Address>0</rasd:Address><rasd:ResourceSubType>PIIX4</rasd:ResourceSubType>"),
        ("17", "disk", "<rasd:AddressOnParent>0</rasd:AddressOnParent>"
         "<rasd:HostResource>/disk/vmdisk1</rasd:HostResource><rasd:Parent>3</rasd:Parent>"),
        ("10", "eth0", "<rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>"
         "<rasd:Connection>NAT</rasd:Connection><rasd:ResourceSubType>virtio</rasd:ResourceSubType>"),
    ]  # fmt: skip
    hardware = "".join(_item(number, *each) for number, each in enumerate(items, start=1))
    return OVF.format(disk=escape(disk), size=size, capacity=DISK_GB << 30, hardware=hardware, name="labctl-node")


def _item(number: int, kind: str, name: str, rest: str) -> str:
    return (
        f"<Item><rasd:Caption>{name}</rasd:Caption><rasd:InstanceID>{number}</rasd:InstanceID>"
        f"<rasd:ResourceType>{kind}</rasd:ResourceType>{rest}</Item>\n"
    )


OVF = """\
<?xml version="1.0"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
<References><File ovf:id="file1" ovf:href="{disk}" ovf:size="{size}"/></References>
<DiskSection><Info>The disks</Info>
<Disk ovf:capacity="{capacity}" ovf:diskId="vmdisk1" ovf:fileRef="file1"
 ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
</DiskSection>
<NetworkSection><Info>The networks</Info>
<Network ovf:name="NAT"><Description>NAT</Description></Network>
</NetworkSection>
<VirtualSystem ovf:id="{name}"><Info>A node of a lab</Info>
<OperatingSystemSection ovf:id="96"><Info>Debian, 64 bits</Info></OperatingSystemSection>
<VirtualHardwareSection><Info>Its hardware</Info>
<System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
<vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
<vssd:VirtualSystemType>virtualbox-2.2</vssd:VirtualSystemType></System>
{hardware}</VirtualHardwareSection>
</VirtualSystem>
</Envelope>
"""


def hyperv_xml() -> str:
    """Return the description that Vagrant makes a Hyper-V machine from: generation 2, UEFI without secure boot.

    Vagrant reads the text of elements that have an attribute, and no others: hence every `type`.
    """
    return HYPERV.format(name="labctl-node", memory=MEMORY_MIB, cpus=CPUS)


HYPERV = """\
<?xml version="1.0" encoding="UTF-16"?>
<configuration>
  <properties>
    <name type="string">{name}</name>
    <subtype type="integer">1</subtype>
  </properties>
  <settings>
    <processors><count type="integer">{cpus}</count></processors>
    <memory>
      <bank>
        <dynamic_memory_enabled type="bool">False</dynamic_memory_enabled>
        <limit type="integer">{memory}</limit>
        <reservation type="integer">{memory}</reservation>
        <size type="integer">{memory}</size>
      </bank>
    </memory>
  </settings>
  <bios>
    <boot><device0 type="string">HardDrive</device0></boot>
    <secure_boot_enabled type="bool">False</secure_boot_enabled>
  </bios>
  <scsi>
    <ChannelInstanceGuid type="string">00000000-0000-0000-0000-000000000000</ChannelInstanceGuid>
    <controller0>
      <drive0>
        <pathname type="string">disk.vhdx</pathname>
        <type type="string">VHD</type>
      </drive0>
    </controller0>
  </scsi>
</configuration>
"""
