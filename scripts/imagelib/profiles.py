"""The images that can be made: which ESXi, which layout, which banks, which devices."""

from dataclasses import dataclass, field, replace

from . import payload
from .configstore import Row
from .hostfiles import Device
from .tools import dated


@dataclass(frozen=True)
class State:
    """One state file of a bank and what it says."""

    file: str = "state.tgz"
    flavour: str = "host"
    devices: tuple = ()
    rows: tuple | None = None  # None: no ConfigStore inside
    encryption: str = "plain"  # plain, none (mode NONE), tpm (mode TPM)
    info_name: str = "encryption.info"
    info_first: bool = False  # encryption.info before local.tgz.ve, and one more member after them
    conf_mode: int = 0o644
    wal: bool = False
    counter: int = 1455
    real: bool = False  # the real sample's archive instead of one made here


@dataclass(frozen=True)
class Bank:
    """A bank: its boot.cfg and its state files, in the order they are written to it."""

    number: int
    label: str
    updated: int = 1
    bootstate: int = 0
    states: tuple = ()
    modules: str = ""  # the state named last in modules=; empty: the first state's file
    arrangement: str = "plain"  # plain, fragmented, full, folders, spread
    empty: bool = False  # holds boot.cfg only, as the second bank of a fresh install
    settings: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    name: str
    shows: str
    generation: int
    build: str
    when: int
    layout: str  # esx4-mbr, esx6-mbr, esx6-gpt, esx6-gpt-4kn, esx7-500m, esx7-1g, esx7-4g
    banks: tuple
    last: str = "OSDATA"
    names: bool = False
    bits: int = 16
    backup_gpt: bool = True
    size: str = "default"  # default, real, small

    @property
    def sector(self):
        return 4096 if self.layout == "esx6-gpt-4kn" else 512


def _two(first, second=None, **second_settings):
    """Banks 5 and 6; the second like the first, but older, unless it is given."""
    if second is None:
        second = replace(first, number=6, label=first.label[:-1] + "2", updated=1, **second_settings)
    return (replace(first, updated=max(first.updated, 2)), second)


def _bank(*states, **settings):
    return Bank(5, settings.pop("label", "Hypervisor1"), states=states, **settings)


def _empty():
    return Bank(6, "Hypervisor2", updated=3, bootstate=3, empty=True)


ESX40 = (
    Device("000:26.7", "0000:00:1a.7", "passthru"),
    Device("000:27.0", "0000:00:1b.0", "passthru"),
    Device("000:29.7", "0000:00:1d.7", "vmkernel"),
    Device("000:30.0", "0000:00:1e.0", "passthru"),  # a bridge
    Device("000:31.2", "0000:00:1f.2", vmkname="vmhba0"),
    Device("001:00.0", "0000:01:00.0", "vmkernel", "vmnic0"),
)
ESX40_OLDER = (ESX40[0], replace(ESX40[1], owner="vmkernel"), *ESX40[2:])
ESX41 = (
    Device("000:11.0", "0000:00:0b.0", "passthru"),
    Device("000:29.7", "0000:00:1d.7", "passthru"),
    Device("000:31.2", "0000:00:1f.2", "vmkernel", "vmhba0"),
)
ESX55 = (
    Device("000:000:26.0", "0000:00:1a.0", "passthru"),
    Device("000:000:29.0", "0000:00:1d.0", "passthru"),
    Device("000:000:31.2", "0000:00:1f.2", "vmkernel", "vmhba0"),
    Device("000:003:00.0", "0000:03:00.0", "vmkernel", "vmnic0"),
)
ESX67 = (
    Device("0000:00:31.2", "0000:00:1f.2", "vmkernel", "vmhba0"),  # decimal, though it looks like hex
    Device("00000:000:20.0", "0000:00:14.0", "passthru", alias="vmhba32"),
    Device("0000:00:1d.0", None, "passthru"),  # no number in decimal: the host ignores the line
    Device("0000:03:00.0", "0000:03:00.0", "passthru"),
    Device("0000:04:00.0", "0000:04:00.0", "vmkernel", "vmnic0"),
    Device("0000:05:10.1.vf", "0000:05:0a.1", "passthru"),  # a virtual function
)
USB67 = (
    Device("0000:00:20.0", "0000:00:14.0", "passthru", alias="vmhba32"),
    Device("0000:00:29.0", "0000:00:1d.0", "passthru"),
    Device("0000:00:31.2", "0000:00:1f.2", "vmkernel", "vmhba0"),
    Device("0000:03:00.0", "0000:03:00.0", "vmkernel", "vmnic0"),
)
ROWS = (
    Row("0000:00:14.0", True, "user", "vmhba32"),
    Row("0000:00:1a.0", True, "user-swapped"),
    Row("0000:00:1d.0", False, "user"),
    Row("0000:00:1f.2", False, "no-owner", "vmhba0"),
    Row("0000:01:00.0", True, "user-and-vital"),
    Row("0000:02:00.0", True, "vital"),
    Row("0000:03:00.0", True, "auto", "vmnic1"),
    Row("0000:04:00.0", True, "cached"),
    Row("0000:05:00.0", True, "spaces"),
    Row("0000:65:00.0", True, "label"),
    Row("0000:66:00.0", False, "vital"),
    Row("0000:67:00.0", True, "desired"),
)
USB_ROWS = (
    Row("0000:00:14.0", True, "user", "vmhba32"),
    Row("0000:00:1f.2", False, "user", "vmhba0"),
    Row("0000:65:00.0", False, "no-owner"),
)
# 7.0 hosts that hold both kinds: what esx.conf says of the devices in USB_ROWS, and one the rows do not know.
BOTH_AGREE = (
    Device("0000:00:20.0", "0000:00:14.0", "passthru"),
    Device("0000:00:31.2", "0000:00:1f.2", "vmkernel", "vmhba0"),
)
BOTH_DIFFER = (
    Device("0000:00:20.0", "0000:00:14.0", "vmkernel"),
    Device("0000:00:31.2", "0000:00:1f.2", "passthru", "vmhba0"),
    Device("0000:00:29.0", "0000:00:1d.0", "passthru"),
)

T40, T41, T55 = dated(2009, 11, 19, 8, 30, 2), dated(2011, 2, 10, 17, 4, 6), dated(2014, 9, 3, 22, 15, 30)
T65, T67 = dated(2017, 6, 21, 5, 6, 8), dated(2018, 10, 16, 12, 0, 44)
T70, T702, T80 = dated(2020, 4, 2, 9, 9, 10), dated(2021, 8, 11, 7, 44, 46), dated(2023, 3, 30, 16, 20, 24)


def _esx7(name, shows, first, second=None, **settings):
    settings = {"build": "7.0.2-0.0.17867351", "when": T702, "layout": "esx7-500m", "generation": 7, **settings}
    bank = Bank(5, "BOOTBANK1", states=(first,))
    other = None if second is None else Bank(6, "BOOTBANK2", states=(second,))
    return Profile(name, shows, banks=_two(bank, other), **settings)


def _esx67(name, shows, banks, **settings):
    settings = {"generation": 6, "build": "6.7.0-8169922", "when": T67, "layout": "esx6-gpt", **settings}
    return Profile(name, shows, banks=banks, **settings)


def _all():
    yield Profile(
        "esxi40-mbr",
        "4.0: MBR with logical banks; bank 5 has state.tgz and an older local.tgz beside it (--set modules=local.tgz "
        "names the other one), bank 6 state.tgz only; decimal keys, a bridge passed through",
        4, "4.0.0-208167", T40, "esx4-mbr",
        _two(
            _bank(State(devices=ESX40, flavour="busybox"), State("local.tgz", devices=ESX40_OLDER, flavour="gnu")),
            Bank(6, "Hypervisor2", states=(State(devices=ESX40_OLDER, flavour="busybox"),)),
        ),
    )  # fmt: skip
    yield Profile(
        "esxi41-mbr-localtgz",
        "4.1: MBR; a bare local.tgz and no state.tgz in either bank",
        4, "4.1.0-381591", T41, "esx4-mbr",
        _two(_bank(State("local.tgz", devices=ESX41, flavour="gnu"))),
    )  # fmt: skip
    yield Profile(
        "esxi55-gpt",
        "5.5: GPT; an archive with hard links, symlinks, odd modes and long names; esx.conf has the sticky bit",
        5, "5.5.0-1331820", T55, "esx6-gpt",
        _two(_bank(State(devices=ESX55, flavour="links", conf_mode=0o1644))),
    )  # fmt: skip
    yield Profile(
        "esxi55-fragmented",
        "5.5: state.tgz scattered over the holes other files left",
        5, "5.5.0-1331820", T55, "esx6-gpt",
        _two(_bank(State(devices=ESX55, flavour="gnu"), arrangement="fragmented")),
    )  # fmt: skip
    yield Profile(
        "esxi65-formatwithmbr",
        "6.5 installed with formatwithmbr: MBR with logical banks; an archive with pax headers and ./ names",
        6, "6.5.0-4564106", T65, "esx6-mbr",
        _two(_bank(State(devices=ESX67, flavour="pax"))),
    )  # fmt: skip
    yield _esx67(
        "esxi67-gpt",
        "6.7: both banks hold a state, the older one with fewer devices; keys in every four-part spelling, one .vf",
        _two(_bank(State(devices=ESX67)), Bank(6, "Hypervisor2", states=(State(devices=ESX67[:3], counter=1390),))),
    )
    yield _esx67(
        "esxi67-usb-passthru",
        "6.7: the fault this program is for: both USB controllers passed through, in both banks",
        _two(_bank(State(devices=USB67))),
    )
    yield _esx67(
        "esxi67-fresh",
        "6.7 as installed: bank 6 is empty, has the higher `updated`, but bootstate 3",
        (_bank(State(devices=USB67)), _empty()),
    )
    yield _esx67(
        "esxi67-ddimage",
        "6.7 from the vendor's dd image: partition names, alternateLba 1, no backup GPT",
        _two(_bank(State(devices=USB67))), names=True, backup_gpt=False,
    )  # fmt: skip
    yield _esx67(
        "esxi67-4kn", "6.7: 4096-byte sectors throughout", _two(_bank(State(devices=ESX67))), layout="esx6-gpt-4kn"
    )
    yield _esx67(
        "esxi67-fullbank",
        "6.7: bank 5 has no room for a second copy of state.tgz, bank 6 has",
        _two(_bank(State(devices=USB67), arrangement="full"), arrangement="plain"),
    )
    yield _esx67(
        "esxi67-folders",
        "6.7: folders and long names that other systems left on the bank",
        _two(_bank(State(devices=USB67), arrangement="folders")),
    )
    yield _esx67("esxi67-fat12-small", "6.7: banks so small that they are FAT12", _two(_bank(State(devices=USB67))), bits=12)
    yield _esx67(
        "esxi67-two-dir-sectors",
        "6.7: state.tgz and local.tgz stand in different sectors of the root directory",
        _two(_bank(State(devices=USB67), State("local.tgz", devices=USB67[1:]), arrangement="spread"), arrangement="plain"),
    )
    yield Profile(
        "esxi70ga-plain",
        "7.0.0: a plain state.tgz that holds a ConfigStore and /device lines, which agree",
        7, "7.0.0-1.0.15843807", T70, "esx7-500m",
        _two(Bank(5, "BOOTBANK1", states=(State(devices=BOTH_AGREE, rows=USB_ROWS),))), last="LOCKER", size="real",
    )  # fmt: skip
    yield _esx7(
        "esxi70u1-both",
        "7.0 U1: plain, esx.conf and ConfigStore disagree",
        State(devices=BOTH_DIFFER, rows=USB_ROWS), build="7.0.1-0.0.16850804",
    )  # fmt: skip
    yield _esx7(
        "esxi702-encrypted",
        "7.0.2: local.tgz.ve, mode NONE; rows in every shape",
        State(rows=ROWS, encryption="none"), State(rows=USB_ROWS, encryption="none", counter=1390), size="real",
    )  # fmt: skip
    yield _esx7(
        "esxi80-encrypted-1g",
        "8.0: banks of 1 GiB; encryption.info stands before local.tgz.ve, another member after it",
        State(rows=ROWS, encryption="none", info_first=True), build="8.0.1-0.0.21495797", when=T80, layout="esx7-1g", size="real",
    )  # fmt: skip
    yield _esx7(
        "esxi80-encrypted-4g",
        "8.0: banks just under 4 GiB, clusters of 64 KiB",
        State(rows=USB_ROWS, encryption="none"), build="8.0.1-0.0.21495797", when=T80, layout="esx7-4g", size="real",
    )  # fmt: skip
    yield _esx7(
        "esxi702-sealed",
        "7.0.2: mode TPM in both banks; encryption.info's fields beside `mode` are invented",
        State(rows=USB_ROWS, encryption="tpm"),
    )
    yield _esx7(
        "esxi702-one-sealed",
        "7.0.2: bank 5 (boots next) mode NONE, bank 6 mode TPM",
        State(rows=USB_ROWS, encryption="none"), State(rows=USB_ROWS, encryption="tpm", counter=1390),
    )  # fmt: skip
    yield _esx7(
        "esxi702-dotinfo",
        "7.0.2: .#encryption.info instead of encryption.info",
        State(rows=USB_ROWS, encryption="none", info_name=".#encryption.info"),
    )
    yield _esx7(
        "esxi702-wal", "7.0.2: the ConfigStore's header says WAL", State(rows=USB_ROWS, encryption="none", wal=True)
    )
    yield _esx7(
        "esxi702-real",
        "7.0.2: the real state scripts/fetch-real-state fetched (--set real-state=DIR), in both banks",
        State(encryption="none", real=True),
    )


PROFILES = {profile.name: profile for profile in _all()}


def scale(profile):
    """A usual size for an invented module file, in bytes."""
    return 2000 if profile.size == "small" or profile.bits == 12 else 12000


def bank_files(profile, bank, packed=None):
    """The files of a bank; with `packed`, modules that are gzip files and take so many bytes together."""
    seed = f"{profile.name}/files"
    if packed is None:
        return list(payload.bank_files(profile.generation, seed, scale(profile)))
    return list(payload.packed_bank_files(profile.generation, seed, packed))
