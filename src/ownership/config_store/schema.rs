//! Holds a value against the schema the host keeps for it.
//!
//! The schemas are JSON in the manner of JSON Schema, with types of their own (`long`, `ID`,
//! `secret`) and marks that say which column a property is kept in: `vital` and `cached`
//! properties have a column each, all others are the user's. That is how the rows of a real
//! 7.0.2 state are, all of which pass. Checked are types, enumerations, bounds, patterns, unique
//! items, required, unknown and dependent properties, and the column. That a pattern is about the
//! whole text is inferred: several of the real ones would say nothing else.

mod make;
mod rules;

use serde_json::{Map, Value};

use super::ValueColumn;
use crate::secrets::Guarded;

/// Where in a value something is wrong, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Path of the property; `the value` itself where it is empty.
    pub(super) at: String,
    /// What is wrong, as the end of a sentence.
    pub(super) why: String,
}

/// The schema of one row.
pub(super) struct RowSchema<'s> {
    /// The schema of the setting.
    setting: &'s Value,
    /// The schema of the object.
    object: &'s Value,
    /// The property that repeats the Identifier.
    instance_id: Option<&'s str>,
}

impl<'s> RowSchema<'s> {
    /// The part of a setting's schema that is about one row: of a list, its items.
    pub(super) fn of(schema: &'s Value) -> RowSchema<'s> {
        let is_list = schema.get("type").and_then(Value::as_str) == Some("array");
        let items = schema.get("items").filter(|_| is_list);
        RowSchema {
            setting: schema,
            object: items.unwrap_or(schema),
            instance_id: schema.get("instanceId").and_then(Value::as_str),
        }
    }

    /// The schema of the object that a row is.
    pub(super) fn object(&self) -> &'s Value {
        self.object
    }

    /// Checks `value`, which is to be the content of `column`; `others` are the row's other
    /// columns, which hold the rest of its properties.
    pub(super) fn check(
        &self,
        identifier: &str,
        column: ValueColumn,
        value: &Value,
        others: &[Value],
    ) -> Result<(), Broken> {
        check(self.object, value, "")?;
        self.check_identifier(identifier, value)?;
        if column != ValueColumn::Desired {
            self.check_home(self.object, value, self.home(), Home::of(column), "")?;
        }
        let mut whole = Value::Object(Map::new());
        for part in others.iter().chain([value]) {
            merge(&mut whole, part);
        }
        rules::check_dependencies(self.object, &whole, "")?;
        check_required(self.object, &whole, "", self.instance_id)
    }

    /// Where properties without a mark of their own are kept.
    fn home(&self) -> Home {
        let marked = Home::marked(self.object).or_else(|| Home::marked(self.setting));
        marked.unwrap_or(Home::User)
    }

    fn check_identifier(&self, identifier: &str, value: &Value) -> Result<(), Broken> {
        let Some(name) = self.instance_id else {
            return Ok(());
        };
        match value.get(name).and_then(Value::as_str) {
            Some(other) if other != identifier => Err(Broken {
                at: name.to_owned(),
                why: format!("is {other:?}, but the row's Identifier is {identifier:?}"),
            }),
            _ => Ok(()),
        }
    }

    /// Each property must be one that is kept in this column.
    fn check_home(
        &self,
        schema: &Value,
        value: &Value,
        inherited: Home,
        column: Home,
        at: &str,
    ) -> Result<(), Broken> {
        let Value::Object(members) = value else {
            return Ok(());
        };
        for (name, member) in members {
            let Some(property) = property(schema, name) else {
                continue;
            };
            let below = join(at, name);
            let home = Home::marked(property).unwrap_or(inherited);
            if member.is_object() && property.get("properties").is_some() {
                self.check_home(property, member, home, column, &below)?;
                continue;
            }
            // In real rows the items of one list are in several columns, each with its part,
            // and cached properties are in UserValue as well.
            let is_anywhere =
                home == Home::Cached || property.pointer("/items/properties").is_some();
            let repeats_identifier = at.is_empty() && self.instance_id == Some(name);
            if home != column && !is_anywhere && !repeats_identifier {
                return Err(Broken {
                    at: below,
                    why: format!("is kept in column {}", home.column().as_str()),
                });
            }
        }
        Ok(())
    }
}

/// Which column a property is kept in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    User,
    Vital,
    Cached,
}

impl Home {
    fn of(column: ValueColumn) -> Home {
        match column {
            ValueColumn::Vital => Home::Vital,
            ValueColumn::Cached => Home::Cached,
            ValueColumn::AutoConf | ValueColumn::User | ValueColumn::Desired => Home::User,
        }
    }

    fn column(self) -> ValueColumn {
        match self {
            Home::User => ValueColumn::User,
            Home::Vital => ValueColumn::Vital,
            Home::Cached => ValueColumn::Cached,
        }
    }

    fn marked(schema: &Value) -> Option<Home> {
        let is_marked = |mark: &str| schema.get(mark) == Some(&Value::Bool(true));
        if is_marked("cached") {
            Some(Home::Cached)
        } else if is_marked("vital") {
            Some(Home::Vital)
        } else {
            None
        }
    }
}

fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema.get("properties")?.get(name)
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

/// Types, enumerations, bounds and unknown properties, at every depth.
fn check(schema: &Value, value: &Value, at: &str) -> Result<(), Broken> {
    let broken = |why: String| Broken {
        at: if at.is_empty() { "it" } else { at }.to_owned(),
        why,
    };
    if let Some(kind) = schema.get("type").and_then(Value::as_str)
        && !is_of_type(kind, value)
    {
        return Err(broken(format!("is not of type {kind}")));
    }
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        let value = Guarded::json(at, value.to_string(), Some(schema));
        let why = format!("is {}, not one of {}", value.veiled(), allowed.join(", "));
        return Err(broken(why));
    }
    check_bounds(schema, value).map_err(broken)?;
    rules::check_pattern(schema, value).map_err(broken)?;
    rules::check_unique(schema, value, at).map_err(broken)?;
    match value {
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return Ok(());
            };
            for (index, item) in items.iter().enumerate() {
                check(schema, item, &format!("{at}[{index}]"))?;
                check_required(schema, item, &format!("{at}[{index}]"), None)?;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                match property(schema, name) {
                    Some(property) => check(property, member, &join(at, name))?,
                    None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                        return Err(Broken {
                            at: join(at, name),
                            why: "is not in the schema".to_owned(),
                        });
                    }
                    None => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_of_type(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "long" => value.is_i64() || value.is_u64(),
        "double" => value.is_number(),
        "string" | "ID" | "URI" | "secret" | "binary" | "file" => value.is_string(),
        // A type of a later release: nothing is known about it.
        _ => true,
    }
}

fn check_bounds(schema: &Value, value: &Value) -> Result<(), String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let number = value.as_f64();
    if value.is_number() && number.is_none() {
        return Err("is a number beyond all that a host can hold".to_owned());
    }
    let characters = value.as_str().map(|text| text.chars().count());
    let items = value.as_array().map(Vec::len);
    // Lengths far beyond what a double counts exactly do not fit in memory.
    #[allow(clippy::cast_precision_loss)]
    let length = |count: usize| count as f64;
    let least = [
        ("minimum", number),
        ("minLength", characters.map(length)),
        ("minItems", items.map(length)),
    ];
    let most = [
        ("maximum", number),
        ("maxLength", characters.map(length)),
        ("maxItems", items.map(length)),
    ];
    for (name, found) in least {
        if let (Some(bound), Some(found)) = (bound(name), found)
            && found < bound
        {
            return Err(format!("is below the schema's {name} of {bound}"));
        }
    }
    for (name, found) in most {
        if let (Some(bound), Some(found)) = (bound(name), found)
            && found > bound
        {
            return Err(format!("is above the schema's {name} of {bound}"));
        }
    }
    Ok(())
}

/// Required properties of objects inside objects; lists were checked item by item.
fn check_required(
    schema: &Value,
    value: &Value,
    at: &str,
    instance_id: Option<&str>,
) -> Result<(), Broken> {
    let Value::Object(members) = value else {
        return Ok(());
    };
    if let Some(Value::Array(required)) = schema.get("required") {
        for name in required.iter().filter_map(Value::as_str) {
            if !members.contains_key(name) && instance_id != Some(name) && !is_hidden(schema, name)
            {
                return Err(Broken {
                    at: join(at, name),
                    why: "is required and missing".to_owned(),
                });
            }
        }
    }
    for (name, member) in members {
        if let Some(property) = property(schema, name) {
            check_required(property, member, &join(at, name), None)?;
        }
    }
    Ok(())
}

/// The store makes up identifiers of its own; a value need not hold them.
fn is_hidden(schema: &Value, name: &str) -> bool {
    let mark = |property: &Value| property.get("storeSpecific") == Some(&Value::Bool(true));
    property(schema, name).is_some_and(mark)
}

/// Puts the members of `part` into `whole`, objects inside objects too.
fn merge(whole: &mut Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, member) in part {
                match whole.get_mut(name) {
                    Some(known) => merge(known, member),
                    None => drop(whole.insert(name.clone(), member.clone())),
                }
            }
        }
        (whole, part) => *whole = part.clone(),
    }
}

#[cfg(test)]
mod tests;
