//! The rules of a schema that look at more than a value's type and size.

use crate::secrets::Guarded;
use regex_lite::RegexBuilder;
use serde_json::Value;

use super::{Broken, join};

/// Longest pattern, and the most memory one may take, in bytes. The real ones are under 150 bytes.
const MAX_PATTERN: usize = 4096;
const MAX_COMPILED: usize = 1 << 20;

/// A text must match its `pattern` as a whole.
pub(super) fn check_pattern(schema: &Value, value: &Value) -> Result<(), String> {
    let (Some(pattern), Some(text)) = (
        schema.get("pattern").and_then(Value::as_str),
        value.as_str(),
    ) else {
        return Ok(());
    };
    let whole = format!("^(?:{pattern})$");
    let compiled = RegexBuilder::new(&whole).size_limit(MAX_COMPILED).build();
    match compiled {
        Ok(compiled) if pattern.len() <= MAX_PATTERN => {
            if compiled.is_match(text) {
                Ok(())
            } else {
                Err(format!("does not match the schema's pattern {pattern}"))
            }
        }
        _ => Err("has a pattern in the schema that cannot be checked".to_owned()),
    }
}

/// Items of a list marked `uniqueItems` must differ.
pub(super) fn check_unique(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Array(items) = value else {
        return Ok(());
    };
    if schema.get("uniqueItems") != Some(&Value::Bool(true)) {
        return Ok(());
    }
    let mut seen = std::collections::HashSet::new();
    match items.iter().find(|item| !seen.insert(item.to_string())) {
        Some(twice) => {
            let twice = Guarded::json(at, twice.to_string(), schema.get("items"));
            let twice = twice.veiled();
            Err(format!("holds {twice} twice, and its items are to differ"))
        }
        None => Ok(()),
    }
}

/// A property with an `optionDependency` may be there only where the property that names has one
/// of the values given.
pub(super) fn check_dependencies(schema: &Value, value: &Value, at: &str) -> Result<(), Broken> {
    match value {
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return Ok(());
            };
            let mut items = items.iter().zip(0usize..);
            items.try_for_each(|(item, index)| {
                check_dependencies(schema, item, &format!("{at}[{index}]"))
            })
        }
        Value::Object(members) => {
            for (name, member) in members {
                let Some(property) = super::property(schema, name) else {
                    continue;
                };
                let below = join(at, name);
                if let Some(needs) = property.get("optionDependency") {
                    let met = depends(schema, members, needs);
                    met.map_err(|why| Broken {
                        at: below.clone(),
                        why,
                    })?;
                }
                check_dependencies(property, member, &below)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn depends(
    schema: &Value,
    members: &serde_json::Map<String, Value>,
    needs: &Value,
) -> Result<(), String> {
    let name = needs.get("name").and_then(Value::as_str);
    let values = needs.get("value").and_then(Value::as_array);
    let (Some(name), Some(values)) = (name, values) else {
        return Err("depends on something the schema does not tell".to_owned());
    };
    // A path into another object was not seen, and is not followed.
    if super::property(schema, name).is_none() {
        return Ok(());
    }
    if members
        .get(name)
        .is_some_and(|value| values.contains(value))
    {
        return Ok(());
    }
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    Err(format!("needs {name} to be {}", values.join(" or ")))
}
