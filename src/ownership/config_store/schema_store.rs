//! The schema store: the host's own description of every setting, a SQLite database as well.
//!
//! Seen in a real 7.0.2 state: table `ConfigSchema` with one row per setting, `Value` its schema
//! as JSON. Only read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::database::{Database, SchemaName};
use super::schema::{Broken, RowSchema};
use super::{Cell, Row, RowKey, ValueColumn};
use crate::ownership::OwnershipError;
use crate::secrets::Guarded;

/// The schemas of one host.
#[derive(Clone, Debug)]
pub struct SchemaStore {
    schemas: BTreeMap<SchemaName, String>,
}

impl SchemaStore {
    /// Reads the database.
    ///
    /// # Errors
    /// As of [`super::ConfigStore::open`]; the schemas themselves are judged when they are used.
    pub fn open(bytes: &[u8]) -> Result<SchemaStore, OwnershipError> {
        let database = Database::open(bytes)?;
        database.check_table(
            "ConfigSchema",
            &["Component", "ConfigGroup", "Name", "Value"],
        )?;
        database.check_integrity("before")?;
        let schemas = database.schemas()?.into_iter().collect();
        Ok(SchemaStore { schemas })
    }

    /// Number of settings it describes.
    pub fn len(&self) -> usize {
        self.schemas.len()
    }

    /// Whether it describes none.
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty()
    }

    /// The schema of a setting, as JSON.
    pub fn schema(&self, key: &RowKey) -> Option<&str> {
        let name = (key.component.clone(), key.group.clone(), key.name.clone());
        self.schemas.get(&name).map(String::as_str)
    }

    /// Checks `value`, which is to be the content of `column` of `row`.
    ///
    /// # Errors
    /// [`OwnershipError::NoSchema`], [`OwnershipError::BadSchema`], [`OwnershipError::BreaksSchema`].
    pub fn check(
        &self,
        row: &Row,
        column: ValueColumn,
        value: &Value,
    ) -> Result<(), OwnershipError> {
        let schema = self.parsed(&row.key)?;
        let others = ValueColumn::ALL
            .into_iter()
            .filter(|other| *other != column);
        let others: Vec<Value> = others
            .filter_map(|other| serde_json::from_str(row.value(other).text()?).ok())
            .collect();
        RowSchema::of(&schema)
            .check(&row.key.identifier, column, value, &others)
            .map_err(|broken| breaks(&row.key, broken))
    }

    /// A row that is not there yet, with `value` as all it says: each property in the column
    /// the schema marks it for, the identifier in each of them, the version the schema's.
    ///
    /// What is not known of a row is when it was made: see [`super::StoreChange::Add`].
    ///
    /// # Errors
    /// [`OwnershipError::NoSchema`], [`OwnershipError::BadSchema`], [`OwnershipError::BreaksSchema`];
    /// [`OwnershipError::CannotAddRow`] for a group whose identifiers the host makes up, and other
    /// rows that cannot be made truthfully.
    pub fn new_row(&self, key: &RowKey, value: &Value) -> Result<Row, OwnershipError> {
        let schema = self.parsed(key)?;
        let columns = RowSchema::of(&schema)
            .columns(&key.name, &key.identifier, value)
            .map_err(|Broken { at, why }| OwnershipError::CannotAddRow {
                row: key.to_string(),
                why: format!("{at} {why}"),
            })?;
        let version = schema.get("configVersion").and_then(Value::as_str);
        let mut row = Row {
            key: key.clone(),
            values: [const { Cell::Null }; 5],
            modified: Cell::Null,
            created: Cell::Null,
            version: Cell::Text(version.unwrap_or_default().to_owned()),
            success: Cell::Integer(1),
            revision: Cell::Integer(0),
        };
        for (column, part) in &columns {
            *row.value_mut(*column) = Cell::Text(part.to_string());
        }
        for (column, part) in &columns {
            self.check(&row, *column, part)?;
        }
        Ok(row)
    }

    /// What of the settings is of the type `secret`.
    pub fn secret_types(&self) -> SecretTypes {
        let with_secrets = self
            .schemas
            .iter()
            .filter(|(_, text)| text.contains("\"secret\""));
        let parsed = with_secrets.filter_map(|(name, text)| {
            let schema: Value = serde_json::from_str(text).ok()?;
            Some((name.clone(), RowSchema::of(&schema).object().clone()))
        });
        SecretTypes {
            schemas: parsed.collect(),
        }
    }

    fn parsed(&self, key: &RowKey) -> Result<Value, OwnershipError> {
        let row = || key.to_string();
        let text = self.schema(key);
        let text = text.ok_or_else(|| OwnershipError::NoSchema { row: row() })?;
        serde_json::from_str(text).map_err(|error| OwnershipError::BadSchema {
            row: row(),
            why: error.to_string(),
        })
    }
}

/// The schemas of one host that call something a secret.
#[derive(Clone, Debug, Default)]
pub struct SecretTypes {
    schemas: BTreeMap<SchemaName, Value>,
}

impl SecretTypes {
    /// A value of the row `key`, in JSON, with what is secret in it: by the schema, and by the
    /// names in the row's key and in the value.
    pub fn guard(&self, key: &RowKey, json: impl Into<String>) -> Guarded {
        let json = json.into();
        let name = (key.component.clone(), key.group.clone(), key.name.clone());
        let schema = self.schemas.get(&name);
        // The Identifier tells rows apart, as `snmp` does among the rules of a firewall. It names
        // what is in the row only where that has no other name.
        let value: Option<Value> = serde_json::from_str(&json).ok();
        let names_value = value.is_none_or(|value| match value {
            Value::Object(members) => members.contains_key("value"),
            _ => true,
        });
        let name = if names_value {
            key.to_string()
        } else {
            format!("{}/{}/{}", key.component, key.group, key.name)
        };
        Guarded::json(&name, json, schema)
    }
}

fn breaks(key: &RowKey, Broken { at, why }: Broken) -> OwnershipError {
    OwnershipError::BreaksSchema {
        row: key.to_string(),
        at,
        why,
    }
}
