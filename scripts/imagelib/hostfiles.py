"""The files of a host's configuration, as local.tgz holds them: names as ESXi has them, content invented."""

from dataclasses import dataclass

from . import payload
from .tools import utc_text

ESX_CONF = "etc/vmware/esx.conf"
STORE = "var/lib/vmware/configstore/backup/current-store-1"


@dataclass(frozen=True)
class Entry:
    """A member to be: a file with `data`, a directory, or a link to `target`."""

    name: str
    data: bytes = b""
    mode: int = 0o644
    kind: str = "file"  # file, dir, hardlink, symlink
    target: str = ""


@dataclass(frozen=True)
class Device:
    """One `/device/KEY/...` group of esx.conf; `address` is the device it means, as lspci writes it.

    A name of the device stands in its group (`vmkname`), or, since 5.5, in lines of
    the device manager (`alias`).
    """

    key: str
    address: str
    owner: str = ""
    vmkname: str = ""
    alias: str = ""

    @property
    def passthrough(self):
        return self.owner == "passthru"

    def lines(self, described):
        """`described`: with what 4.x keeps besides the owner."""
        if described:
            yield f'/device/{self.key}/class = "0c0320"'
            yield f'/device/{self.key}/devID = "{payload.number(self.key, 65536):04x}"'
            yield f'/device/{self.key}/name = "Invented device with a passthru owner"'
            yield f'/device/{self.key}/options = ""'
        if self.owner:
            yield f'/device/{self.key}/owner = "{self.owner}"'
        if self.vmkname:
            yield f'/device/{self.key}/vmkname = "{self.vmkname}"'
        if self.alias:
            yield f'/vmkdevmgr/pci/p{self.address}/alias = "{self.alias}"'
            yield f'/vmkdevmgr/logical/pci#p{self.address}#0/alias = "{self.alias}"'


def esx_conf(seed, build, devices):
    """The text of esx.conf; device lines stand in the middle, not sorted, as on real hosts."""
    version = build.split("-")[0]
    generation = int(version.split(".")[0])
    mac = payload.random_bytes(f"{seed}/mac", 3).hex(":")
    head = [
        f'/system/uuid = "{payload.guid(seed + "/system")}"',
        '/system/inception = "2016-02-29T23:59:58"',
        '/system/uservars/host-acceptance-level = "partner"',
        '/system/uservars/psa/defaultLunMasksInstalled = "1"',
        # Words that must not be taken for a setting.
        '/system/uservars/note = "device/000:26.7/owner is passthru, see ticket"',
        '/adv/UserVars/Empty = ""',
        f'/resourceGroups/version = "{version}"',
        '/resourceGroups/root/child[0000]/name = "vim"',
        '/vmkernel/module/tcpip4/options = "ipv6=1"',
        f'/net/vmkernelnic/child[0000]/mac = "00:50:56:{mac}"',
        '/net/vmkernelnic/child[0000]/name = "vmk0"',
        f'/net/pnic/child[0000]/mac = "00:0c:29:{mac}"',
        '/net/pnic/child[0000]/name = "vmnic0"',
    ]
    device_lines = [line for device in devices for line in device.lines(generation == 4)]
    if generation in (5, 6):
        # Named by slot: no address can be told from it.
        device_lines.append('/vmkdevmgr/pci/m01000b00/alias = "vmnic7"')
    options = [
        f'/adv/Invented/Group{n // 8}/Option{n:03d} = "{payload.number(f"{seed}/adv{n}", 65536)}"' for n in range(160)
    ]
    tail = [
        f'/advUserOptions/options[{n:04d}]/description = "Don\'t take this invented option {n} (of 12) for a real one"'
        for n in range(12)
    ]
    lines = [*head, *options[:90], *device_lines, *options[90:], *tail]
    return ("\n".join(lines) + "\n").encode()


def backup_counter(when, count):
    return (
        "# This file is owned and updated by /sbin/backup.sh\n"
        f"# CREATED: {utc_text(when - 40000000)}\n# MODIFIED: {utc_text(when)}\n{count}\n"
    ).encode()


def entries(seed, conf, conf_mode, when, count, store=None, info=None):
    """The members of one host's state, in an order that is not sorted."""

    def text(name, size, mode=0o644):
        return Entry(name, payload.filler(f"{seed}/{name}", size), mode)

    def secret(name, size, mode=0o400):
        return Entry(name, payload.random_bytes(f"{seed}/{name}", size), mode)

    found = [
        text("etc/security/access.conf", 99),
        secret("etc/ssh/ssh_host_rsa_key", 1704),
        text("etc/ssh/ssh_host_rsa_key.pub", 381),
        text("etc/vmware/hostd/config.xml", 9546),
        text("etc/vmware/hostd/authorization.xml", 885),
        text("etc/vmware/hostd/hostsvc.xml", 117),
        text("etc/vmware/hostd/pools.xml", 309),
        text("etc/vmware/ssl/castore.pem", 1050),
        text("etc/vmware/ssl/rui.crt", 1428),
        secret("etc/vmware/ssl/rui.key", 1704),
        secret("etc/vmware/vmkiscsid/vmkiscsid.db", 6144, 0o1600),
        Entry("etc/vmware/.backup.counter", backup_counter(when, count)),
        secret("etc/vmware/dvsdata.db", 512, 0o600),
    ]
    if info is not None:
        found.append(Entry("etc/vmware/encryption.info", info, 0o600))
    found += [
        Entry(ESX_CONF, conf, conf_mode),
        text("etc/vmware/locker.conf", 52),
        Entry("etc/vmware/iofilters/iofiltervpd.conf"),
        text("etc/chkconfig.db", 1640),
        Entry("etc/passwd", b"root:x:0:0:Administrator:/:/bin/sh\ninvented:x:1000:1000::/:/bin/sh\n"),
        secret("etc/shadow", 178, 0o400),
        secret("etc/random-seed", 512, 0o1600),
        Entry("etc/hosts", b"127.0.0.1 localhost.localdomain localhost\n"),
        text("etc/resolv.conf", 42),
    ]
    if store is not None:
        found.append(Entry(STORE, store))
        found.append(Entry("var/lib/vmware/configstore/backup/datafile-store", payload.filler(f"{seed}/datafile", 4096)))
    return found


def padding(seed, entries, size):
    """Invented files that bring an archive of `entries` to about `size` bytes, none where it has them already."""

    def taken(entry):
        return 512 + -(-len(entry.data) // 512) * 512

    missing, found = size - sum(map(taken, entries)), []
    while missing >= 1024:
        name = f"etc/vmware/invented/file{len(found):04d}.dat"
        found.append(Entry(name, payload.filler(f"{seed}/{name}", min(missing - 512, 65536))))
        missing -= taken(found[-1])
    return found


def linked_entries(seed, hard_links):
    """What makes an archive hard to carry over unharmed: links, odd modes, names past 100 bytes."""
    deep = "etc/vmware/invented/" + "/".join(f"level-{n:02d}-of-a-deep-tree" for n in range(5))
    links = [Entry("etc/vmware/hostd/config-copy.xml", kind="hardlink", target="etc/vmware/hostd/config.xml")]
    return [
        Entry("etc/localtime", kind="symlink", target="/usr/share/zoneinfo/UTC"),
        *(links if hard_links else []),
        Entry("etc/vmware/long-link", kind="symlink", target="/" + "/".join(["somewhere-else"] * 9)),
        Entry(f"{deep}/{'x' * 40}.conf", payload.filler(f"{seed}/deep", 700)),
        Entry("etc/vmware/setuid-tool", b"#!/bin/sh\n", 0o4755),
        Entry("etc/vmware/naïve-ß-名.txt", b"a name outside ASCII\n"),
        Entry("etc/vmware/public", kind="dir", mode=0o1777),
        Entry("etc/empty", b"", 0o000),
    ]
