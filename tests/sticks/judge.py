#!/usr/bin/env python3
"""Says of two images, one from before a change and one from after it, whether just what was to
change has changed. Shares no code with the program: mtools, gzip, GNU tar, fsck.fat, sgdisk and
sqlite3 read, and a few dozen lines here follow FAT chains and open envelopes.

    judge.py digest FILE...                             one digest per file, holes left out
    judge.py fixed BEFORE AFTER TRUTH UNDO [BANK,...]   `fix` of the named banks (default: all)
    judge.py content FILE BANK_OFFSET                   esx.conf and rows of a bank's states

Prints what is wrong, one finding a line; exit 1 if there is any.
"""

import base64
import hashlib
import io
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
import zlib

BLOCK = 1 << 16
CONF = "etc/vmware/esx.conf"
STORE = "var/lib/vmware/configstore/backup/current-store-1"
VALUES = ("AutoConfValue", "UserValue", "VitalValue", "CachedValue", "DesiredValue")
WRONG = []


def expect(claim, holds):
    if not holds:
        WRONG.append(claim)


def run(*command, stdin=None):
    done = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, env={**os.environ, "TZ": "UTC"})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}")
    return done.stdout


# --- whole images ------------------------------------------------------------------------------


def blocks(path):
    """Number and content of the blocks that are not all zero."""
    with open(path, "rb") as src:
        end, position = os.fstat(src.fileno()).st_size, 0
        while position < end:
            try:
                start = os.lseek(src.fileno(), position, os.SEEK_DATA)
            except OSError:
                return
            stop = os.lseek(src.fileno(), start, os.SEEK_HOLE)
            number = max(start // BLOCK, position // BLOCK)
            while number * BLOCK < stop:
                src.seek(number * BLOCK)
                block = src.read(BLOCK)
                if block.strip(b"\0"):
                    yield number, block
                number += 1
            position = number * BLOCK


def digest(path):
    total = hashlib.sha256(str(os.path.getsize(path)).encode())
    for number, block in blocks(path):
        total.update(struct.pack("<Q", number) + block)
    return total.hexdigest()


def differing_sectors(before, after, sector):
    one, other = dict(blocks(before)), dict(blocks(after))
    for number in sorted(one.keys() | other.keys()):
        a, b = one.get(number, bytes(BLOCK)), other.get(number, bytes(BLOCK))
        if a != b:
            size = max(len(a), len(b))
            a, b = a.ljust(size, b"\0"), b.ljust(size, b"\0")
            for at in range(0, size, sector):
                if a[at : at + sector] != b[at : at + sector]:
                    yield (number * BLOCK + at) // sector


def plan_sectors(undo, sector):
    """The sectors of the plan, from the undo file, whose checksums must hold."""
    with tarfile.open(undo) as tar:
        content = {m.name: tar.extractfile(m).read() for m in tar}
    for line in content["SHA256SUMS"].decode().splitlines():
        wanted, name = line.split(None, 1)
        expect(f"undo file: checksum of {name}", hashlib.sha256(content[name]).hexdigest() == wanted)
    manifest = json.loads(content["manifest.json"])
    expect("undo file: sector size", manifest["sector_size"] == sector)
    expect("undo file: mode 0600", os.stat(undo).st_mode & 0o777 == 0o600)
    sectors = set()
    for step in manifest["steps"]:
        for first, count in step["sectors"]:
            sectors.update(range(first, first + count))
    return sectors, manifest


def table(before, after, truth):
    if truth["sector_size"] != 512:
        tools = [("fdisk", "-b", truth["sector_size"], "-o", "Start,End,Type,UUID", "-l")]
    else:
        tools = [("sgdisk", "-v"), ("sfdisk", "-V"), ("sfdisk", "-d")]
    for tool in tools:
        said = []
        for image in (before, after):
            done = subprocess.run([*map(str, tool), image], capture_output=True)
            said.append((done.returncode, (done.stdout + done.stderr).replace(image.encode(), b"IMAGE")))
        expect(f"{tool[0]} {tool[1]} says the same as before", said[0] == said[1])


# --- volumes -----------------------------------------------------------------------------------


class Volume:
    def __init__(self, image, offset):
        self.image, self.offset = image, offset
        boot = self.at(0, 512)
        self.sector, self.per_cluster, reserved, self.fats, roots = struct.unpack_from("<HBHBH", boot, 11)
        total = struct.unpack_from("<H", boot, 19)[0] or struct.unpack_from("<I", boot, 32)[0]
        self.fat_size = struct.unpack_from("<H", boot, 22)[0] * self.sector
        self.fat_at = reserved * self.sector
        self.root_at = self.fat_at + self.fats * self.fat_size
        self.root_size = roots * 32
        self.data_at = self.root_at + self.root_size
        self.clusters = (total * self.sector - self.data_at) // (self.per_cluster * self.sector)
        copies = [self.at(self.fat_at + n * self.fat_size, self.fat_size) for n in range(self.fats)]
        self.copies_equal = all(copy == copies[0] for copy in copies)
        self.fat = copies[0]

    def at(self, offset, length):
        with open(self.image, "rb") as src:
            src.seek(self.offset + offset)
            return src.read(length)

    def next(self, cluster):
        if self.clusters <= 4084:
            pair = struct.unpack_from("<H", self.fat, cluster * 3 // 2)[0]
            value = pair >> 4 if cluster % 2 else pair & 0xFFF
            return value if value < 0xFF8 else None
        value = struct.unpack_from("<H", self.fat, cluster * 2)[0]
        return value if value < 0xFFF8 else None

    def runs(self, first):
        runs, cluster = [], first
        while cluster is not None and len(runs) <= self.clusters:
            if runs and sum(runs[-1]) == cluster:
                runs[-1][1] += 1
            else:
                runs.append([cluster, 1])
            cluster = self.next(cluster)
        return runs

    def entries(self):
        root = self.at(self.root_at, self.root_size)
        return [root[n : n + 32] for n in range(0, len(root), 32)]

    def used(self):
        return sum(self.next(n) != 0 for n in range(2, self.clusters + 2))


def cut_out(image, offset, length, to):
    """Copies one partition, leaving holes as holes."""
    with open(image, "rb") as src, open(to, "wb") as out:
        out.truncate(length)
        position, end = offset, offset + length
        while position < end:
            try:
                start = os.lseek(src.fileno(), position, os.SEEK_DATA)
            except OSError:
                return
            stop = min(os.lseek(src.fileno(), start, os.SEEK_HOLE), end)
            src.seek(start)
            out.seek(start - offset)
            while start < stop:
                block = src.read(min(1 << 20, stop - start))
                out.write(block)
                start += len(block)
            position = max(stop, start)


def volume(before, after, part, bank, changed_states, folder):
    here = f"bank {bank['partition']}"
    path = os.path.join(folder, "volume")
    length = (part["last_lba"] - part["first_lba"] + 1) * Volume(after, bank["offset"]).sector
    cut_out(after, bank["offset"], length, path)
    done = subprocess.run(["fsck.fat", "-n", path], capture_output=True)
    expect(f"{here}: fsck.fat -n finds no fault: {done.stdout.decode()}", done.returncode == 0)
    os.unlink(path)
    old, new = Volume(before, bank["offset"]), Volume(after, bank["offset"])
    expect(f"{here}: both FAT copies are equal", new.copies_equal)
    names = {bytes(e[:11]) for e in old.entries()}
    expect(f"{here}: the same directory entries", names == {bytes(e[:11]) for e in new.entries()})
    changed_entries = [n for n, (a, b) in enumerate(zip(old.entries(), new.entries())) if a != b]
    expect(f"{here}: as many entries changed as states", len(changed_entries) == len(changed_states))
    for name, told in bank["files"].items():
        was, entry = (v.at(told["entry_offset"], 32) for v in (old, new))
        first, size = struct.unpack_from("<HI", entry, 26)
        if name in changed_states:
            expect(f"{here}: {name}: the entry changes in nothing but cluster and size", was[:26] == entry[:26])
            expect(f"{here}: {name}: it moved", was[26:28] != entry[26:28])
            chain = sum(count for _, count in new.runs(first))
            cluster = new.per_cluster * new.sector
            expect(f"{here}: {name}: the chain is as long as the size asks for", chain == -(-size // cluster))
        else:
            expect(f"{here}: {name}: its entry stays", was == entry)
            expect(f"{here}: {name}: its clusters stay", new.runs(first) == told["runs"])
            content = run("mtype", "-i", f"{after}@@{bank['offset']}", f"::/{name}")
            expect(f"{here}: {name}: its content stays", hashlib.sha256(content).hexdigest() == told["sha256"])
    grown = sum(len_of(new, told) - len_of(old, told) for name, told in bank["files"].items() if name in changed_states)
    expect(f"{here}: no cluster is lost", new.used() - old.used() == grown)


def len_of(volume, told):
    first = struct.unpack_from("<H", volume.at(told["entry_offset"], 32), 26)[0]
    return sum(count for _, count in volume.runs(first))


# --- archives ----------------------------------------------------------------------------------


def unpacked(packed, what):
    """The one member of a gzip file, which nothing follows."""
    run("gzip", "-t", stdin=packed)
    inflate = zlib.decompressobj(31)
    data = inflate.decompress(packed) + inflate.flush()
    expect(f"{what}: nothing follows the gzip member", inflate.eof and not inflate.unused_data)
    run("tar", "-tvf", "-", stdin=data)
    return data


def members(data):
    """Everything a tar says of each member, in order; contents beside it."""
    told, contents = [], []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for m in tar:
            told.append((m.name, m.type, m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.linkname, sorted(m.pax_headers.items())))
            contents.append(tar.extractfile(m).read() if m.isreg() else b"")
    return told, contents


def plain_name(name):
    return re.sub(r"^(\.?/+)+", "", name)


def compare_archives(before, after, what, may_change):
    """The members whose content differs, as name -> (before, after)."""
    (told, old), (told_after, new) = members(before), members(after)
    expect(f"{what}: members keep name, type, mode, owner, time, link and order", told == told_after)
    changed = {}
    for facts, a, b in zip(told, old, new):
        name = plain_name(facts[0])
        if a != b:
            expect(f"{what}: {name} stays", name in may_change)
            changed[name] = (a, b)
    return changed


def key_of(info):
    """The key that encryption.info keeps; none where it is sealed."""
    values = dict(re.findall(r'^(\S+) = "(.*)"$', info.decode(), re.M))
    if values["mode"] != "NONE":
        return None
    fields = dict(f.split("=", 1) for f in urllib.parse.unquote(values["ConfigEncData"]).split(":"))
    one, two = base64.b64decode(fields["data1"]), base64.b64decode(fields["data2"])
    phrase = b"This is obfuscation, not encryption. If you want encryption, use TPM."
    return hashlib.pbkdf2_hmac("sha256", one + phrase, two, 100000)


def open_envelope(sealed, info):
    """The plain text, its padding length, and the parts that must not change."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = key_of(info)
    if key is None:
        return None
    header, body, footer = sealed[:4096], sealed[4096:-4096], sealed[-4096:]
    nonce_at = header.index(b"vmware.iv\0") + 18
    hash_at = header.index(b"vmware.keyHash\0") + 23
    expect("keyHash is that of the key", header[hash_at : hash_at + 32] == hashlib.sha256(b"AES-256-GCM" + key).digest())
    expect("envelope: whole blocks", len(sealed) % 4096 == 0)
    (length,) = struct.unpack("<Q", header[nonce_at - 8 : nonce_at])
    expect("the nonce has a length that is known to be written", length in (12, 16))
    nonce, tag = header[nonce_at : nonce_at + length], footer[32:48]
    plain = AESGCM(key).decrypt(nonce, body + tag, header + b"ESXConfiguration")
    expect("envelope: crypto footer", plain[-512:].startswith(b"DataTransformCryptoFooter\0"))
    padding, version = struct.unpack("<II", plain[-8:])
    expect("envelope: version and padding", version == 2 and padding < 4096)
    rest = (header.replace(nonce, bytes(length), 1), footer[:32], footer[48:])
    return {"data": plain[: -4096 - padding], "nonce": nonce, "rest": rest}


def layers(packed, file, what):
    """From a state file to the archive inside: bytes of local.tgz unpacked, outer archive, envelope."""
    if file == "local.tgz":
        return unpacked(packed, what), None, None
    outer = unpacked(packed, what)
    _, contents = members(outer)
    by_name = dict(zip((plain_name(t[0]) for t in members(outer)[0]), contents))
    if "local.tgz" in by_name:
        return unpacked(by_name["local.tgz"], f"{what}: local.tgz"), outer, None
    info = next(v for k, v in by_name.items() if k.endswith("encryption.info"))
    envelope = open_envelope(by_name["local.tgz.ve"], info)
    if envelope is None:
        return None, outer, None
    return unpacked(envelope["data"], f"{what}: inside the envelope"), outer, envelope


def gzip_header(data):
    return data[:10] + (data[10 : data.index(b"\0", 10) + 1] if data[3] & 8 else b"")


def state(before, after, file, told, what):
    inner = ("local.tgz",) if told["form"] == "plain" else ("local.tgz.ve",)
    expect(f"{what}: gzip header stays", gzip_header(before) == gzip_header(after))
    old, old_outer, old_envelope = layers(before, file, f"{what} before")
    new, new_outer, new_envelope = layers(after, file, what)
    if old_outer is not None:
        changed = compare_archives(old_outer, new_outer, what, inner)
        expect(f"{what}: the inner archive changed", set(changed) == set(inner))
    if old_envelope:
        expect(f"{what}: envelope keeps header and footers but for nonce and tag", old_envelope["rest"] == new_envelope["rest"])
        expect(f"{what}: a nonce is never used twice", old_envelope["nonce"] != new_envelope["nonce"])
        expect(f"{what}: the nonce keeps its length", len(old_envelope["nonce"]) == len(new_envelope["nonce"]))
        if len(new_envelope["nonce"]) == 12:
            expect(f"{what}: the nonce keeps its fixed field", old_envelope["nonce"][:4] == new_envelope["nonce"][:4])
    changed = compare_archives(old, new, f"{what}: local.tgz", (CONF, STORE))
    passed = None
    if "devices" in told:
        passed = [d for d in told["devices"] if d["passthrough"]]
    if CONF in changed or (passed and any(d["source"] == "esx.conf" for d in passed)):
        conf(*changed.get(CONF, (b"", b"")), passed, what)
    if STORE in changed or (passed and any(d["source"] == "configstore" for d in passed)):
        store(*changed.get(STORE, (b"", b"")), passed, what)
    left = list(passed_through(new))
    expect(f"{what}: nothing is passed through any more: {left}", not left)


def conf(before, after, passed, what):
    expected = before.decode("utf-8", "surrogateescape")
    for device in passed:
        if device["source"] == "esx.conf":
            line = f'{device["key"]} = "passthru"\n'
            expect(f"{what}: {device['key']} was passed through", line in expected)
            expected = expected.replace(line, line.replace("passthru", "vmkernel"))
    expect(f"{what}: esx.conf changes in the owners and nothing else", expected.encode("utf-8", "surrogateescape") == after)


def rows(data):
    database = sqlite3.connect(":memory:")
    flat = bytearray(data)
    if flat[18:20] == b"\2\2":
        flat[18:20] = b"\1\1"  # an image in WAL mode cannot be opened from memory
    database.deserialize(bytes(flat))
    database.row_factory = sqlite3.Row
    found = {tuple(r)[:4]: dict(r) for r in database.execute("SELECT * FROM Config")}
    schema = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    pragmas = [database.execute(f"PRAGMA {p}").fetchone()[0] for p in ("user_version", "application_id", "encoding", "auto_vacuum")]
    return found, [tuple(s) for s in schema], pragmas


def store(before, after, passed, what):
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        flat = bytearray(after)
        expect(f"{what}: journal mode stays", before[18:20] == after[18:20])
        if flat[18:20] == b"\2\2":
            flat[18:20] = b"\1\1"
        file.write(flat)
        file.flush()
        said = run("sqlite3", "-batch", f"file:{file.name}?immutable=1", "PRAGMA integrity_check").strip()
        expect(f"{what}: sqlite3 integrity_check: {said}", said == b"ok")
    old, schema, pragmas = rows(before)
    new, schema_after, pragmas_after = rows(after)
    expect(f"{what}: schema and settings stay", (schema, pragmas) == (schema_after, pragmas_after))
    expect(f"{what}: the same rows", old.keys() == new.keys())
    expect(f"{what}: pages stay", len(before) == len(after))
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    meant = {d["key"] for d in passed if d["source"] == "configstore"}
    for key, row in old.items():
        wanted = dict(row)
        if key[:3] == ("esx", "hardware", "pci_devices") and key[3] in meant:
            for column in VALUES:
                if row[column] is not None:
                    wanted[column] = row[column].replace('"OWNER_PASSTHRU"', '"OWNER_VMKERNEL"')
            wanted["Revision"] = row["Revision"] + 1
            if epoch:
                wanted["ModifiedTime"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(epoch)))
            expect(f"{what}: {key[3]} changed", wanted != row)
        expect(f"{what}: row {key}: {new.get(key)} is not {wanted}", new.get(key) == wanted)


def passed_through(archive):
    told, contents = members(archive)
    for facts, content in zip(told, contents):
        if plain_name(facts[0]) == CONF:
            for line in content.decode("utf-8", "replace").splitlines():
                if re.match(r'^/device/\S+/owner = "passthru"$', line):
                    yield line
        elif plain_name(facts[0]) == STORE:
            for key, row in rows(content)[0].items():
                if key[2] == "pci_devices" and any("OWNER_PASSTHRU" in (row[c] or "") for c in VALUES):
                    yield key[3]


# --- commands ----------------------------------------------------------------------------------


def fixed(before, after, truth_file, undo, only=None):
    with open(truth_file, encoding="utf-8") as src:
        truth = json.load(src)
    sector = truth["sector_size"]
    only = [int(n) for n in only.split(",")] if only else [b["partition"] for b in truth["banks"]]
    expect("the size stays", os.path.getsize(before) == os.path.getsize(after))
    changed = set(differing_sectors(before, after, sector))
    allowed, manifest = plan_sectors(undo, sector)
    expect(f"sectors outside the plan changed: {sorted(changed - allowed)[:8]}", changed <= allowed)
    expect("something changed", bool(changed))
    # The switch of the bank that boots next comes after that of the others.
    switches = [s["partition"] for s in manifest["steps"] if s["phase"].lower() == "switch"]
    following = [b["partition"] for b in truth["banks"] if b["boots_next"]]
    if set(following) & set(switches):
        expect(f"the bank that boots next is switched last: {switches}", switches[-1] == following[0])
    table(before, after, truth)
    parts = {p["number"]: p for p in truth["partitions"]}
    with tempfile.TemporaryDirectory(prefix="judge-") as folder:
        for bank in truth["banks"]:
            treated = bank["partition"] in only
            files = [
                s["file"] for s in bank["states"]
                if treated and ("devices" not in s or any(d["passthrough"] for d in s["devices"]))
            ]  # fmt: skip
            volume(before, after, parts[bank["partition"]], bank, files, folder)
            for told in bank["states"]:
                if told["file"] not in files:
                    continue
                read = [run("mtype", "-i", f"{image}@@{bank['offset']}", f"::/{told['file']}") for image in (before, after)]
                state(*read, told["file"], told, f"bank {bank['partition']}: {told['file']}")


def content(image, offset):
    """esx.conf and the pci_devices rows of the state.tgz, as text."""
    packed = run("mtype", "-i", f"{image}@@{offset}", "::/state.tgz")
    archive, _, _ = layers(packed, "state.tgz", "state.tgz")
    told, contents = members(archive)
    for facts, data in zip(told, contents):
        name = plain_name(facts[0])
        if name == CONF:
            print(data.decode("utf-8", "replace"), end="")
        elif name == STORE:
            for key, row in sorted(rows(data)[0].items()):
                if key[2] == "pci_devices":
                    print(json.dumps(row, sort_keys=True))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    if sys.argv[1] == "digest":
        for path in sys.argv[2:]:
            print(digest(path))
    elif sys.argv[1] == "content":
        content(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "fixed":
        fixed(*sys.argv[2:])
    else:
        sys.exit(__doc__)
    for claim in WRONG:
        print(f"WRONG: {claim}")
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
