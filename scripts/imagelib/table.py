"""Partition tables: the layouts ESXi makes, written by sfdisk (fdisk for 4096-byte sectors)."""

import os
import struct
import zlib
from dataclasses import dataclass

from . import payload

BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
# Bytes of the first sector before the disk signature and the table.
BOOT_CODE = 440
EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
VMKCORE = "9D275380-40AD-11DB-BF97-000C2911D1B8"
VMFS = "AA31E02A-400F-11DB-9590-000C2911D1B8"
VMFSL = "4EB2EA39-7855-4790-A79E-FAE495E21F8D"


@dataclass(frozen=True)
class Part:
    """One partition; `first` and `last` are sectors of the disk, both inclusive."""

    number: int
    first: int
    last: int
    type: str
    kind: str  # efi, bank, fat, vmkcore, vmfs, vmfsl, extended
    name: str = ""
    bootable: bool = False

    @property
    def sectors(self):
        return self.last - self.first + 1


def _following(start, gap, sizes):
    """First and last sectors of partitions one after the other, `gap` sectors apart."""
    for size in sizes:
        yield start, start + size - 1
        start += size + gap


def esx4_mbr(size):
    """4.x: boot partition 4, extended partition 1, banks 5 and 6, dump 7, store 8."""
    bank = {"real": 102368, "default": 102368, "small": 12288}[size]
    dump, store = {"real": (225248, 1404896), "default": (8160, 32736), "small": (2016, 8160)}[size]
    return _extended(_following(8224, 32, (bank, bank, dump, store)))


def esx6_mbr(size):
    """5.x and 6.x installed with formatwithmbr: as in 4.x, with banks of 250 MB."""
    bank = {"real": 511968, "default": 65504, "small": 12256}[size]
    dump, store = {"real": (225248, 585696), "default": (8160, 32736), "small": (2016, 8160)}[size]
    return _extended(_following(8224, 32, (bank, bank, dump, store)))


def _extended(logical):
    spans = list(logical)
    rows = [("06", "bank"), ("06", "bank"), ("fc", "vmkcore"), ("06", "fat")]
    parts = [Part(1, 8192, spans[-1][1], "05", "extended"), Part(4, 32, 8191, "04", "efi", bootable=True)]
    for index, ((first, last), (kind, what)) in enumerate(zip(spans, rows)):
        parts.append(Part(5 + index, first, last, kind, what))
    return parts


def esx6_gpt(size, names=False):
    """5.x and 6.x: EFI 1, banks 5 and 6, small dump 7, store 8, large dump 9."""
    bank = {"real": 511968, "default": 65504, "small": 12256}[size]
    rest = {"real": (225248, 585696, 5242880), "default": (8160, 32736, 8160), "small": (2016, 8160, 2016)}[size]
    spans = list(_following(8224, 32, (bank, bank, *rest)))
    label = (lambda text: text) if names else (lambda text: "")
    return [
        Part(1, 64, 8191, EFI_SYSTEM, "efi", label("BOOT")),
        Part(5, *spans[0], BASIC_DATA, "bank", label("BANK1")),
        Part(6, *spans[1], BASIC_DATA, "bank", label("BANK2")),
        Part(7, *spans[2], VMKCORE, "vmkcore", label("DUMP")),
        Part(8, *spans[3], BASIC_DATA, "fat", label("STORE")),
        Part(9, *spans[4], VMKCORE, "vmkcore"),
    ]


def esx6_gpt_4kn(size):
    """The same partitions on a disk with 4096-byte sectors, at the same byte offsets."""
    bank = {"real": 63996, "default": 16384, "small": 4608}[size]
    spans = list(_following(1028, 4, (bank, bank, 1020)))
    return [
        Part(1, 8, 1023, EFI_SYSTEM, "efi"),
        Part(5, *spans[0], BASIC_DATA, "bank"),
        Part(6, *spans[1], BASIC_DATA, "bank"),
        Part(7, *spans[2], VMKCORE, "vmkcore"),
    ]


def esx7_gpt(size, bank="500m", last="OSDATA"):
    """7.x and 8.x: EFI 1, banks 5 and 6, OSDATA or LOCKER 7; banks of 500 MB, 1 GiB or nearly 4 GiB."""
    if size == "real":
        sectors = {"500m": 1024000, "1g": 2097152, "4g": 8386560}[bank]
        first, gap, osdata = 208896, 2048, 262144
    elif size == "default":
        sectors, first, gap, osdata = 131072, 18432, 2048, 16384
    else:
        sectors, first, gap, osdata = 12288, 8224, 32, 4096
    spans = list(_following(first, gap, (sectors, sectors, osdata)))
    efi_last = {"real": 204863, "default": 16383, "small": 8191}[size]
    return [
        Part(1, 64, efi_last, EFI_SYSTEM, "efi", "BOOT"),
        Part(5, *spans[0], BASIC_DATA, "bank", "BOOTBANK1"),
        Part(6, *spans[1], BASIC_DATA, "bank", "BOOTBANK2"),
        Part(7, *spans[2], VMFSL, "vmfsl", last),
    ]


def disk_sectors(parts, sector):
    """Size of the disk in sectors: room for a backup GPT, rounded up to 1 MiB."""
    unit = (1 << 20) // sector
    return -(-(max(p.last for p in parts) + 34) // unit) * unit


def write(tools, image, parts, label, sector, seed):
    """Makes `image` a sparse file of the right size and writes the table into it."""
    with open(image, "wb") as out:
        out.truncate(disk_sectors(parts, sector) * sector)
    script = _script(parts, label, sector, seed)
    if sector == 512:
        tools.run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", image, stdin=script.encode())
        if label == "dos":
            _place_boot_records(image, parts)
        return
    # sfdisk takes an image file to have 512-byte sectors; fdisk can be told otherwise and reads the same script.
    path = f"{image}.sfdisk"
    with open(path, "w", encoding="ascii") as out:
        out.write(script)
    try:
        tools.run("fdisk", "-b", sector, image, stdin=f"I\n{path}\nw\n".encode())
    finally:
        os.unlink(path)


def write_boot_code(image, seed):
    """Something where code for a BIOS is; no machine runs it."""
    with open(image, "r+b") as disk:
        disk.write(payload.filler(f"{seed}/boot code", BOOT_CODE))


def _script(parts, label, sector, seed):
    lines = [f"label: {label}", "unit: sectors"]
    if label == "gpt":
        lines.append(f"label-id: {str(payload.guid(seed + '/disk')).upper()}")
        # Without this the first megabyte is taken to be out of bounds.
        lines.append(f"first-lba: {34 if sector == 512 else 6}")
    else:
        lines.append(f"label-id: 0x{payload.random_bytes(seed + '/disk', 4).hex()}")
    lines.append("")
    for part in parts:
        fields = [f"start={part.first}", f"size={part.sectors}", f"type={part.type}"]
        if label == "gpt":
            fields.append(f"uuid={str(payload.guid(f'{seed}/part{part.number}')).upper()}")
        if part.name:
            fields.append(f'name="{part.name}"')
        if part.bootable:
            fields.append("bootable")
        lines.append(f"disk{part.number} : {', '.join(fields)}")
    return "\n".join(lines) + "\n"


def _place_boot_records(image, parts):
    """Moves each extended boot record to 32 sectors before its partition, where ESXi's installer has it.

    sfdisk puts it into the sector just before the partition. Entry 1 counts from
    the record itself, entry 2 from the extended partition.
    """
    extended = next(p for p in parts if p.kind == "extended")
    logical = sorted((p for p in parts if p.number >= 5), key=lambda p: p.number)
    no_geometry = b"\xfe\xff\xff"
    with open(image, "r+b") as disk:
        for part, following in zip(logical, [*logical[1:], None]):
            disk.seek((part.first - 1) * 512)
            disk.write(bytes(512))
            entries = struct.pack("<B3sB3sII", 0, no_geometry, int(part.type, 16), no_geometry, 32, part.sectors)
            if following is not None:
                start, size = following.first - 32 - extended.first, following.sectors + 32
                entries += struct.pack("<B3sB3sII", 0, no_geometry, 5, no_geometry, start, size)
            disk.seek((part.first - 32) * 512)
            disk.write((bytes(446) + entries).ljust(510, b"\0") + b"\x55\xaa")


def drop_backup_gpt(image):
    """Leaves the GPT as the vendor's dd image has it: alternateLba 1 and no backup at the end.

    No partitioning tool writes such a table, so the header is changed by hand.
    """
    with open(image, "r+b") as disk:
        disk.seek(512)
        header = bytearray(disk.read(512))
        size = struct.unpack_from("<I", header, 12)[0]
        struct.pack_into("<Q", header, 32, 1)
        struct.pack_into("<I", header, 16, 0)
        struct.pack_into("<I", header, 16, zlib.crc32(header[:size]))
        disk.seek(512)
        disk.write(header)
        end = disk.seek(0, os.SEEK_END)
        disk.seek(end - 33 * 512)
        disk.write(bytes(33 * 512))
