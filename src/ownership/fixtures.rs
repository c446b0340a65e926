//! Databases for tests, made and read by the sqlite3 program.

use std::fs;
use std::process::Command;

/// Tables and triggers as a real 7.0.2 host has them.
pub(crate) const SCHEMA: &str = "
PRAGMA page_size = 4096; PRAGMA user_version = 2;
CREATE TABLE KVTable(Key TEXT, Value TEXT, PRIMARY KEY(Key));
CREATE TABLE Config(Component TEXT,ConfigGroup TEXT,Name TEXT,Identifier TEXT NOT NULL DEFAULT '',
  ModifiedTime DATETIME DEFAULT (datetime(CURRENT_TIMESTAMP)),CreationTime DATETIME,Version TEXT DEFAULT '',
  Success BOOLEAN DEFAULT 1,AutoConfValue TEXT, UserValue TEXT, VitalValue TEXT, CachedValue TEXT,
  DesiredValue TEXT, Revision INTEGER DEFAULT 0, PRIMARY KEY(Component, ConfigGroup, Name, Identifier));
CREATE TRIGGER updateModifiedTime AFTER UPDATE ON Config BEGIN
  UPDATE Config SET ModifiedTime=(datetime(CURRENT_TIMESTAMP)) WHERE Name=NEW.Name and
  Component=NEW.Component and ConfigGroup=New.ConfigGroup and Identifier=NEW.Identifier; END;
CREATE TRIGGER updateRevision AFTER UPDATE OF AutoConfValue,UserValue,VitalValue,CachedValue ON Config BEGIN
  UPDATE Config SET Revision=OLD.Revision + 1 WHERE Name=NEW.Name and Component=NEW.Component and
  ConfigGroup=New.ConfigGroup and Identifier=NEW.Identifier; END;
INSERT INTO KVTable VALUES ('note', printf('%.3000c', 'k')), ('more', printf('%.3000c', 'm'));
";

/// Runs the sqlite3 program on `bytes` and returns its output and the database afterwards.
pub(crate) fn sqlite3(bytes: &[u8], sql: &str) -> (String, Vec<u8>) {
    sqlite3_in_mode("list", bytes, sql)
}

pub(crate) fn sqlite3_in_mode(mode: &str, bytes: &[u8], sql: &str) -> (String, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fs::write(&path, bytes).unwrap();
    let output = Command::new("sqlite3")
        .args(["-batch", "-bail", &format!("-{mode}")])
        .arg(&path)
        .arg(sql)
        .output()
        .expect("these tests need the sqlite3 program");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (
        String::from_utf8(output.stdout).unwrap(),
        fs::read(&path).unwrap(),
    )
}

/// Schemas in the manner of the real ones of 7.0.2, shortened.
const SCHEMAS: [(&str, &str, &str); 6] = [
    (
        "hardware",
        "pci_devices",
        r#"{"type":"array","instanceId":"sbdf","configVersion":"proposed",
        "defaults":{"pci_devices":{"owner":"OWNER_VMKERNEL"}},"items":{"type":"object",
        "additionalProperties":false,"required":["sbdf","dl_bus_address"],"properties":{
        "owner":{"enum":["OWNER_PASSTHRU","OWNER_VMKERNEL"],"type":"string"},
        "dl_bus_address":{"vital":true,"type":"string"},"hardware_label":{"type":"string"},
        "sbdf":{"instanceId":true,"minLength":12,"type":"ID","maxLength":12},"max_vfs":{"type":"long"}}}}"#,
    ),
    (
        "vmkernel",
        "options",
        r#"{"type":"object","additionalProperties":false,"required":[],"defaults":{},
        "configVersion":"proposed","properties":{"vga":{"type":"boolean"},"max_VMs":{"type":"long"}}}"#,
    ),
    (
        "authentication",
        "user_accounts",
        r#"{"type":"array","instanceId":"name","configVersion":"proposed",
        "defaults":{},"items":{"additionalProperties":false,"type":"object",
        "required":["name","uid","description","last_password_change"],"properties":{
        "password_hash":{"pattern":"^[$][6][$][a-zA-Z0-9/.]+[$][a-zA-Z0-9/.]+[$]?","type":"string"},
        "last_password_change":{"vital":true,"type":"long"},"uid":{"vital":true,"type":"long"},
        "name":{"instanceId":true,"pattern":"^[a-zA-Z_][a-zA-Z0-9_-]*[$]?","type":"string"},
        "description":{"type":"string","pattern":"[^:|\\n]*"}}}}"#,
    ),
    (
        "system",
        "device_data",
        r#"{"type":"array","instanceId":"cs_generated_id","vital":true,"items":{"type":"object",
        "vital":true,"properties":{"alias":{"type":"string"},"cs_generated_id":{"instanceId":true,
        "storeSpecific":true,"type":"string"}}}}"#,
    ),
    (
        "network",
        "vmknics",
        r#"{"type":"array","instanceId":"device","configVersion":"1.0",
        "defaults":{"vmknics":{"kind":"NIC","ip":{"mtu":1500}}},"items":{"type":"object","additionalProperties":false,
        "required":["device","kind"],"properties":{"device":{"type":"ID"},"kind":{"type":"string"},
        "mac":{"vital":true,"type":"string"},"bound":{"cached":true,"type":"boolean"},
        "ip":{"type":"object","required":["mtu"],"properties":{"mtu":{"type":"long"},
          "lease":{"cached":true,"type":"string"}}},
        "tags":{"type":"array","uniqueItems":true,"items":{"type":"string"}},
        "text":{"type":"string","optionDependency":{"name":"kind","value":["TEXT"]}},
        "routes":{"type":"array","items":{"type":"object","properties":{"cs_generated_id":{"type":"string"}}}}}}}"#,
    ),
    (
        "files",
        "ntp_conf",
        r#"{"type":"file","path":"/etc/ntp.conf"}"#,
    ),
];

/// A schema store with the schemas above.
pub(crate) fn schema_store() -> Vec<u8> {
    let mut sql = "CREATE TABLE ConfigSchema(VibId TEXT,Component TEXT,ConfigGroup TEXT,Name TEXT,Value TEXT,
        Version TEXT DEFAULT '',Success BOOLEAN DEFAULT 1,PRIMARY KEY(Component, ConfigGroup, Name));"
        .to_owned();
    for (group, name, schema) in SCHEMAS {
        sql += &format!(
            "INSERT INTO ConfigSchema VALUES('vib','esx','{group}','{name}','{schema}','1',1);"
        );
    }
    sqlite3(&[], &sql).1
}
