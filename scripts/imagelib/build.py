"""Puts a profile's parts together into an image and says what went in."""

import hashlib
import json
import os
import tempfile
from dataclasses import replace

from . import configstore, envelope, fat, hostfiles, payload, profiles, state, table
from .tools import Tools

BOOT_KEYS = ("bootstate", "title", "timeout", "prefix", "kernel", "kernelopt", "modules", "build", "updated")
# Folder -> files, folders before what is in them. A host has its UEFI loader where every machine looks for one,
# and once more where its own boot entry leads.
BOOT_FILES = {
    "": ("safeboot.c32", "mboot.c32", "syslinux.cfg"),
    "EFI": (),
    "EFI/BOOT": ("BOOTx64.EFI",),
    "EFI/VMware": ("safeboot64.efi", "mboot64.efi"),
}
STORE_FILES = {"": ("packages.txt",), "packages": ()}


class Builder:
    """Builds one image. `settings` are the --set values, already checked by the caller."""

    def __init__(self, profile, out, settings):
        self.profile = profile
        self.out = out
        self.settings = settings
        self.seed = f"{settings.get('seed', 'bootbank')}/{profile.name}"
        self.tools = Tools(profile.when)
        self.parts = _parts(profile)

    def build(self):
        """Writes the image; returns the ground truth."""
        partial = f"{self.out}.partial"
        try:
            truth = self._build(partial)
            os.replace(partial, self.out)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)
        return truth

    def _build(self, image):
        profile = self.profile
        label = "mbr" if profile.layout.endswith("mbr") else "gpt"
        table.write(self.tools, image, self.parts, "dos" if label == "mbr" else label, profile.sector, self.seed)
        table.write_boot_code(image, self.seed)
        if not profile.backup_gpt:
            table.drop_backup_gpt(image)
        banks = {bank.number: bank for bank in profile.banks}
        told = []
        with tempfile.TemporaryDirectory(prefix="make-image-") as stage:
            for part in self.parts:
                if part.kind in ("efi", "fat"):
                    self._other_volume(image, part, stage)
                elif part.kind == "vmfsl":
                    _mark_vmfs(image, part, profile.sector)
                elif part.kind == "bank":
                    told.append(self._bank(image, part, banks[part.number], stage))
        _mark_next(told)
        return {
            "profile": profile.name,
            "sector_size": profile.sector,
            "size": os.path.getsize(image),
            "table": label,
            "partitions": [
                {
                    "number": part.number,
                    "first_lba": part.first,
                    "last_lba": part.last,
                    "type": part.type,
                    "name": part.name,
                    "kind": part.kind,
                }
                for part in sorted(self.parts, key=lambda p: p.number)
            ],
            "banks": told,
        }

    def _volume(self, image, part, label, bits):
        return fat.Volume(
            image, part.first, part.sectors, self.profile.sector, label, f"{self.seed}/volume{part.number}", bits
        )

    def _other_volume(self, image, part, stage):
        """The boot partition and the store: VMware's mark, but no boot.cfg."""
        bits = 16 if part.sectors >= 4400 else 12
        volume = self._volume(image, part, "ESX" if part.kind == "efi" else "STORE", bits)
        fat.make(self.tools, volume)
        holds = BOOT_FILES if part.kind == "efi" else STORE_FILES
        fat.make_folders(self.tools, volume, [folder for folder in holds if folder])
        for folder, names in holds.items():
            files = [(name, payload.filler(f"{self.seed}/{name}", 3000), self.profile.when) for name in names]
            fat.copy_in(self.tools, volume, files, stage, folder)

    def _bank(self, image, part, bank, stage):
        profile = self.profile
        volume = self._volume(image, part, bank.label, profile.bits)
        fat.make(self.tools, volume)
        boot = self._boot_cfg(bank, volume)
        text = "".join(f"{key}={boot[key]}\n" for key in BOOT_KEYS if key in boot).encode()
        when = profile.when - 86400 * (6 - bank.number)
        states = [self._state(bank, one, volume, when, stage, index) for index, one in enumerate(bank.states)]
        files = [("boot.cfg", text, when)]
        if not bank.empty:
            modules = self.settings.get("modules-size")
            files += [(name, data, when - 3600) for name, data in profiles.bank_files(profile, bank, modules)]
            more = payload.more_files(f"{self.seed}/more", self.settings.get("files", 0))
            files += [(name, data, when - 3600) for name, data in more]
        packed = [(one.file, built["data"], when) for one, built in zip(bank.states, states)]
        ARRANGEMENTS[bank.arrangement](self.tools, volume, files, packed, stage)
        return self._bank_truth(part, bank, volume, boot, text, states)

    def _boot_cfg(self, bank, volume):
        """Key -> value of boot.cfg, --set bankN.KEY=VALUE applied."""
        profile = self.profile
        if bank.empty:
            boot = {"bootstate": 3, "title": "Loading VMware ESXi", "kernel": "", "kernelopt": "", "modules": "",
                    "build": "", "updated": bank.updated}  # fmt: skip
        else:
            named = bank.modules or self.settings.get("modules") or bank.states[0].file
            if named not in [one.file for one in bank.states]:
                named = bank.states[0].file
            boot = {
                "bootstate": bank.bootstate,
                "title": "Loading VMware ESXi",
                "timeout": 5,
                "prefix": "",
                "kernel": "b.z" if profile.generation == 4 else "b.b00",
                "kernelopt": f"bootUUID={volume.uuid.hex()}" if profile.generation >= 6 else "",
                "modules": payload.modules(profile.generation, named),
                "build": profile.build,
                "updated": bank.updated,
            }
            if profile.generation == 4:
                for key in ("title", "timeout", "prefix"):
                    del boot[key]
        return {**boot, **{k: str(v) for k, v in bank.settings.items()}}

    def _state(self, bank, one, volume, when, stage, index):
        """The bytes of one state file, and the truth about it."""
        profile = self.profile
        seed = f"{self.seed}/host"
        work = os.path.join(stage, f"bank{bank.number}-{index}")
        os.mkdir(work)
        truth = {"file": one.file, "form": {"plain": "plain", "none": "encrypted", "tpm": "sealed"}[one.encryption]}
        if one.real:
            with open(os.path.join(self.settings["real-state"], "local.tgz.ve"), "rb") as src:
                sealed = src.read()
            with open(os.path.join(self.settings["real-state"], "encryption.info"), "rb") as src:
                info = src.read()
            packed = state.state_tgz(
                self.tools, [("local.tgz.ve", sealed, 0o644), (one.info_name, info, 0o600)], "host", when, work
            )
            return {"data": packed.data, "truth": {**truth, "outer_members": packed.members}}
        key = None if one.encryption == "plain" else envelope.new_key(f"{seed}/key{bank.number}", one.encryption == "tpm")
        conf = hostfiles.esx_conf(seed, profile.build, one.devices)
        store = None
        if one.rows is not None:
            store = configstore.make(self.tools, seed, when, one.rows, volume.uuid, work, one.wal)
        entries = hostfiles.entries(
            seed, conf, one.conf_mode, when, one.counter, store, None if key is None else key.info()
        )
        how = state.FLAVOURS[one.flavour]
        entries += hostfiles.padding(seed, entries, self.settings.get("state-size", 0))
        if how.links:
            entries[12:12] = hostfiles.linked_entries(seed, hard_links=how.tar == "gnu")
        local = state.local_tgz(self.tools, entries, one.flavour, when, work)
        truth |= {
            "esx_conf": conf.decode(),
            "esx_conf_member": state.conf_name(one.flavour),
            "local_tgz_sha256": hashlib.sha256(local.data).hexdigest(),
            "local_members": local.members,
            "devices": _devices(one),
        }
        if one.file == "local.tgz":
            return {"data": local.data, "truth": truth}
        if key is None:
            inner = [("local.tgz", local.data, 0o644)]
        else:
            of_tool = self.settings.get("nonce-size")
            nonce = payload.random_bytes(f"{seed}/nonce{bank.number}", of_tool) if of_tool else envelope.HOST_NONCE
            sealed = envelope.seal(key, local.data, f"{seed}/envelope{bank.number}", nonce)
            if key.sealed:
                truth["recovery_key"] = key.recovery_key
            inner = [("local.tgz.ve", sealed, 0o644), (one.info_name, key.info(), 0o600)]
            if one.info_first:
                inner = [inner[1], inner[0], ("notes.txt", b"another member, to be kept\n", 0o640)]
        outer = "host" if how.tar == "busybox" else one.flavour
        packed = state.state_tgz(self.tools, inner, outer, when, work)
        return {"data": packed.data, "truth": {**truth, "outer_members": packed.members}}

    def _bank_truth(self, part, bank, volume, boot, text, states):
        read = fat.Reader(volume)
        files = read.files()
        for one, built in zip(bank.states, states):
            listed = one.file in str(boot.get("modules", "")).split(" --- ")
            built["truth"] |= {"listed_in_modules": listed, "size": len(built["data"])}
            if files[one.file]["sha256"] != hashlib.sha256(built["data"]).hexdigest():
                raise ValueError(f"{one.file} did not arrive whole in bank {bank.number}")
        return {
            "partition": part.number,
            "offset": volume.offset,
            "uuid": volume.uuid.hex(),
            "label": bank.label,
            "build": str(boot["build"]),
            "updated": int(boot["updated"]),
            "bootstate": int(boot["bootstate"]),
            "boot_cfg": text.decode(),
            "fat": read.describe(),
            "files": files,
            "states": [built["truth"] for built in states],
        }


def _parts(profile):
    kind, _, bank = profile.layout.partition("-")
    if kind == "esx7":
        return table.esx7_gpt(profile.size, bank, profile.last)
    if profile.bits == 12:
        # Half of a small bank, so that 2 sectors per cluster stay below FAT16's least count.
        first, *rest = table.esx6_gpt("small", profile.names)
        return [first] + [replace(p, last=p.first + 8159) if p.kind == "bank" else p for p in rest]
    return {
        "esx4-mbr": table.esx4_mbr,
        "esx6-mbr": table.esx6_mbr,
        "esx6-gpt-4kn": table.esx6_gpt_4kn,
        "esx6-gpt": lambda size: table.esx6_gpt(size, profile.names),
    }[profile.layout](profile.size)


def _mark_vmfs(image, part, sector):
    """VMFS volumes carry this magic 1 MiB from their start; the rest stays empty."""
    with open(image, "r+b") as disk:
        disk.seek(part.first * sector + (1 << 20))
        disk.write(bytes.fromhex("0dd001c0"))


def _mark_next(banks):
    """Which bank VMware's rule picks: state 0 or 1, the highest `updated`, the first on a tie."""
    fit = [b for b in banks if b["build"] and b["bootstate"] in (0, 1) and b["updated"] > 0]
    best = max(fit, key=lambda b: (b["updated"], -b["partition"]), default=None)
    for bank in banks:
        bank["boots_next"] = bank is best


def _devices(one):
    found = []
    for device in one.devices:
        if device.owner:
            found.append(
                {
                    "source": "esx.conf",
                    "key": f"/device/{device.key}/owner",
                    "address": device.address,
                    "owner": device.owner,
                    "passthrough": device.passthrough,
                    "alias": device.vmkname or device.alias or None,
                }
            )
    for row in one.rows or ():
        values = row.values()
        owners = {c: json.loads(v)["owner"] for c, v in values.items() if "owner" in json.loads(v)}
        found.append(
            {
                "source": "configstore",
                "key": row.sbdf,
                "address": row.sbdf,
                "owner": row.owner if owners else None,
                "passthrough": bool(owners) and row.passthrough,
                "alias": row.alias or None,
                "values": values,
                "owner_columns": sorted(owners),
            }
        )
    return found


def _plain(tools, volume, files, states, stage):
    fat.copy_in(tools, volume, files + states, stage)


def _fragmented(tools, volume, files, states, stage):
    """Writes the states into the holes that deleted files left: first holes of one cluster, then of three."""
    cluster = fat.Reader(volume).cluster
    fat.copy_in(tools, volume, files, stage)
    names = [f"old{n:03d}.v00" for n in range(160)]
    sizes = [cluster if n < 80 else 3 * cluster for n in range(160)]
    fillers = [(n, payload.filler(f"{volume.seed}/{n}", s), files[0][2]) for n, s in zip(names, sizes)]
    fat.copy_in(tools, volume, fillers, stage)
    fat.delete(tools, volume, names[::2])
    fat.copy_in(tools, volume, states, stage)


def _full(tools, volume, files, states, stage):
    """Fills the bank until half of a second copy of the first state would fit."""
    fat.copy_in(tools, volume, files + states, stage)
    read = fat.Reader(volume)
    keep = len(states[0][1]) // read.cluster // 2
    size = (read.free_clusters() - keep) * read.cluster
    fat.copy_in(tools, volume, [("filler.v00", bytes(size), files[0][2])], stage)


def _folders(tools, volume, files, states, stage):
    """What Windows, macOS and Linux leave on a stick that is plugged in."""
    when = files[0][2]
    fat.copy_in(tools, volume, files, stage)
    fat.make_folders(
        tools, volume,
        ["System Volume Information", ".Trashes", ".Trashes/501", ".Spotlight-V100", "Copies of this stick",
         "Copies of this stick/Übersicht 2018", "EMPTY"],
    )  # fmt: skip
    for folder, name, size in (
        ("System Volume Information", "IndexerVolumeGuid", 76),
        ("System Volume Information", "WPSettings.dat", 12),
        (".Trashes/501", "._state copy.tgz", 4096),
        ("", "._boot.cfg", 4096),
        ("", "A note with a long name.txt", 900),
        ("Copies of this stick", "state.tgz", 20000),
        ("Copies of this stick", "boot.cfg", 300),
        ("Copies of this stick/Übersicht 2018", "a name that needs five directory entries of its own.html", 5000),
    ):
        content = payload.filler(f"{volume.seed}/{folder}/{name}", size)
        fat.copy_in(tools, volume, [(name, content, when)], stage, f"{folder}/" if folder else "")
    many = [(f"file number {n:03d}.txt", payload.filler(f"{volume.seed}/many{n}", 40), when) for n in range(60)]
    fat.copy_in(tools, volume, many, stage, "Copies of this stick/")
    fat.copy_in(tools, volume, states, stage)


def _spread(tools, volume, files, states, stage):
    """The first state early in the root directory, the others at least a sector of entries later."""
    first, *others = states
    extra = [(f"extra{n:02d}.v00", payload.filler(f"{volume.seed}/x{n}", 600), files[0][2]) for n in range(18)]
    fat.copy_in(tools, volume, [files[0], first, *files[1:], *extra, *others], stage)


ARRANGEMENTS = {
    "plain": _plain,
    "fragmented": _fragmented,
    "full": _full,
    "folders": _folders,
    "spread": _spread,
}
