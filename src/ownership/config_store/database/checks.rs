//! What a database must be before it is believed: its schema, its columns, its pages.

use super::{COLUMNS, Database, sqlite};
use crate::ownership::OwnershipError;
use crate::ownership::config_store::defaults;
use std::collections::BTreeSet;

/// The one DEFAULT of a real store that is no literal. It is never used: an added row has a value
/// for each column.
const HOSTS_DEFAULT: (&str, &str) = ("ModifiedTime", "datetime(CURRENT_TIMESTAMP)");

/// A column of a table, and the text of its DEFAULT.
struct Column {
    name: String,
    default: Option<String>,
}

/// What a schema may hold that makes SQLite evaluate expressions of the file's own, and the query
/// that finds it.
const COMPUTED: [(&str, &str); 3] = [
    (
        "index",
        "SELECT s.name FROM main.sqlite_schema s, pragma_index_xinfo(s.name, 'main') x \
         WHERE s.type = 'index' AND x.cid = -2",
    ),
    (
        "index",
        "SELECT l.name FROM main.sqlite_schema s, pragma_index_list(s.name, 'main') l \
         WHERE s.type = 'table' AND l.partial",
    ),
    (
        "column",
        "SELECT x.name FROM main.sqlite_schema s, pragma_table_xinfo(s.name, 'main') x \
         WHERE s.type = 'table' AND x.hidden <> 0",
    ),
];

/// Most tables, indexes and triggers of a store; the real one has five. Looking at the columns of
/// each is work that no other budget counts.
const MAX_SCHEMA: usize = 256;

impl Database {
    /// `Config` must be a real table with the known columns, and nothing in the schema may be
    /// virtual.
    pub(in super::super) fn check_schema(&self) -> Result<(), OwnershipError> {
        self.check_table("Config", &COLUMNS)?;
        for column in self.columns("Config")? {
            let default = column.default.as_deref().unwrap_or("NULL");
            let is_hosts_own = (column.name.as_str(), default) == HOSTS_DEFAULT;
            if !is_hosts_own && !defaults::is_literal(default) {
                let name = column.name;
                let what = format!("the DEFAULT of column `{name}` is an expression");
                return Err(OwnershipError::StoreSchema { what });
            }
        }
        Ok(())
    }

    /// `table` must be a real one with these columns, and nothing in the schema may be virtual.
    pub(in super::super) fn check_table(
        &self,
        table: &'static str,
        columns: &[&str],
    ) -> Result<(), OwnershipError> {
        let failed = sqlite("reading the schema of the ConfigStore");
        let refuse = |what: String| Err(OwnershipError::StoreSchema { what });
        let mut found = false;
        let mut statement = self
            .connection
            .prepare("SELECT type, name, rootpage FROM main.sqlite_schema")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            count += 1;
            if count > MAX_SCHEMA {
                return refuse(format!("the schema has more than {MAX_SCHEMA} entries"));
            }
            let kind: String = row.get(0).map_err(failed)?;
            let name: String = row.get(1).map_err(failed)?;
            let root: Option<i64> = row.get(2).map_err(failed)?;
            if kind == "table" && root.unwrap_or(0) == 0 {
                return refuse(format!("`{name}` is a virtual table"));
            }
            if name.eq_ignore_ascii_case(table) {
                if kind != "table" {
                    return refuse(format!("`{name}` is a {kind}, not a table"));
                }
                found = true;
            }
        }
        if !found {
            return refuse(format!("there is no table `{table}`"));
        }
        self.check_expressions()?;
        self.check_columns(table, columns)
    }

    /// No index and no column may be computed: the integrity check would run the expressions, and
    /// one of them can take hours within a single instruction. (CHECK constraints are off.)
    fn check_expressions(&self) -> Result<(), OwnershipError> {
        for (what, query) in COMPUTED {
            let failed = sqlite("looking for computed indexes and columns");
            let mut statement = self.connection.prepare(query).map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            if let Some(row) = rows.next().map_err(failed)? {
                let name: String = row.get(0).map_err(failed)?;
                let what = format!("{what} `{name}` is computed by an expression");
                return Err(OwnershipError::StoreSchema { what });
            }
        }
        Ok(())
    }

    fn check_columns(&self, table: &str, known: &[&str]) -> Result<(), OwnershipError> {
        let columns = self.columns(table)?;
        let lacking = known
            .iter()
            .find(|known| !columns.iter().any(|column| column.name == **known));
        match lacking {
            Some(name) => Err(OwnershipError::StoreSchema {
                what: format!("table {table} lacks the column `{name}`"),
            }),
            None => Ok(()),
        }
    }

    /// What a new row must hold is known only where every column is.
    pub(super) fn check_no_other_columns(&self) -> Result<(), OwnershipError> {
        let columns = self.columns("Config")?.into_iter();
        let mut others = columns.filter(|column| !COLUMNS.contains(&column.name.as_str()));
        match others.next() {
            Some(Column { name, .. }) => Err(OwnershipError::StoreSchema {
                what: format!("table Config has a column `{name}`, so no row can be added to it"),
            }),
            None => Ok(()),
        }
    }

    fn columns(&self, table: &str) -> Result<Vec<Column>, OwnershipError> {
        let failed = sqlite("reading the columns of a table");
        let mut statement = self
            .connection
            .prepare("SELECT name, dflt_value FROM pragma_table_info(?, 'main')")
            .map_err(failed)?;
        let column = |row: &rusqlite::Row<'_>| {
            let (name, default) = (row.get(0)?, row.get(1)?);
            Ok(Column { name, default })
        };
        statement
            .query_map([table], column)
            .and_then(Iterator::collect)
            .map_err(failed)
    }

    /// SQLite's own check of every page, row and index.
    pub(in super::super) fn check_integrity(
        &self,
        when: &'static str,
    ) -> Result<(), OwnershipError> {
        let finding: String = self
            .connection
            .query_row("PRAGMA main.integrity_check(1)", [], |row| row.get(0))
            .map_err(sqlite("checking the integrity of the ConfigStore"))?;
        if finding == "ok" {
            return Ok(());
        }
        let finding = finding.replace('\n', " ");
        Err(OwnershipError::StoreIntegrity { when, finding })
    }

    /// The pages, from 1, of every table and index other than `Config` and its own.
    pub(in super::super) fn foreign_pages(&self) -> Result<BTreeSet<u32>, OwnershipError> {
        let failed = sqlite("listing the pages of the ConfigStore");
        let mut statement = self
            .connection
            .prepare(
                "SELECT pageno FROM dbstat WHERE name NOT IN \
                 (SELECT name FROM main.sqlite_schema WHERE tbl_name = 'Config' COLLATE NOCASE)",
            )
            .map_err(failed)?;
        statement
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(failed)
    }
}
