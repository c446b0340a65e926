//! Takes a value for a row that is not there yet apart, as the host keeps it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Broken, Home, RowSchema, ValueColumn, join, property};

/// The property whose value the host's own library makes up.
const GENERATED: &str = "cs_generated_id";

impl RowSchema<'_> {
    /// What the columns of a new row hold.
    ///
    /// Required properties the value does not give are taken from the schema's `defaults`. The
    /// property that repeats the Identifier stands in each column that is used.
    pub(in super::super) fn columns(
        &self,
        name: &str,
        identifier: &str,
        value: &Value,
    ) -> Result<Vec<(ValueColumn, Value)>, Broken> {
        let Value::Object(given) = value else {
            return Err(broken("", "is not of type object"));
        };
        self.check_kind(identifier)?;
        let mut members = given.clone();
        if let Some(id) = self.instance_id {
            let known = members.entry(id).or_insert_with(|| identifier.into());
            if known.as_str() != Some(identifier) {
                let why = format!("is {known}, but the row's Identifier is {identifier:?}");
                return Err(broken(id, &why));
            }
        }
        let defaults = self.setting.get("defaults");
        if let Some(defaults) = defaults.and_then(|defaults| defaults.get(name)) {
            fill(self.object, &mut members, defaults);
        }
        let id = self.instance_id;
        members.retain(|name, _| id != Some(name));
        let mut parts = split(self.object, members, self.home(), "")?;
        if let Some(id) = id {
            if parts.is_empty() {
                parts.insert(Home::User, Map::new());
            }
            for part in parts.values_mut() {
                part.insert(id.to_owned(), identifier.into());
            }
        }
        if parts.is_empty() {
            return Err(broken("", "holds no property"));
        }
        let columns = parts.into_iter();
        Ok(columns
            .map(|(home, part)| (home.column(), Value::Object(part)))
            .collect())
    }

    /// Only rows whose name a person gives can be made.
    fn check_kind(&self, identifier: &str) -> Result<(), Broken> {
        let kind = self.setting.get("type").and_then(Value::as_str);
        let why = match (kind, self.instance_id) {
            (Some("array"), Some(GENERATED)) => "is of a group whose identifiers the host makes up",
            (Some("array"), Some(_)) if identifier.is_empty() => "needs an identifier",
            (Some("array"), Some(_)) => return Ok(()),
            (Some("object"), None) if !identifier.is_empty() => {
                "has no identifier: there is one of it"
            }
            (Some("object"), None) => return Ok(()),
            _ => "is of a kind this program does not make",
        };
        Err(broken("", why))
    }
}

/// The properties of an object by where they are kept, objects inside it taken apart too.
fn split(
    schema: &Value,
    members: Map<String, Value>,
    inherited: Home,
    at: &str,
) -> Result<BTreeMap<Home, Map<String, Value>>, Broken> {
    let mut parts: BTreeMap<Home, Map<String, Value>> = BTreeMap::new();
    for (name, member) in members {
        let below = join(at, &name);
        let known = property(schema, &name);
        let home = known.and_then(Home::marked).unwrap_or(inherited);
        if let Some(items) = known.and_then(|property| property.get("items")) {
            check_items(items, &below)?;
        }
        match (known, member) {
            (Some(property), Value::Object(inner)) if property.get("properties").is_some() => {
                for (home, part) in split(property, inner, home, &below)? {
                    let part = Value::Object(part);
                    parts.entry(home).or_default().insert(name.clone(), part);
                }
            }
            (_, member) => drop(parts.entry(home).or_default().insert(name, member)),
        }
    }
    Ok(parts)
}

/// A list can be kept whole where no part of its items is kept elsewhere or made up.
fn check_items(items: &Value, at: &str) -> Result<(), Broken> {
    let Some(Value::Object(properties)) = items.get("properties") else {
        return Ok(());
    };
    for (name, property) in properties {
        if name == GENERATED {
            return Err(broken(at, "is a list whose identifiers the host makes up"));
        }
        if Home::marked(property).is_some() {
            return Err(broken(
                at,
                "is a list whose parts are kept in several columns",
            ));
        }
        for inner in [property.get("items"), Some(property)]
            .into_iter()
            .flatten()
        {
            check_items(inner, &join(at, name))?;
        }
    }
    Ok(())
}

/// Gives required properties that are missing their default.
fn fill(schema: &Value, members: &mut Map<String, Value>, defaults: &Value) {
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if let (false, Some(default)) = (members.contains_key(name), defaults.get(name)) {
            members.insert(name.to_owned(), default.clone());
        }
    }
    for (name, member) in members.iter_mut() {
        if let (Some(property), Value::Object(inner), Some(defaults)) =
            (property(schema, name), member, defaults.get(name))
        {
            fill(property, inner, defaults);
        }
    }
}

fn broken(at: &str, why: &str) -> Broken {
    Broken {
        at: if at.is_empty() { "it" } else { at }.to_owned(),
        why: why.to_owned(),
    }
}
