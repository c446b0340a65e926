//! Rows of the ConfigStore: a value set, or a row deleted.

use super::configuration::inside;
use super::secrets::shown_json;
use super::{CONFIG_STORE, Change, ChangeSource, Configuration, Context, EditError, Edited};
use super::{SCHEMA_STORE, Unmatched};
use crate::ownership::{
    Cell, Change as StoreChange, ConfigStore, Row, RowKey, SchemaStore, ValueColumn,
};

/// A change to a row of the ConfigStore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEdit {
    /// Gives one value column of a row a new content. The row must be there.
    Set {
        /// The row.
        key: RowKey,
        /// The column; the user's own settings are in [`ValueColumn::User`].
        column: ValueColumn,
        /// Its new content, as JSON.
        json: String,
    },
    /// Deletes a row.
    Delete {
        /// The row.
        key: RowKey,
        /// Whether a row that is not there is fine. Where it is not, no state of the medium
        /// having the row is an error.
        absent_ok: bool,
    },
}

impl StoreEdit {
    /// Makes the change in `configuration` and notes it in `edited`. Values are held against
    /// `schema` where the state has one.
    pub(super) fn make(
        &self,
        configuration: &mut Configuration,
        schema: Option<&SchemaStore>,
        context: Context,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let Some(store) = &mut configuration.store else {
            return match self {
                StoreEdit::Delete {
                    absent_ok: true, ..
                } => Ok(()),
                _ => Err(EditError::Missing { path: CONFIG_STORE }),
            };
        };
        match self {
            StoreEdit::Set { key, column, json } => {
                let Some(row) = store.row(key) else {
                    edited.unmatched.push(Unmatched::Row(key.to_string()));
                    return Ok(());
                };
                let from = text(row.value(*column));
                if let Some(change) = set(row, *column, json, schema, edited)? {
                    note(key, *column, from, Some(json.clone()), edited);
                    change_store(store, change, context)?;
                }
            }
            StoreEdit::Delete { key, absent_ok } => {
                let Some(row) = store.row(key) else {
                    if !absent_ok {
                        edited.unmatched.push(Unmatched::Row(key.to_string()));
                    }
                    return Ok(());
                };
                for column in ValueColumn::ALL {
                    if let Some(from) = text(row.value(column)) {
                        note(key, column, Some(from), None, edited);
                    }
                }
                change_store(store, StoreChange::Delete { key: key.clone() }, context)?;
            }
        }
        Ok(())
    }
}

/// The change that sets a value; `None` where the column holds an equal one already.
fn set(
    row: &Row,
    column: ValueColumn,
    json: &str,
    schema: Option<&SchemaStore>,
    edited: &mut Edited,
) -> Result<Option<StoreChange>, EditError> {
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|error| EditError::NotJson {
            row: row.key.to_string(),
            why: error.to_string(),
        })?;
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    if row.value(column).text().and_then(parsed).as_ref() == Some(&value) {
        return Ok(None);
    }
    match schema {
        Some(schema) => schema
            .check(row, column, &value)
            .map_err(inside(SCHEMA_STORE))?,
        None => {
            let warning = format!(
                "the state holds no {SCHEMA_STORE}: the value of {} was not checked against the host's schema",
                row.key
            );
            if !edited.warnings.contains(&warning) {
                edited.warnings.push(warning);
            }
        }
    }
    Ok(Some(StoreChange::SetValue {
        key: row.key.clone(),
        column,
        json: Some(json.to_owned()),
    }))
}

fn change_store(
    store: &mut ConfigStore,
    change: StoreChange,
    context: Context,
) -> Result<(), EditError> {
    let changed = store.edit(&[change], context.time);
    *store = changed.map_err(inside(CONFIG_STORE))?;
    Ok(())
}

fn note(
    key: &RowKey,
    column: ValueColumn,
    from: Option<String>,
    to: Option<String>,
    edited: &mut Edited,
) {
    edited.changes.push(Change {
        source: ChangeSource::ConfigStore,
        key: format!("{key} {}", column.as_str()),
        address: None,
        alias: None,
        from: from.map(|json| shown_json(&key.name, json)),
        to: to.map(|json| shown_json(&key.name, json)),
    });
}

fn text(cell: &Cell) -> Option<String> {
    cell.text().map(str::to_owned)
}
