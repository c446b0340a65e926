//! The ConfigStore: the SQLite database ESXi 7.0 U2 and later keep their configuration in; 7.0 and
//! 7.0 U1 have one with a few keys.
//!
//! Table `Config` holds one row per setting: a key of four parts, five value columns of compact
//! JSON, and bookkeeping. Table, triggers and the rows of `device_data` were seen in a real
//! 7.0.2 state, the schema of `pci_devices` too; the `pci_devices` rows themselves
//! are inferred from it and from rows of the same kind.
//!
//! An edit is worked out on the rows as values, carried out by SQLite with one statement a row and
//! the host's triggers off, and then proved: the result is opened afresh, its rows must be the
//! intended ones, and pages that belong to other tables must not have changed. Bytes in,
//! bytes out; nothing here touches a file or the clock.

mod database;
mod defaults;
mod header;
mod pci_devices;
mod row_note;
mod schema;
mod schema_store;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::{Alias, Owner, OwnershipError};
use database::Database;
pub use row_note::RowNote;
pub use schema_store::{SchemaStore, SecretTypes};

/// A ConfigStore that passed every check. Edits return a new one and leave this as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStore {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    /// From the rows; whoever asks for the devices asks for these as well.
    aliases: Vec<Alias>,
}

/// What names a row: component, group and key as `configstorecli -c -g -k` take them, and the
/// instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// `esx`.
    pub component: String,
    /// `hardware`.
    pub group: String,
    /// `pci_devices`.
    pub name: String,
    /// `0000:00:1a.7`; empty for settings there is one of.
    pub identifier: String,
}

impl RowKey {
    /// Whether another key is of the same setting, whatever its identifier.
    pub fn is_of_same_setting(&self, other: &RowKey) -> bool {
        let own = (&self.component, &self.group, &self.name);
        own == (&other.component, &other.group, &other.name)
    }

    /// The key of these four parts.
    pub fn new(component: &str, group: &str, name: &str, identifier: &str) -> RowKey {
        RowKey {
            component: component.to_owned(),
            group: group.to_owned(),
            name: name.to_owned(),
            identifier: identifier.to_owned(),
        }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.component, self.group, self.name)?;
        if !self.identifier.is_empty() {
            write!(f, "/{}", self.identifier)?;
        }
        Ok(())
    }
}

/// The content of one column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// UTF-8 text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// Something no host writes there, by what it is: `a blob of 2 bytes`.
    Other(String),
}

impl Cell {
    /// The text, where the cell holds any. An empty text counts as none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// What the cell holds where that is no text, in words.
    pub fn not_text(&self) -> Option<String> {
        match self {
            Cell::Null | Cell::Text(_) => None,
            // Which one may be a secret.
            Cell::Integer(_) => Some("an integer".to_owned()),
            Cell::Other(what) => Some(what.clone()),
        }
    }
}

/// The columns that hold values, in the table's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueColumn {
    /// `AutoConfValue`.
    AutoConf,
    /// `UserValue`.
    User,
    /// `VitalValue`.
    Vital,
    /// `CachedValue`.
    Cached,
    /// `DesiredValue`.
    Desired,
}

impl ValueColumn {
    /// All of them, in the table's order.
    pub const ALL: [ValueColumn; 5] = [
        ValueColumn::AutoConf,
        ValueColumn::User,
        ValueColumn::Vital,
        ValueColumn::Cached,
        ValueColumn::Desired,
    ];

    /// The column's name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueColumn::AutoConf => "AutoConfValue",
            ValueColumn::User => "UserValue",
            ValueColumn::Vital => "VitalValue",
            ValueColumn::Cached => "CachedValue",
            ValueColumn::Desired => "DesiredValue",
        }
    }

    /// Whether the host's trigger counts a change of this column as a revision.
    fn counts_as_revision(self) -> bool {
        self != ValueColumn::Desired
    }
}

/// One row of table `Config`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The row's key.
    pub key: RowKey,
    /// `AutoConfValue` to `DesiredValue`, in the order of [`ValueColumn::ALL`].
    pub values: [Cell; 5],
    /// `ModifiedTime`, UTC as `2021-08-11 07:33:45`.
    pub modified: Cell,
    /// `CreationTime`, likewise.
    pub created: Cell,
    /// `Version` of the row's schema.
    pub version: Cell,
    /// `Success`.
    pub success: Cell,
    /// `Revision`.
    pub revision: Cell,
}

impl Row {
    /// The content of one value column.
    pub fn value(&self, column: ValueColumn) -> &Cell {
        let [auto_conf, user, vital, cached, desired] = &self.values;
        match column {
            ValueColumn::AutoConf => auto_conf,
            ValueColumn::User => user,
            ValueColumn::Vital => vital,
            ValueColumn::Cached => cached,
            ValueColumn::Desired => desired,
        }
    }

    fn value_mut(&mut self, column: ValueColumn) -> &mut Cell {
        let [auto_conf, user, vital, cached, desired] = &mut self.values;
        match column {
            ValueColumn::AutoConf => auto_conf,
            ValueColumn::User => user,
            ValueColumn::Vital => vital,
            ValueColumn::Cached => cached,
            ValueColumn::Desired => desired,
        }
    }

    fn bad_value(&self, column: ValueColumn, why: String) -> OwnershipError {
        OwnershipError::RowValue {
            row: self.key.to_string(),
            column: column.as_str(),
            why,
        }
    }
}

/// One thing to be changed in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreChange {
    /// Set the owner of the `pci_devices` row with this Identifier, in every column that holds an
    /// owner. In a row that holds none, [`Owner::Passthru`] is put into `UserValue` and
    /// [`Owner::Vmkernel`], the schema's default, changes nothing.
    SetOwner {
        /// The row's Identifier.
        identifier: String,
        /// The owner it is to have.
        owner: Owner,
    },
    /// Add a row, made by [`SchemaStore::new_row`]. Its times become the time of the edit, or
    /// where none is given that of the row of the store that was modified last.
    Add {
        /// The row.
        row: Box<Row>,
    },
    /// Set one value column of a row, to NULL or to this JSON text.
    SetValue {
        /// The row.
        key: RowKey,
        /// The column.
        column: ValueColumn,
        /// The new content.
        json: Option<String>,
    },
    /// Delete a row. The host makes a `pci_devices` row again at boot.
    Delete {
        /// The row.
        key: RowKey,
    },
}

/// Whether the content of a file beside a store leaves SQLite nothing to do.
pub(crate) type IsEmpty = fn(&[u8]) -> bool;

/// The files that make a store called `name` another than it looks, each with whether its content leaves
/// SQLite nothing to do: a write-ahead log holds changes that are not in the store yet, and a rollback journal
/// what an unfinished change is to be undone by. A log without a frame has none, and neither has a journal
/// that is empty or whose header was zeroed at the end of the change (SQLite's file format, 3 and 4.1).
pub(crate) fn sidecars(name: &str) -> [(String, IsEmpty); 2] {
    const WAL_HEADER: usize = 32;
    const JOURNAL_HEADER: usize = 28;
    [
        (format!("{name}-wal"), |wal| wal.len() <= WAL_HEADER),
        (format!("{name}-journal"), |journal| {
            let mut header = journal.iter().take(JOURNAL_HEADER);
            header.all(|&byte| byte == 0)
        }),
    ]
}

impl ConfigStore {
    /// Checks the database and reads table `Config`.
    ///
    /// # Errors
    /// A damaged header or size, a failed integrity check, a schema other than a ConfigStore's, a
    /// row without a proper key: each its own [`OwnershipError`]. Value columns are judged when
    /// they are used.
    pub fn open(bytes: Vec<u8>) -> Result<ConfigStore, OwnershipError> {
        ConfigStore::open_checked(bytes, "before")
    }

    fn open_checked(bytes: Vec<u8>, when: &'static str) -> Result<ConfigStore, OwnershipError> {
        let database = Database::open(&bytes)?;
        database.check_schema()?;
        database.check_integrity(when)?;
        let rows = database.rows()?;
        let mut keys = HashSet::new();
        if let Some(twice) = rows.iter().find(|row| !keys.insert(&row.key)) {
            return Err(OwnershipError::DuplicateRow {
                row: twice.key.to_string(),
            });
        }
        let aliases = pci_devices::aliases(&rows);
        Ok(ConfigStore {
            bytes,
            rows,
            aliases,
        })
    }

    /// The database as it is to be written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Consumes the store and returns the database.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Every row of table `Config`, in the table's order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row with this key.
    pub fn row(&self, key: &RowKey) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == *key)
    }

    /// The store with `changes` made, in their order.
    ///
    /// A changed row is treated as the host's own triggers would: its Revision grows by one. Its
    /// ModifiedTime becomes `time` (seconds since 1970, UTC) where one is given and else stays, for
    /// there is no clock here. With nothing to change the result equals `self`, byte for byte.
    ///
    /// # Errors
    /// A row that is not there, holds values that cannot be edited safely, or cannot be made; a
    /// result that is not exactly the intended one.
    pub fn edit(
        &self,
        changes: &[StoreChange],
        time: Option<u64>,
    ) -> Result<ConfigStore, OwnershipError> {
        let time = time.map(database::datetime).transpose()?;
        let mut wanted: BTreeMap<RowKey, Row> = self
            .rows
            .iter()
            .map(|row| (row.key.clone(), row.clone()))
            .collect();
        for change in changes {
            make(change, &mut wanted, time.as_deref())?;
        }
        for old in &self.rows {
            if let Some(new) = wanted.get_mut(&old.key).filter(|new| *new != old) {
                keep_the_books(old, new, time.as_deref());
            }
        }
        let steps = self.steps_to(&wanted);
        if steps.is_empty() {
            return Ok(self.clone());
        }
        let mut database = Database::open(&self.bytes)?;
        let foreign = database.foreign_pages()?;
        database.apply(&steps)?;
        let bytes = database.into_bytes()?;
        header::check_foreign_pages(&self.bytes, &bytes, &foreign)?;
        let edited = ConfigStore::open_checked(bytes, "after")?;
        let as_intended = edited.rows.len() == wanted.len()
            && edited
                .rows
                .iter()
                .all(|row| wanted.get(&row.key) == Some(row));
        if !as_intended {
            return Err(OwnershipError::UnexpectedChange {
                what: "rows of table Config are not the intended ones".to_owned(),
            });
        }
        Ok(edited)
    }

    /// One step for each row that `wanted` has otherwise.
    fn steps_to<'a>(&'a self, wanted: &'a BTreeMap<RowKey, Row>) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let mut known = HashSet::new();
        for old in &self.rows {
            known.insert(&old.key);
            match wanted.get(&old.key) {
                None => steps.push(Step::Delete(&old.key)),
                Some(new) if new != old => steps.push(Step::Update { old, new }),
                Some(_) => {}
            }
        }
        let added = wanted.values().filter(|row| !known.contains(&row.key));
        steps.extend(added.map(Step::Insert));
        steps
    }
}

/// One statement, on one row.
enum Step<'a> {
    Update { old: &'a Row, new: &'a Row },
    Insert(&'a Row),
    Delete(&'a RowKey),
}

/// Does to a changed row what the triggers updateRevision and updateModifiedTime do.
fn keep_the_books(old: &Row, new: &mut Row, time: Option<&str>) {
    let revised = ValueColumn::ALL
        .into_iter()
        .any(|column| column.counts_as_revision() && old.value(column) != new.value(column));
    if let (true, Cell::Integer(revision)) = (revised, &mut new.revision) {
        *revision = revision.saturating_add(1);
    }
    if let Some(time) = time {
        new.modified = Cell::Text(time.to_owned());
    }
}

fn make(
    change: &StoreChange,
    rows: &mut BTreeMap<RowKey, Row>,
    time: Option<&str>,
) -> Result<(), OwnershipError> {
    let missing = |key: &RowKey| OwnershipError::NoSuchRow {
        row: key.to_string(),
    };
    match change {
        StoreChange::SetOwner { identifier, owner } => {
            let key = RowKey::of_pci_device(identifier);
            let row = rows.get_mut(&key).ok_or_else(|| missing(&key))?;
            pci_devices::set_owner(row, *owner)
        }
        StoreChange::Add { row } => {
            let mut row = Row::clone(row);
            let newest = rows.values().filter_map(|row| row.modified.text()).max();
            let made = time.or(newest).map(str::to_owned);
            row.modified = made.clone().map_or(Cell::Null, Cell::Text);
            row.created = made.map_or(Cell::Null, Cell::Text);
            match rows.insert(row.key.clone(), row) {
                None => Ok(()),
                Some(old) => Err(OwnershipError::RowExists {
                    row: old.key.to_string(),
                }),
            }
        }
        StoreChange::SetValue { key, column, json } => {
            let row = rows.get_mut(key).ok_or_else(|| missing(key))?;
            if let Some(Err(error)) = json
                .as_deref()
                .map(serde_json::from_str::<serde::de::IgnoredAny>)
            {
                return Err(row.bad_value(*column, format!("would not be JSON: {error}")));
            }
            *row.value_mut(*column) = json.clone().map_or(Cell::Null, Cell::Text);
            Ok(())
        }
        StoreChange::Delete { key } => match rows.remove(key) {
            Some(_) => Ok(()),
            None => Err(missing(key)),
        },
    }
}

#[cfg(test)]
mod tests;
