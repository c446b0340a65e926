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
