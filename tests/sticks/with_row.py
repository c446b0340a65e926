#!/usr/bin/env python3
"""Adds a row for one passed-through device to the ConfigStore of the encrypted state.tgz of
banks, the way a host would: sqlite3 inserts it, tarfile packs, `cryptography` encrypts anew.

    with_row.py IMAGE ADDRESS BANK_OFFSET...
"""

import gzip
import io
import os
import sqlite3
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import judge  # noqa: E402


def with_row(store, address):
    database = sqlite3.connect(":memory:")
    database.deserialize(store)
    database.execute(
        "INSERT INTO Config (Component, ConfigGroup, Name, Identifier, Version, UserValue, VitalValue)"
        " VALUES ('esx', 'hardware', 'pci_devices', ?, 'proposed', ?, ?)",
        (
            address,
            f'{{"sbdf":"{address}","owner":"OWNER_PASSTHRU"}}',
            f'{{"sbdf":"{address}","dl_bus_address":"p{address}"}}',
        ),
    )
    database.commit()
    return database.serialize()


def repacked(archive, name, content):
    """The archive with another content of one member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as new:
        for member in old:
            data = old.extractfile(member).read()
            if judge.plain_name(member.name) == name:
                data = content
                member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return out.getvalue()


def sealed_anew(sealed, info, data):
    """The envelope around other data, with the same header but for the nonce."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = judge.key_of(info)
    nonce_at = sealed.index(b"vmware.iv\0") + 18
    nonce = sealed[nonce_at : nonce_at + 4] + b"with row"
    header = sealed[:nonce_at] + nonce + sealed[nonce_at + 12 : 4096]
    padding = -len(data) % 4096
    last = b"DataTransformCryptoFooter".ljust(504, b"\0") + padding.to_bytes(4, "little") + (2).to_bytes(4, "little")
    plain = data + bytes(padding) + bytes(4096 - 512) + last
    body = AESGCM(key).encrypt(nonce, plain, header + b"ESXConfiguration")
    footer = bytearray(sealed[-4096:])
    footer[32:48] = body[-16:]
    return header + body[:-16] + bytes(footer)


def main():
    image, address, *offsets = sys.argv[1:]
    for offset in offsets:
        at = f"{image}@@{offset}"
        outer = judge.unpacked(judge.run("mtype", "-i", at, "::/state.tgz"), "state.tgz")
        names, contents = judge.members(outer)
        parts = {judge.plain_name(facts[0]): data for facts, data in zip(names, contents)}
        envelope = judge.open_envelope(parts["local.tgz.ve"], parts["encryption.info"])
        local = judge.unpacked(envelope["data"], "local.tgz")
        names, contents = judge.members(local)
        store = next(data for facts, data in zip(names, contents) if judge.plain_name(facts[0]) == judge.STORE)
        local = repacked(local, judge.STORE, with_row(store, address))
        packed = gzip.compress(local, mtime=0)
        sealed = sealed_anew(parts["local.tgz.ve"], parts["encryption.info"], packed)
        with tempfile.NamedTemporaryFile() as file:
            file.write(gzip.compress(repacked(outer, "local.tgz.ve", sealed), mtime=0))
            file.flush()
            judge.run("mcopy", "-o", "-i", at, file.name, "::/state.tgz")
    for claim in judge.WRONG:
        print(f"WRONG: {claim}")
    return 1 if judge.WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
