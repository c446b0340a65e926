//! Databases that are damaged, or would have SQLite do work of their own.

use super::*;

#[test]
fn a_damaged_header_is_named_by_its_offset() {
    let sound = database("");
    let cases: [(usize, &[u8], &str); 8] = [
        (
            0,
            b"X",
            "at offset 0: it does not begin with `SQLite format 3`",
        ),
        (16, &[0x10, 0x01], "at offset 16: the page size is not"),
        (16, &[0, 0], "at offset 16: the page size is not"),
        (
            18,
            &[3],
            "at offset 18: the format version is neither 1 nor 2",
        ),
        (20, &[255], "pages of 4096"),
        (21, &[65], "at offset 21: the payload fractions"),
        (44, &[0, 0, 0, 9], "at offset 44: the schema format"),
        (
            56,
            &[0, 0, 0, 2],
            "at offset 56: the text encoding is not UTF-8",
        ),
    ];
    for (offset, bytes, message) in cases {
        let mut damaged = sound.clone();
        damaged[offset..offset + bytes.len()].copy_from_slice(bytes);
        if offset == 20 {
            damaged.truncate(sound.len() - 4096);
        }
        let error = ConfigStore::open(damaged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(message), "{error}");
    }
    for length in [0, 99, 100, 4096, sound.len() - 1, sound.len() - 4096] {
        let error = ConfigStore::open(sound[..length].to_vec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{length}: {error}");
    }
    let longer = [sound.as_slice(), &[0; 4096]].concat();
    assert!(matches!(
        ConfigStore::open(longer),
        Err(OwnershipError::StoreSize { .. })
    ));
}

#[test]
fn damage_inside_is_found_before_anything_is_changed() {
    let sound = database("");
    let (root, _) = sqlite3(
        &sound,
        "SELECT rootpage FROM sqlite_schema WHERE name='sqlite_autoindex_Config_1'",
    );
    let page: usize = root.trim().parse().unwrap();
    let mut damaged = sound;
    damaged[page * 4096 - 200..page * 4096].fill(0x41);
    let error = ConfigStore::open(damaged).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .starts_with("the ConfigStore is damaged (before the change)"),
        "{error}"
    );
}

#[test]
fn a_schema_that_is_not_a_config_stores_is_refused_by_name() {
    let rebuilt = |sql: &str| {
        ConfigStore::open(database(&format!(
            "ALTER TABLE Config RENAME TO Other; {sql}"
        )))
    };
    let cases = [
        (
            "CREATE VIEW Config AS SELECT * FROM Other;",
            "`Config` is a view, not a table",
        ),
        ("", "there is no table `Config`"),
        (
            "CREATE VIRTUAL TABLE Config USING fts5(a);",
            "`Config` is a virtual table",
        ),
        (
            "CREATE TABLE Config(Component TEXT);",
            "table Config lacks the column `ConfigGroup`",
        ),
        (
            "CREATE TABLE Config AS SELECT * FROM Other; ALTER TABLE Config DROP COLUMN Revision;",
            "table Config lacks the column `Revision`",
        ),
        (
            "CREATE TABLE Config AS SELECT * FROM Other; ALTER TABLE Config ADD COLUMN x AS (Revision+1);",
            "column `x` is computed by an expression",
        ),
    ];
    for (sql, message) in cases {
        let error = rebuilt(sql).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().ends_with(message), "{error}");
    }
    let twice = "CREATE TABLE Config AS SELECT * FROM Other UNION ALL SELECT * FROM Other WHERE Identifier='0000:00:17.3';";
    assert!(matches!(
        rebuilt(twice),
        Err(OwnershipError::DuplicateRow { .. })
    ));
    let unkeyed =
        "CREATE TABLE Config AS SELECT * FROM Other; UPDATE Config SET Name=NULL WHERE Name='big';";
    assert!(matches!(
        rebuilt(unkeyed),
        Err(OwnershipError::RowKey { .. })
    ));
}

#[test]
fn code_in_the_schema_does_not_run() {
    let hostile = store(
        "CREATE TRIGGER steal AFTER UPDATE ON Config BEGIN DELETE FROM KVTable; END;
         CREATE TABLE child(k REFERENCES KVTable(Key) ON DELETE CASCADE);
         CREATE VIEW forever AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n FROM c;",
    );
    let after = give_back(&hostile).unwrap();
    assert_eq!(
        sqlite3(after.as_bytes(), "SELECT count(*) FROM KVTable").0,
        "2\n"
    );
}

#[test]
fn expressions_in_the_schema_are_refused_or_not_evaluated() {
    let computed = [
        (
            "CREATE INDEX slow ON Config(length(hex(zeroblob(100000))));",
            "index `slow`",
        ),
        (
            "CREATE INDEX slow ON KVTable(Key) WHERE Value LIKE '%m%m%m%m%m%m%m%m%m%x';",
            "index `slow`",
        ),
        (
            "ALTER TABLE KVTable ADD COLUMN slow AS (hex(Value));",
            "column `slow`",
        ),
    ];
    for (sql, what) in computed {
        let error = ConfigStore::open(database(sql)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let message = format!("{what} is computed by an expression");
        assert!(error.to_string().ends_with(&message), "{error}");
    }
    let checked = store(
        "CREATE TABLE slow(a CHECK(printf('%.2000c', 'm') NOT LIKE '%m%m%m%m%m%m%m%m%m%x'));
         PRAGMA ignore_check_constraints = ON; INSERT INTO slow VALUES (1);
         CREATE INDEX plain ON Config(Name);",
    );
    assert!(give_back(&checked).is_ok());
}

#[test]
fn no_single_damaged_byte_makes_a_store_panic_or_an_edit_touch_other_tables() {
    let sound = database("");
    let mut edits = 0;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..400 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut damaged = sound.clone();
        let at = usize::try_from(state >> 8).unwrap() % damaged.len();
        damaged[at] ^= u8::try_from(state & 0xff).unwrap() | 1;
        let others = |bytes: &[u8]| sqlite3(bytes, "SELECT hex(Key), hex(Value) FROM KVTable").0;
        let Ok(store) = ConfigStore::open(damaged.clone()) else {
            continue;
        };
        if store.odd_rows().is_empty()
            && let Ok(edited) = give_back(&store)
        {
            edits += 1;
            assert_eq!(others(edited.as_bytes()), others(&damaged), "byte {at}");
        }
    }
    assert!(edits > 10, "only {edits} damaged stores could be edited");
}

/// An added row would have SQLite evaluate them: minutes in one instruction, or other bytes each
/// time.
#[test]
fn a_default_that_is_an_expression_is_refused_before_anything_is_read() {
    let with = |default: &str| {
        let table = SCHEMA.replace(
            "Revision INTEGER DEFAULT 0,",
            &format!("Revision INTEGER DEFAULT 0, Extra {default},"),
        );
        sqlite3(&[], &table).1
    };
    for default in [
        "DEFAULT (randomblob(8))",
        "DEFAULT (instr(printf('%.30000c','a'),printf('%.20000c','b')))",
        "DEFAULT CURRENT_TIMESTAMP",
        "DEFAULT (datetime(CURRENT_TIMESTAMP))",
    ] {
        let error = ConfigStore::open(with(default)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "bootbank does not know the schema of this ConfigStore: \
             the DEFAULT of column `Extra` is an expression"
        );
    }
    // A column of a later release is kept, and no row is added where it is not known what it
    // should hold.
    for default in ["TEXT", "TEXT DEFAULT ''", "INTEGER DEFAULT -1"] {
        let store = ConfigStore::open(with(default)).unwrap();
        let schemas = SchemaStore::open(&schema_store()).unwrap();
        let key = RowKey::new("esx", "vmkernel", "options", "");
        let row = schemas
            .new_row(&key, &serde_json::json!({"vga": true}))
            .unwrap();
        let error = store
            .edit(&[StoreChange::Add { row: Box::new(row) }], None)
            .unwrap_err();
        assert!(error.to_string().contains("no row can be added"), "{error}");
    }
}

/// A DEFAULT lies in the file once, and is read for each row that was stored without the column.
#[test]
fn long_defaults_do_not_swell_in_memory() {
    let with = |length: usize, rows: usize| {
        let columns = [
            "AutoConfValue",
            "UserValue",
            "VitalValue",
            "CachedValue",
            "DesiredValue",
            "ModifiedTime",
            "CreationTime",
            "Version",
            "Success",
            "Revision",
        ];
        let long = format!("'{}'", "x".repeat(length));
        let added = columns.map(|column| {
            let default = if column == "UserValue" { &long } else { "''" };
            format!("ALTER TABLE Config ADD COLUMN {column} TEXT DEFAULT {default};")
        });
        let sql = format!(
            "CREATE TABLE Config(Component TEXT, ConfigGroup TEXT, Name TEXT, Identifier TEXT);\
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
             INSERT INTO Config SELECT 'esx', 'g', 'n', i FROM n;{}",
            added.concat()
        );
        ConfigStore::open(sqlite3(&[], &sql).1)
    };
    assert_eq!(with(100, 1000).unwrap().rows().len(), 1000);
    let error = with(50_000, 1000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("many times as long as the file"),
        "{error}"
    );
}
