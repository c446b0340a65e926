//! Rows of the ConfigStore: a value set, or a row deleted.

use super::configuration::inside;
use super::request::StoreEdit;
use super::surroundings::Surroundings;
use super::{
    CONFIG_STORE, ChangeSource, Configuration, Context, EditError, EditWarning, Edited,
    SettingChange,
};
use super::{SCHEMA_STORE, Unmatched};
use crate::ownership::{Cell, ConfigStore, Row, RowKey, SchemaStore, StoreChange, ValueColumn};
use crate::secrets::Guarded;
use std::sync::Arc;

impl StoreEdit {
    /// Makes the change in `configuration` and notes it in `edited`. Values are held against
    /// the schema where the state has one.
    pub(super) fn make(
        &self,
        configuration: &mut Configuration,
        surroundings: Surroundings<'_>,
        edited: &mut Edited,
    ) -> Result<(), EditError> {
        let Surroundings {
            context,
            schema,
            secret_types,
            ..
        } = surroundings;
        let guarded = |row: &Row, column: ValueColumn| -> Option<Guarded> {
            let shown = shown(row.value(column));
            shown.map(|text| secret_types.guard(&row.key, text))
        };
        let Some(store) = &mut configuration.store else {
            return match self {
                StoreEdit::Delete {
                    absent_ok: true, ..
                } => Ok(()),
                _ => Err(configuration.without_store()),
            };
        };
        match self {
            StoreEdit::Set { key, column, json } => {
                let Some(row) = store.row(key) else {
                    return add(store, (key, *column, json), surroundings, edited);
                };
                if is_as_made(row, *column, json, schema) {
                    return Ok(());
                }
                let from = guarded(row, *column);
                if let Some(change) = set(row, *column, json, schema, edited)? {
                    let to = Some(secret_types.guard(key, json.clone()));
                    note(key, *column, from, to, edited);
                    change_store(store, change, context)?;
                }
            }
            StoreEdit::Delete { key, absent_ok } => {
                let Some(row) = store.row(key) else {
                    if !absent_ok {
                        let keys = store.rows().iter().map(|row| &row.key);
                        edited.unmatched.push(Unmatched::row(key, keys));
                    }
                    return Ok(());
                };
                for column in ValueColumn::ALL {
                    let from = guarded(row, column);
                    if from.is_some() {
                        note(key, column, from, None, edited);
                    }
                }
                change_store(store, StoreChange::Delete { key: key.clone() }, context)?;
            }
        }
        Ok(())
    }
}

/// Makes a row that is not there. Where the schema does not know it, another bank may have it.
fn add(
    store: &mut Arc<ConfigStore>,
    (key, column, json): (&RowKey, ValueColumn, &str),
    surroundings: Surroundings<'_>,
    edited: &mut Edited,
) -> Result<(), EditError> {
    let value = parsed(key, json)?;
    let mut missing = |why: String| {
        let row = key.to_string();
        edited.unmatched.push(Unmatched::NewRow { row, why });
        Ok(())
    };
    let Some(schema) = surroundings.schema else {
        return missing(format!(
            "the state holds no {SCHEMA_STORE} to tell what it must hold"
        ));
    };
    if schema.schema(key).is_none() {
        return missing("the host's schema store does not know it".to_owned());
    }
    if column == ValueColumn::Desired || column == ValueColumn::AutoConf {
        return missing(format!("{} alone makes no row", column.as_str()));
    }
    let row = schema.new_row(key, &value).map_err(inside(SCHEMA_STORE))?;
    for column in ValueColumn::ALL {
        if let Some(made) = shown(row.value(column)) {
            let made = surroundings.secret_types.guard(key, made);
            note(key, column, None, Some(made), edited);
        }
    }
    change_store(
        store,
        StoreChange::Add { row: Box::new(row) },
        surroundings.context,
    )
}

/// Whether a row is what would have been made of this value, had there been none.
fn is_as_made(row: &Row, column: ValueColumn, json: &str, schema: Option<&SchemaStore>) -> bool {
    let made = |schema: &SchemaStore| {
        let value = serde_json::from_str(json).ok()?;
        schema.new_row(&row.key, &value).ok()
    };
    let same = |made: Row| {
        ValueColumn::ALL.into_iter().all(|column| {
            let value = |row: &Row| -> Option<serde_json::Value> {
                serde_json::from_str(row.value(column).text()?).ok()
            };
            value(row) == value(&made)
        })
    };
    column == ValueColumn::User && schema.and_then(made).is_some_and(same)
}

fn parsed(key: &RowKey, json: &str) -> Result<serde_json::Value, EditError> {
    serde_json::from_str(json).map_err(|error| EditError::NotJson {
        row: key.to_string(),
        why: error.to_string(),
    })
}

/// The change that sets a value; `None` where the column holds an equal one already.
fn set(
    row: &Row,
    column: ValueColumn,
    json: &str,
    schema: Option<&SchemaStore>,
    edited: &mut Edited,
) -> Result<Option<StoreChange>, EditError> {
    let value = parsed(&row.key, json)?;
    let known = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    if row.value(column).text().and_then(known).as_ref() == Some(&value) {
        return Ok(None);
    }
    match schema {
        Some(schema) => schema
            .check(row, column, &value)
            .map_err(inside(SCHEMA_STORE))?,
        None => {
            let warning = EditWarning::Unchecked(row.key.clone());
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
    store: &mut Arc<ConfigStore>,
    change: StoreChange,
    context: Context,
) -> Result<(), EditError> {
    let changed = store.edit(&[change], context.time);
    *store = changed.map_err(inside(CONFIG_STORE))?.into();
    Ok(())
}

fn note(
    key: &RowKey,
    column: ValueColumn,
    from: Option<Guarded>,
    to: Option<Guarded>,
    edited: &mut Edited,
) {
    let key = format!("{key} {}", column.as_str());
    let change = SettingChange::new(ChangeSource::ConfigStore, key, from, to);
    edited.changes.push(change);
}

/// What a cell holds, as it is shown: what is no text by what it is.
fn shown(cell: &Cell) -> Option<String> {
    let other = || cell.not_text().map(|what| format!("({what})"));
    cell.text().map(str::to_owned).or_else(other)
}

#[cfg(test)]
mod tests;
