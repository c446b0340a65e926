"""FAT volumes: mkfs.fat makes them, mtools fills them; a small reader tells what came of it."""

import hashlib
import os
import struct
from dataclasses import dataclass

from . import payload
from .tools import set_time


@dataclass(frozen=True)
class Volume:
    """A FAT volume at sector `first` of `image`, `sectors` of `sector` bytes long."""

    image: str
    first: int
    sectors: int
    sector: int
    label: str
    seed: str
    bits: int = 16
    magic: bool = True

    @property
    def offset(self):
        return self.first * self.sector

    @property
    def drive(self):
        """What mtools' -i takes."""
        return f"{self.image}@@{self.offset}"

    @property
    def uuid(self):
        """The 16 bytes kept in the volume's second sector."""
        return payload.random_bytes(f"{self.seed}/uuid", 16)


def sectors_per_cluster(sectors, bits):
    """The next power of two that is at least sectors / 65535, as ESXi's formatter takes it."""
    limit = 65535 if bits == 16 else 4090
    per_cluster = 1
    while per_cluster * limit < sectors:
        per_cluster *= 2
    return per_cluster


def make(tools, volume):
    """Formats the volume and writes VMware's mark into its second sector."""
    per_cluster = sectors_per_cluster(volume.sectors, volume.bits)
    if volume.bits == 16 and volume.sectors // per_cluster < 4200:
        raise ValueError(f"{volume.label}: too few clusters for FAT16")
    tools.run(
        "mkfs.fat", "-a", "-F", volume.bits, "-S", volume.sector, "-s", per_cluster, "-R", 2, "-f", 2, "-r", 512,
        "-h", 0, "-g", "64/32", "-M", "0xf8",
        "-n", volume.label, "--invariant", f"--offset={volume.first}", volume.image, volume.sectors * volume.sector // 1024,
    )
    with open(volume.image, "r+b") as disk:
        disk.seek(volume.offset + 3)
        disk.write(b"MSDOS5.0")
        # --invariant fixes the label's time, but the volume id too.
        disk.seek(volume.offset + 39)
        disk.write(payload.random_bytes(f"{volume.seed}/id", 4))
        if volume.magic:
            disk.seek(volume.offset + volume.sector)
            disk.write(b"VMWARE FAT16    " + volume.uuid)


def copy_in(tools, volume, files, stage, folder=""):
    """Copies (name, content, time) triples into a folder of the volume, in the order given."""
    batch = os.path.join(stage, f"batch{len(os.listdir(stage))}")
    os.mkdir(batch)
    paths = []
    for name, content, when in files:
        path = os.path.join(batch, name)
        with open(path, "wb") as out:
            out.write(content)
        set_time(path, when)
        paths.append(path)
    if paths:
        tools.run("mcopy", "-m", "-i", volume.drive, *paths, f"::/{folder}")


def make_folders(tools, volume, names):
    tools.run("mmd", "-i", volume.drive, *[f"::/{name}" for name in names])


def delete(tools, volume, names):
    tools.run("mdel", "-i", volume.drive, *[f"::/{name}" for name in names])


class Reader:
    """Reads geometry, the first FAT and the root directory: enough for the ground truth."""

    def __init__(self, volume):
        with open(volume.image, "rb") as disk:
            disk.seek(volume.offset)
            boot = disk.read(512)
            (self.sector, self.per_cluster, self.reserved, self.fats, self.root_entries, total) = struct.unpack_from(
                "<HBHBHH", boot, 11
            )
            self.fat_sectors = struct.unpack_from("<H", boot, 22)[0]
            self.sectors = total or struct.unpack_from("<I", boot, 32)[0]
            self.root = (self.reserved + self.fats * self.fat_sectors) * self.sector
            self.data = self.root + self.root_entries * 32
            self.cluster = self.per_cluster * self.sector
            self.clusters = (self.sectors * self.sector - self.data) // self.cluster
            self.bits = 12 if self.clusters < 4085 else 16
            disk.seek(volume.offset + self.reserved * self.sector)
            copies = [disk.read(self.fat_sectors * self.sector) for _ in range(self.fats)]
            if len(set(copies)) != 1:
                raise ValueError("the FAT copies differ")
            self.fat = copies[0]
            disk.seek(volume.offset + self.root)
            self.entries = disk.read(self.root_entries * 32)
        self.image, self.offset = volume.image, volume.offset

    def next(self, cluster):
        if self.bits == 16:
            return struct.unpack_from("<H", self.fat, cluster * 2)[0]
        pair = struct.unpack_from("<H", self.fat, cluster * 3 // 2)[0]
        return pair >> 4 if cluster & 1 else pair & 0xFFF

    def free_clusters(self):
        return sum(1 for n in range(2, self.clusters + 2) if self.next(n) == 0)

    def chain(self, first):
        end = 0xFF8 if self.bits == 12 else 0xFFF8
        while 2 <= first < end:
            yield first
            first = self.next(first)

    def files(self):
        """name -> size, sha256, runs of clusters as [first, count], for each file of the root."""
        found = {}
        with open(self.image, "rb") as disk:
            for slot in range(0, len(self.entries), 32):
                entry = self.entries[slot : slot + 32]
                if entry[0] == 0:
                    break
                if entry[0] == 0xE5 or entry[11] & 0x18:
                    continue
                stem, ending = entry[:8].decode("ascii").strip(), entry[8:11].decode("ascii").strip()
                first, size = struct.unpack_from("<HI", entry, 26)
                chain = list(self.chain(first))
                content = bytearray()
                for cluster in chain:
                    disk.seek(self.offset + self.data + (cluster - 2) * self.cluster)
                    content += disk.read(self.cluster)
                name = (f"{stem}.{ending}" if ending else stem).lower()
                found[name] = {
                    "size": size,
                    "sha256": hashlib.sha256(content[:size]).hexdigest(),
                    "runs": _runs(chain),
                    "entry_offset": self.root + slot,
                }
        return found

    def describe(self):
        return {
            "type": f"FAT{self.bits}",
            "bytes_per_sector": self.sector,
            "sectors_per_cluster": self.per_cluster,
            "fat_sectors": self.fat_sectors,
            "clusters": self.clusters,
            "free_clusters": self.free_clusters(),
            "root_offset": self.root,
            "data_offset": self.data,
        }


def _runs(chain):
    runs = []
    for cluster in chain:
        if runs and cluster == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([cluster, 1])
    return runs
