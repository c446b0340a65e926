"""The ConfigStore of 7.x and later: an SQLite file made by the sqlite3 program from SQL text.

Tables, triggers, the rows around the passthrough ones and their shapes are those
of a real 7.0.2 state. No real pci_devices row was seen: their shape follows rows
of the same kind.
"""

import json
import os
import struct
from dataclasses import dataclass

from . import payload
from .tools import utc_text

COLUMNS = ("AutoConfValue", "UserValue", "VitalValue", "CachedValue", "DesiredValue")

SCHEMA = """
CREATE TABLE DesiredUserConfig(Component TEXT,ConfigGroup TEXT,Name TEXT,Value TEXT,Identifier TEXT NOT NULL DEFAULT '',
 Version TEXT DEFAULT '',Success BOOLEAN DEFAULT 1,PRIMARY KEY(Component, ConfigGroup, Name, Identifier));
CREATE TABLE DefaultConfig(Component TEXT,ConfigGroup TEXT,Name TEXT,Value TEXT,Identifier TEXT NOT NULL DEFAULT '',
 Source INTEGER,ModifiedTime DATETIME DEFAULT (datetime(CURRENT_TIMESTAMP)),CreationTime DATETIME,Version TEXT DEFAULT '',
 Success BOOLEAN DEFAULT 1,PRIMARY KEY(Component, ConfigGroup, Name, Identifier));
CREATE TABLE KVTable(Key TEXT, Value TEXT, ModifiedTime DATETIME DEFAULT (datetime(CURRENT_TIMESTAMP)),
 CreationTime DATETIME,PRIMARY KEY(Key));
CREATE TABLE UpgradeStatus(Component TEXT,ConfigGroup TEXT,Name TEXT,Value TEXT,Identifier TEXT NOT NULL DEFAULT '',
 ModifiedTime DATETIME DEFAULT (datetime(CURRENT_TIMESTAMP)),CreationTime DATETIME,Version TEXT DEFAULT '',
 Success BOOLEAN DEFAULT 1, LibName TEXT, PRIMARY KEY(LibName));
CREATE TABLE Config(Component TEXT,ConfigGroup TEXT,Name TEXT,Identifier TEXT NOT NULL DEFAULT '',
 ModifiedTime DATETIME DEFAULT (datetime(CURRENT_TIMESTAMP)),CreationTime DATETIME,Version TEXT DEFAULT '',
 Success BOOLEAN DEFAULT 1,AutoConfValue TEXT, UserValue TEXT, VitalValue TEXT, CachedValue TEXT, DesiredValue TEXT,
 Revision INTEGER DEFAULT 0, PRIMARY KEY(Component, ConfigGroup, Name, Identifier));
CREATE TRIGGER updateModifiedTime AFTER UPDATE ON Config BEGIN
 UPDATE Config SET ModifiedTime=(datetime(CURRENT_TIMESTAMP)) WHERE Name=NEW.Name and Component=NEW.Component
 and ConfigGroup=New.ConfigGroup and Identifier=NEW.Identifier; END;
CREATE TRIGGER updateRevision AFTER UPDATE OF AutoConfValue,UserValue,VitalValue,CachedValue ON Config BEGIN
 UPDATE Config SET Revision=OLD.Revision + 1 WHERE Name=NEW.Name and Component=NEW.Component
 and ConfigGroup=New.ConfigGroup and Identifier=NEW.Identifier; END;
""".replace("\n ", " ")  # each statement is one line in a real file

# Which library wrote the file last, bytes 96 to 99 of the header: as in the real
# sample, so that the bytes do not follow the release of the sqlite3 program.
SQLITE_VERSION = 0x002E47A8


@dataclass(frozen=True)
class Row:
    """A pci_devices row. `shape` says which columns hold what; `alias` adds device_data rows."""

    sbdf: str
    passthrough: bool
    shape: str = "user"
    alias: str = ""

    @property
    def owner(self):
        return "OWNER_PASSTHRU" if self.passthrough else "OWNER_VMKERNEL"

    def values(self):
        """column -> JSON text"""
        bus = {"sbdf": self.sbdf, "dl_bus_address": f"p{self.sbdf}"}
        own = {"sbdf": self.sbdf, "owner": self.owner}
        both = {"dl_bus_address": f"p{self.sbdf}", "owner": self.owner, "sbdf": self.sbdf}
        return {
            "user": {"UserValue": _compact(own), "VitalValue": _compact(bus)},
            "user-swapped": {
                "UserValue": _compact({"owner": self.owner, "sbdf": self.sbdf}),
                "VitalValue": _compact({"dl_bus_address": f"p{self.sbdf}", "sbdf": self.sbdf}),
            },
            "user-and-vital": {"UserValue": _compact(own), "VitalValue": _compact(both)},
            "vital": {"VitalValue": _compact(both)},
            "auto": {"AutoConfValue": _compact(own), "VitalValue": _compact(bus)},
            "cached": {"UserValue": _compact(own), "CachedValue": _compact(own), "VitalValue": _compact(bus)},
            "desired": {"UserValue": _compact(own), "DesiredValue": _compact(own), "VitalValue": _compact(bus)},
            "spaces": {
                "UserValue": f'{{ "owner" : "{self.owner}",\n  "sbdf":"{self.sbdf}" }}',
                "VitalValue": _compact(bus),
            },
            "label": {
                "UserValue": _compact(
                    {"hardware_label": 'Slot "A" \\ owner', "max_vfs": 7, "owner": self.owner, "sbdf": self.sbdf}
                ),
                "VitalValue": _compact(bus),
            },
            # A row without an owner: the default, VMkernel, holds.
            "no-owner": {"VitalValue": _compact(bus)},
        }[self.shape]


def _compact(value):
    return json.dumps(value, separators=(",", ":"))


def _identifier(seed):
    """Like `52 a8 1c 96 98 ba 5a f8-18 4f 73 14 8d 33 d1 55`."""
    raw = payload.random_bytes(seed, 16).hex(" ")
    return f"{raw[:23]}-{raw[24:]}"


def _config(seed, when, rows):
    """(Component, ConfigGroup, Name, Identifier, Version, Success, values) of every row."""
    for ruleset in ("sshServer", "dhcp", "ntpClient", "vMotion", "NFC", "syslog", "snmp", "faultTolerance"):
        enabled = payload.number(f"{seed}/{ruleset}", 2) == 1
        yield ("network", "firewall_rule_sets", ruleset, "1.0", 1,
               {"UserValue": _compact({"ruleset": ruleset, "enabled": enabled})})  # fmt: skip
    mac = payload.random_bytes(f"{seed}/mac", 3).hex(":")
    yield ("network", "nics", "vmnic0", "1.0", 1,
           {"UserValue": '{"name":"vmnic0"}',
            "VitalValue": _compact({"name": "vmnic0", "mac": f"00:0c:29:{mac}"})})  # fmt: skip
    yield ("system", "keyboard", "", "proposed", 1, {"UserValue": '{"layout":"US Default"}'})
    # A row of several KiB goes to overflow pages.
    levels = [{"log_name": f"Invented{n}", "log_level": "verbose", "prefix": n % 2 == 0} for n in range(120)]
    yield ("services", "hostd", "", "proposed", 1, {"UserValue": _compact({"level_list": levels})})
    yield ("system", "device_data", _identifier(f"{seed}/slot"), "1.0", 0,
           {"VitalValue": '{"alias":"vmnic0","alias_pending":false,"bus_type":"pci","bus_address":"m01000b00"}'})  # fmt: skip
    for row in rows:
        yield ("hardware", "pci_devices", row.sbdf, "proposed", 1, row.values())
        if row.alias:
            for kind, address in (("pci", f"p{row.sbdf}"), ("logical", f"pci#p{row.sbdf}#0")):
                value = {"alias": row.alias, "alias_pending": False, "bus_type": kind, "bus_address": address}
                yield ("system", "device_data", _identifier(f"{seed}/{row.sbdf}/{kind}"), "1.0", 0,
                       {"VitalValue": _compact(value)})  # fmt: skip


def _sql(seed, when, rows, boot_uuid, wal):
    def quoted(text):
        return "NULL" if text is None else "'" + str(text).replace("'", "''") + "'"

    lines = ["PRAGMA page_size=4096;", "PRAGMA encoding='UTF-8';", "PRAGMA user_version=2;", "BEGIN;", SCHEMA]
    created = utc_text(when - 3000000)
    for key, value in (("APPLY_BOOT", "false"), ("BOOT_FS_UUID", boot_uuid.hex()), ("BOOT_MODE", "0"), ("IS_BOOT", "")):
        lines.append(f"INSERT INTO KVTable VALUES({quoted(key)},{quoted(value)},{quoted(created)},NULL);")
    lines.append(
        "INSERT INTO DefaultConfig VALUES('esx','authorization','permissions',"
        f"'{{\"access_mode\":\"Admin\",\"principal\":\"root\"}}',{quoted(_identifier(seed))},NULL,{quoted(created)},NULL,"
        "'proposed',1);"
    )
    for index, (group, name, identifier, version, success, values) in enumerate(_config(seed, when, rows)):
        fields = ["esx", group, name, identifier, utc_text(when - 500 + index), created, version]
        cells = [quoted(f) for f in fields] + [str(success)] + [quoted(values.get(c)) for c in COLUMNS]
        lines.append(f"INSERT INTO Config VALUES({','.join(cells)},{payload.number(f'{seed}/rev{index}', 90)});")
    lines.append("COMMIT;")
    if wal:
        lines.append("PRAGMA journal_mode=WAL;")
    return "\n".join(lines) + "\n"


def make(tools, seed, when, rows, boot_uuid, stage, wal=False):
    """The bytes of a ConfigStore with these rows."""
    path = os.path.join(stage, "current-store-1")
    tools.run("sqlite3", "-batch", "-bail", path, stdin=_sql(seed, when, rows, boot_uuid, wal).encode())
    if tools.run("sqlite3", "-batch", f"file:{path}?immutable=1", "PRAGMA integrity_check;").strip() != b"ok":
        raise ValueError("sqlite3 finds its own file damaged")
    with open(path, "rb") as store:
        data = bytearray(store.read())
    for leftover in (path, f"{path}-wal", f"{path}-shm"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    struct.pack_into(">I", data, 96, SQLITE_VERSION)
    if wal != (data[18] == 2):
        raise ValueError("the journal mode is not the one asked for")
    return bytes(data)
