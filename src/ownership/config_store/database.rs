//! The database itself: SQLite over bytes in memory, on its guard.
//!
//! The file comes from a medium nobody vouches for. So its header is checked before SQLite sees it,
//! schema code (triggers, views, virtual tables, foreign keys) is off or refused, and one
//! budget of work proportional to the file's size covers everything asked of it.

mod checks;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, params, params_from_iter};

use super::{Cell, Row, RowKey, Step, ValueColumn, header};
use crate::ownership::OwnershipError;

/// Instructions of SQLite's virtual machine granted to any store, and per byte of it.
const BUDGET: u64 = 10_000_000;
const BUDGET_PER_BYTE: u64 = 20;
/// Instructions between two looks at the budget.
const STRIDE: i32 = 10_000;
/// The longest statement of a schema; the real store's longest is under 500 bytes.
const MAX_SQL: i32 = 1 << 20;
/// The columns of table `Config`, as a real 7.0.2 store has them.
const COLUMNS: [&str; 14] = [
    "Component",
    "ConfigGroup",
    "Name",
    "Identifier",
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

/// Component, group and name of a setting.
pub(super) type SchemaName = (String, String, String);

pub(super) struct Database {
    connection: Connection,
    /// The version bytes to put back: an in-memory database cannot be in WAL mode.
    versions: Vec<u8>,
    /// Bytes of text that the rows of a table may hold.
    most_text: usize,
}

/// Text that rows may hold beyond twice the size of the file. What a row holds lies in the file, but for
/// values that are DEFAULTs: those are there once, and are read once for each row.
const TEXT_OF_DEFAULTS: usize = 1 << 20;

/// Text of a table that may still be read.
struct TextLeft(usize);

impl TextLeft {
    fn cell(&mut self, value: ValueRef<'_>) -> Result<Cell, OwnershipError> {
        if let ValueRef::Text(text) = value {
            let left = self.0.checked_sub(text.len());
            self.0 = left.ok_or_else(|| OwnershipError::StoreSchema {
                what: "DEFAULTs of its columns make it many times as long as the file".to_owned(),
            })?;
        }
        Ok(cell(value))
    }
}

impl Database {
    /// Checks the header and hands the bytes to SQLite.
    pub(super) fn open(bytes: &[u8]) -> Result<Database, OwnershipError> {
        header::check(bytes)?;
        let mut image = bytes.to_vec();
        let versions = image.get(header::VERSIONS).unwrap_or_default().to_vec();
        for version in image
            .iter_mut()
            .take(header::VERSIONS.end)
            .skip(header::VERSIONS.start)
        {
            *version = 1;
        }
        let connection = connect(&image).map_err(sqlite("opening the ConfigStore"))?;
        Ok(Database {
            connection,
            versions,
            most_text: bytes
                .len()
                .saturating_mul(2)
                .saturating_add(TEXT_OF_DEFAULTS),
        })
    }

    /// Every row of table `Config`, in the table's order.
    pub(super) fn rows(&self) -> Result<Vec<Row>, OwnershipError> {
        let failed = sqlite("reading table Config");
        let query = format!("SELECT {} FROM main.Config NOT INDEXED", COLUMNS.join(", "));
        let mut statement = self.connection.prepare(&query).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut found = Vec::new();
        let mut left = TextLeft(self.most_text);
        while let Some(row) = rows.next().map_err(failed)? {
            let mut cells = Vec::with_capacity(COLUMNS.len());
            for index in 0..COLUMNS.len() {
                cells.push(left.cell(row.get_ref(index).map_err(failed)?)?);
            }
            let row = row_of(cells).ok_or(OwnershipError::RowKey {
                row: found.len().saturating_add(1),
            })?;
            found.push(row);
        }
        Ok(found)
    }

    /// Every row of a schema store: component, group and name, and the schema as JSON. Rows that
    /// are not text describe nothing.
    pub(super) fn schemas(&self) -> Result<Vec<(SchemaName, String)>, OwnershipError> {
        let failed = sqlite("reading table ConfigSchema");
        let query = "SELECT Component, ConfigGroup, Name, Value FROM main.ConfigSchema NOT INDEXED";
        let mut statement = self.connection.prepare(query).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut found = Vec::new();
        let mut left = TextLeft(self.most_text);
        while let Some(row) = rows.next().map_err(failed)? {
            let mut texts = Vec::with_capacity(4);
            for index in 0..4 {
                if let Cell::Text(text) = left.cell(row.get_ref(index).map_err(failed)?)? {
                    texts.push(text);
                }
            }
            if let Ok([component, group, name, schema]) = <[String; 4]>::try_from(texts) {
                found.push(((component, group, name), schema));
            }
        }
        Ok(found)
    }

    /// Carries out the steps in one transaction, one statement each.
    pub(super) fn apply(&mut self, steps: &[Step<'_>]) -> Result<(), OwnershipError> {
        if steps.iter().any(|step| matches!(step, Step::Insert(_))) {
            self.check_no_other_columns()?;
        }
        let failed = sqlite("changing table Config");
        let transaction = self.connection.transaction().map_err(failed)?;
        for step in steps {
            let (key, changed) = match step {
                Step::Update { old, new } => (&old.key, update(&transaction, old, new)),
                Step::Insert(row) => (&row.key, insert(&transaction, row)),
                Step::Delete(key) => (*key, delete(&transaction, key)),
            };
            let changed = changed.map_err(failed)?;
            if changed != 1 {
                let what = format!("{changed} rows match the key {key}");
                return Err(OwnershipError::UnexpectedChange { what });
            }
        }
        transaction.commit().map_err(failed)
    }

    /// The database as a file again, in the journal mode it came in.
    pub(super) fn into_bytes(mut self) -> Result<Vec<u8>, OwnershipError> {
        let data = self
            .connection
            .serialize("main")
            .map_err(sqlite("writing the ConfigStore"))?;
        let mut bytes = data.to_vec();
        if let Some(versions) = bytes.get_mut(header::VERSIONS) {
            versions.copy_from_slice(&self.versions);
        }
        Ok(bytes)
    }
}

fn connect(image: &[u8]) -> rusqlite::Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    let longest = i32::try_from(image.len()).unwrap_or(i32::MAX);
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, longest.saturating_add(MAX_SQL)),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    let bytes = u64::try_from(image.len()).unwrap_or(u64::MAX);
    let budget = BUDGET.saturating_add(bytes.saturating_mul(BUDGET_PER_BYTE));
    let mut left = budget / u64::from(STRIDE.unsigned_abs());
    connection.progress_handler(
        STRIDE,
        Some(move || {
            left = left.saturating_sub(1);
            left == 0
        }),
    )?;
    connection.deserialize_read_exact("main", image, image.len(), false)?;
    // Nothing may reach a disk, and a page is not rewritten to wipe what was in it.
    connection.execute_batch(
        "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON; PRAGMA secure_delete = OFF; \
         PRAGMA ignore_check_constraints = ON;",
    )?;
    Ok(connection)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Other("text that is not UTF-8".to_owned()),
        },
        ValueRef::Real(_) => Cell::Other("a floating-point number".to_owned()),
        ValueRef::Blob(blob) => Cell::Other(format!("a blob of {} bytes", blob.len())),
    }
}

/// The row made of the cells of [`COLUMNS`]; `None` when its key is not text.
fn row_of(cells: Vec<Cell>) -> Option<Row> {
    let cells: [Cell; COLUMNS.len()] = cells.try_into().ok()?;
    let [component, group, name, identifier, rest @ ..] = cells;
    let [auto_conf, user, vital, cached, desired, rest @ ..] = rest;
    let [modified, created, version, success, revision] = rest;
    let text = |cell| match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    };
    Some(Row {
        key: RowKey {
            component: text(component)?,
            group: text(group)?,
            name: text(name)?,
            identifier: text(identifier)?,
        },
        values: [auto_conf, user, vital, cached, desired],
        modified,
        created,
        version,
        success,
        revision,
    })
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Cell::Null => Ok(ToSqlOutput::Owned(Value::Null)),
            Cell::Text(text) => text.to_sql(),
            Cell::Integer(number) => number.to_sql(),
            // Only changed cells are bound, and none is changed to this.
            Cell::Other(what) => Err(rusqlite::Error::ToSqlConversionFailure(
                what.as_str().into(),
            )),
        }
    }
}

/// The collation is named so that a column declared with another one still matches exactly.
const MATCH_KEY: &str = "WHERE Component = ? COLLATE BINARY AND ConfigGroup = ? COLLATE BINARY \
     AND Name = ? COLLATE BINARY AND Identifier = ? COLLATE BINARY";

fn update(connection: &Connection, old: &Row, new: &Row) -> rusqlite::Result<usize> {
    let mut cells: Vec<(&str, &Cell, &Cell)> = ValueColumn::ALL
        .into_iter()
        .map(|column| (column.as_str(), old.value(column), new.value(column)))
        .collect();
    cells.push(("ModifiedTime", &old.modified, &new.modified));
    cells.push(("Revision", &old.revision, &new.revision));
    cells.retain(|(_, old, new)| old != new);
    let set: Vec<String> = cells
        .iter()
        .map(|(name, ..)| format!("{name} = ?"))
        .collect();
    let RowKey {
        component,
        group,
        name,
        identifier,
    } = &old.key;
    let key: [&dyn ToSql; 4] = [component, group, name, identifier];
    let values = cells
        .iter()
        .map(|(_, _, new)| *new as &dyn ToSql)
        .chain(key);
    connection.execute(
        &format!("UPDATE main.Config SET {} {MATCH_KEY}", set.join(", ")),
        params_from_iter(values),
    )
}

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<usize> {
    let key = &row.key;
    let head: [&dyn ToSql; 4] = [&key.component, &key.group, &key.name, &key.identifier];
    let tail: [&dyn ToSql; 5] = [
        &row.modified,
        &row.created,
        &row.version,
        &row.success,
        &row.revision,
    ];
    let values = row.values.iter().map(|cell| cell as &dyn ToSql);
    connection.execute(
        &format!(
            "INSERT INTO main.Config ({}) VALUES ({})",
            COLUMNS.join(", "),
            ["?"; COLUMNS.len()].join(", ")
        ),
        params_from_iter(head.into_iter().chain(values).chain(tail)),
    )
}

fn delete(connection: &Connection, key: &RowKey) -> rusqlite::Result<usize> {
    connection.execute(
        &format!("DELETE FROM main.Config {MATCH_KEY}"),
        params![key.component, key.group, key.name, key.identifier],
    )
}

/// The point in time as the store writes it: `2021-08-11 07:33:45`, UTC.
pub(super) fn datetime(seconds: u64) -> Result<String, OwnershipError> {
    /// 9999-12-31 23:59:59, the last second SQLite's functions know.
    const LAST: u64 = 253_402_300_799;
    let known = i64::try_from(seconds).ok().filter(|_| seconds <= LAST);
    let known = known.ok_or(OwnershipError::BadTime { seconds })?;
    Connection::open_in_memory()
        .and_then(|connection| {
            connection.query_row("SELECT datetime(?1, 'unixepoch')", [known], |row| {
                row.get(0)
            })
        })
        .map_err(sqlite("writing a time"))
}

fn sqlite(doing: &'static str) -> impl Fn(rusqlite::Error) -> OwnershipError + Copy {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::OperationInterrupted) => {
            OwnershipError::StoreTooMuchWork { doing }
        }
        _ => OwnershipError::Sqlite {
            doing,
            message: error.to_string(),
        },
    }
}
