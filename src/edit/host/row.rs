//! A row of the ConfigStore edited value by value: every other byte of its columns stays.

use crate::edit::configuration::inside;
use crate::edit::{CONFIG_STORE, Configuration, Edit, EditError, StoreEdit};
use crate::ownership::{OwnershipError, Row, RowKey, ValueColumn, value_at, with_value_at};

/// The columns of a row as they are to be. The row need not be there.
pub(super) struct Draft<'c> {
    key: RowKey,
    row: Option<&'c Row>,
    edited: Vec<(ValueColumn, String)>,
}

impl<'c> Draft<'c> {
    /// The row with this key as it is.
    pub(super) fn of(configuration: &'c Configuration, key: RowKey) -> Self {
        let store = configuration.store.as_ref();
        Draft {
            row: store.and_then(|store| store.row(&key)),
            key,
            edited: Vec::new(),
        }
    }

    /// The columns that hold a value at this path.
    ///
    /// # Errors
    /// A column that may hold one, and cannot be read.
    pub(super) fn holding(&self, path: &[&str]) -> Result<Vec<ValueColumn>, EditError> {
        let mut holding = Vec::new();
        for column in ValueColumn::ALL {
            if self.value(column, path)?.is_some() {
                holding.push(column);
            }
        }
        Ok(holding)
    }

    /// The JSON that a column holds at this path.
    ///
    /// # Errors
    /// As [`Draft::holding`].
    pub(super) fn value(
        &self,
        column: ValueColumn,
        path: &[&str],
    ) -> Result<Option<&str>, EditError> {
        match self.text(column) {
            Some(text) => value_at(text, path).map_err(|why| self.bad(column, why)),
            None => Ok(None),
        }
    }

    /// Sets the value at this path. A column that holds nothing yet begins as an empty object.
    ///
    /// # Errors
    /// A column that holds something else than a JSON object.
    pub(super) fn set(
        &mut self,
        column: ValueColumn,
        path: &[&str],
        json: &str,
    ) -> Result<(), EditError> {
        if let Some(what) = self.row.and_then(|row| row.value(column).not_text()) {
            return Err(self.bad(column, format!("holds {what}")));
        }
        let old = self.text(column).unwrap_or("{}");
        let new = with_value_at(old, path, json).map_err(|why| self.bad(column, why))?;
        self.edited.retain(|(edited, _)| *edited != column);
        self.edited.push((column, new));
        Ok(())
    }

    /// The edits that make the row so.
    pub(super) fn edits(self) -> Vec<Edit> {
        let set = |(column, json)| {
            Edit::Store(StoreEdit::Set {
                key: self.key.clone(),
                column,
                json,
            })
        };
        self.edited.into_iter().map(set).collect()
    }

    fn text(&self, column: ValueColumn) -> Option<&str> {
        let mut edited = self.edited.iter();
        match edited.find(|(edited, _)| *edited == column) {
            Some((_, text)) => Some(text),
            None => self.row?.value(column).text(),
        }
    }

    fn bad(&self, column: ValueColumn, why: String) -> EditError {
        inside(CONFIG_STORE)(OwnershipError::RowValue {
            row: self.key.to_string(),
            column: column.as_str(),
            why,
        })
    }
}
