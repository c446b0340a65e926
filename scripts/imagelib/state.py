"""The state archive: local.tgz by GNU tar or busybox tar, packed into state.tgz, both by gzip."""

import hashlib
import io
import os
import tarfile
from dataclasses import dataclass, field

from . import hostfiles
from .tools import set_time


@dataclass(frozen=True)
class Flavour:
    """How one layer of archive is made.

    `gzip` are gzip's own options: without -n its header holds name and time, and
    the header's XFL byte follows the level (2 for -9, 4 for -1, else 0).
    """

    tar: str = "gnu"  # gnu, pax, busybox
    prefix: str = ""
    directories: bool = False
    links: bool = False
    blocking: int = 1
    gzip: tuple = ("-9", "-n")


FLAVOURS = {
    # As a real host writes it: regular files only, no padding after the two zero blocks.
    "host": Flavour(),
    "gnu": Flavour(directories=True, blocking=20, gzip=("-6", "-N")),
    "busybox": Flavour(tar="busybox", prefix="./", directories=True, gzip=("-1", "-n")),
    "links": Flavour(directories=True, links=True, blocking=20, gzip=("-6", "-n")),
    "pax": Flavour(tar="pax", prefix="./", directories=True, links=True, gzip=("-1", "-N")),
}


@dataclass
class Packed:
    """A finished archive and what is in it."""

    data: bytes
    members: list = field(default_factory=list)


def local_tgz(tools, entries, flavour, when, stage):
    """Packs `entries` in their order into a local.tgz."""
    how = FLAVOURS[flavour]
    root = os.path.join(stage, "tree")
    os.mkdir(root)
    names = _lay_out(root, entries, how, when)
    if how.tar == "busybox":
        archive = _owned_by_root(tools.run("busybox", "tar", "-c", "-f", "-", "--no-recursion", *names, cwd=root))
    else:
        options = [f"--format={'posix' if how.tar == 'pax' else 'gnu'}", "--owner=root:0", "--group=root:0"]
        if how.tar == "pax":
            # atime is kept so that every member has a pax header of its own. (A second name of a file
            # would show when tar read the first one, so there are no hard links here.)
            options.append("--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=ctime,comment:=invented")
        archive = tools.run(
            "tar", *options, "-b", how.blocking, "--no-recursion", "-c", "-f", "-", *names, cwd=root
        )
    data = gzip(tools, archive, how.gzip, "local.tar", when, stage)
    return Packed(data, members(archive))


def _lay_out(root, entries, how, when):
    """Makes the files to be packed; returns their names in order, directories before what they hold."""
    names, folders = [], {}
    if how.directories and how.prefix:
        names.append(how.prefix)
    for index, entry in enumerate([*entries]):
        parts = entry.name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in folders:
                folders[folder] = 0o755
                os.mkdir(os.path.join(root, folder))
                if how.directories:
                    names.append(how.prefix + folder)
        path = os.path.join(root, entry.name)
        stamp = when - 600 + 7 * index
        if entry.kind == "dir":
            folders[entry.name] = entry.mode
            os.mkdir(path)
        elif entry.kind == "symlink":
            os.symlink(entry.target, path)
            set_time(path, stamp, follow_symlinks=False)
        elif entry.kind == "hardlink":
            os.link(os.path.join(root, entry.target), path)
        else:
            with open(path, "wb") as out:
                out.write(entry.data)
            # A file nobody may read could be packed by root only; such modes go no lower than 0400.
            os.chmod(path, entry.mode | 0o400)
            set_time(path, stamp)
        names.append(how.prefix + entry.name)
    for folder, mode in sorted(folders.items(), reverse=True):
        os.chmod(os.path.join(root, folder), mode)
        set_time(os.path.join(root, folder), when - 900)
    os.chmod(root, 0o755)
    set_time(root, when - 900)
    return names


def _owned_by_root(archive):
    """Sets owner and group to root: busybox tar takes them from the files and has no option for it."""
    out, offset = bytearray(archive), 0
    while offset + 512 <= len(out) and any(out[offset : offset + 512]):
        header = out[offset : offset + 512]
        header[108:124] = b"0000000\0" * 2
        header[265:329] = b"root".ljust(32, b"\0") * 2
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        out[offset : offset + 512] = header
        size = int(bytes(header[124:135]), 8)
        offset += 512 + -(-size // 512) * 512
    return bytes(out)


def state_tgz(tools, inner, flavour, when, stage):
    """Packs (name, content, mode) triples into a state.tgz."""
    how = FLAVOURS[flavour]
    root = os.path.join(stage, "outer")
    os.mkdir(root)
    names = []
    for name, content, mode in inner:
        path = os.path.join(root, name)
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, mode)
        set_time(path, when)
        names.append(name)
    archive = tools.run(
        "tar", "--format=gnu", "--owner=root:0", "--group=root:0", "-b", how.blocking, "-c", "-f", "-", *names, cwd=root
    )
    return Packed(gzip(tools, archive, how.gzip, "state.tar", when, stage), members(archive))


def gzip(tools, data, options, name, when, stage):
    """Compresses through a file, so that gzip has a name and a time to put into the header."""
    path = os.path.join(stage, name)
    with open(path, "wb") as out:
        out.write(data)
    set_time(path, when)
    packed = tools.run("gzip", *options, "-c", path)
    os.unlink(path)
    return packed


def members(archive):
    """What python's tarfile finds in an archive, as the ground truth records it."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            data = tar.extractfile(member).read() if member.isreg() else None
            found.append(
                {
                    "name": member.name,
                    "type": member.type.decode("ascii"),
                    "mode": f"{member.mode:05o}",
                    "uid": member.uid,
                    "gid": member.gid,
                    "mtime": int(member.mtime),
                    "size": member.size,
                    "linkname": member.linkname,
                    "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
                }
            )
    return found


def conf_name(flavour):
    """The name esx.conf has in an archive of this flavour."""
    return FLAVOURS[flavour].prefix + hostfiles.ESX_CONF
