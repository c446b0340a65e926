//! Why an esx.conf or a ConfigStore could not be read or changed.

use thiserror::Error;

use crate::error::ErrorKind;

/// Why an esx.conf or a ConfigStore could not be read or changed. Nothing has been altered:
/// every edit makes a new value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum OwnershipError {
    /// esx.conf is larger than any host writes.
    #[error("esx.conf is {size} bytes long, more than the limit of {limit}")]
    ConfTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A key that esx.conf cannot hold.
    #[error("`{key}` cannot be an esx.conf key: {why}")]
    BadKey {
        /// The key, shortened.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value that esx.conf cannot hold: the format has no escapes.
    #[error("the value for `{key}` cannot be written: {why}")]
    BadValue {
        /// The key.
        key: String,
        /// What is wrong with the value.
        why: &'static str,
    },
    /// No line has this key.
    #[error("esx.conf has no line `{key}`")]
    NoSuchKey {
        /// The key.
        key: String,
    },
    /// A line has this key, but not in the exact form, so what ESXi makes of it is not known.
    #[error("line {line} of esx.conf names `{key}` but {why}")]
    OddLine {
        /// The key.
        key: String,
        /// Line number, from 1.
        line: usize,
        /// In which way, as the end of the sentence.
        why: &'static str,
    },
    /// A device without a line is to be set, and the file's other lines do not tell how to write
    /// its address.
    #[error("esx.conf does not show how to write {address}: {why}")]
    NoSpelling {
        /// The address as esxcli writes it.
        address: String,
        /// Why not.
        why: &'static str,
    },
    /// The file is not a SQLite database, or its header contradicts itself.
    #[error("the ConfigStore has a damaged SQLite header at offset {offset}: {why}")]
    StoreHeader {
        /// Byte offset of the field.
        offset: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The file is shorter or longer than its header says.
    #[error(
        "the ConfigStore is {size} bytes long, but its header says {pages} pages of {page_size}"
    )]
    StoreSize {
        /// Size in bytes.
        size: usize,
        /// Pages by the header.
        pages: u32,
        /// Bytes per page.
        page_size: u32,
    },
    /// The store is larger than this program reads.
    #[error("the ConfigStore is {size} bytes long, more than the limit of {limit}")]
    StoreTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The store needs more work than any sound one of its size.
    #[error("the ConfigStore needs too much work for its size while {doing}")]
    StoreTooMuchWork {
        /// What was being done.
        doing: &'static str,
    },
    /// SQLite's own check found damage.
    #[error("the ConfigStore is damaged ({when} the change): {finding}")]
    StoreIntegrity {
        /// `before` or `after`.
        when: &'static str,
        /// The first finding of `PRAGMA integrity_check`.
        finding: String,
    },
    /// SQLite reported an error.
    #[error("SQLite failed while {doing}: {message}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// SQLite's message.
        message: String,
    },
    /// The database holds something a ConfigStore does not.
    #[error("bootbank does not know the schema of this ConfigStore: {what}")]
    StoreSchema {
        /// What was met.
        what: String,
    },
    /// A row's key is not text.
    #[error("row {row} of table Config has a key column that is not UTF-8 text")]
    RowKey {
        /// Position of the row in the table, from 1.
        row: usize,
    },
    /// Two rows have the same key.
    #[error("table Config holds row {row} twice")]
    DuplicateRow {
        /// The row's key.
        row: String,
    },
    /// No such row.
    #[error("the ConfigStore has no row {row}")]
    NoSuchRow {
        /// The row's key.
        row: String,
    },
    /// The row to be added exists.
    #[error("the ConfigStore already has a row {row}")]
    RowExists {
        /// The row's key.
        row: String,
    },
    /// A value column holds something other than a JSON object, or one that cannot be edited
    /// safely.
    #[error("column {column} of the ConfigStore row {row} {why}")]
    RowValue {
        /// The row's key.
        row: String,
        /// The column.
        column: &'static str,
        /// What was met.
        why: String,
    },
    /// A value that the host's own schema does not allow.
    #[error("the value for {row} breaks the host's schema: {at} {why}")]
    BreaksSchema {
        /// The row's key.
        row: String,
        /// The property, as a path: `ip.ipv6_enabled`.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The schema store holds no schema for a row.
    #[error("the schema store holds no schema for {row}")]
    NoSchema {
        /// The row's key.
        row: String,
    },
    /// What it holds for a row is no schema.
    #[error("the schema store holds a schema for {row} that is not JSON: {why}")]
    BadSchema {
        /// The row's key.
        row: String,
        /// Where it ends to be JSON.
        why: String,
    },
    /// A row cannot be made because what it must hold is not known.
    #[error("the ConfigStore row {row} cannot be added: {why}")]
    CannotAddRow {
        /// The row's key.
        row: String,
        /// What is missing.
        why: String,
    },
    /// A point in time that the store cannot hold.
    #[error(
        "{seconds} seconds since 1970 is past the year 9999, the last one the ConfigStore can hold"
    )]
    BadTime {
        /// Seconds since 1970-01-01 00:00 UTC.
        seconds: u64,
    },
    /// The edit touched something it must not; the result was thrown away.
    #[error("the edit changed more than it should: {what}")]
    UnexpectedChange {
        /// What differs.
        what: String,
    },
}

impl OwnershipError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        use OwnershipError as E;
        match self {
            E::BadKey { .. }
            | E::BadValue { .. }
            | E::NoSuchKey { .. }
            | E::NoSuchRow { .. }
            | E::RowExists { .. }
            | E::BreaksSchema { .. }
            | E::NoSchema { .. }
            | E::BadTime { .. } => ErrorKind::Usage,
            E::OddLine { .. }
            | E::NoSpelling { .. }
            | E::CannotAddRow { .. }
            | E::UnexpectedChange { .. } => ErrorKind::Refused,
            E::StoreHeader { .. }
            | E::BadSchema { .. }
            | E::StoreSize { .. }
            | E::StoreIntegrity { .. }
            | E::Sqlite { .. }
            | E::RowKey { .. }
            | E::DuplicateRow { .. }
            | E::RowValue { .. } => ErrorKind::Damaged,
            E::ConfTooLarge { .. }
            | E::StoreTooLarge { .. }
            | E::StoreTooMuchWork { .. }
            | E::StoreSchema { .. } => ErrorKind::Unsupported,
        }
    }
}
