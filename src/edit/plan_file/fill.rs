//! `{name}` in the values of a plan: what stands for a column of a host map.

use std::collections::BTreeMap;

/// Fills the values of one row in.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'r>(&'r BTreeMap<String, String>);

/// A piece of a value.
enum Piece<'t> {
    Text(&'t str),
    Column(&'t str),
}

impl<'r> Fill<'r> {
    /// The values of a row by column.
    pub fn new(row: &'r BTreeMap<String, String>) -> Self {
        Fill(row)
    }

    /// `text` with every `{name}` replaced.
    ///
    /// # Errors
    /// The name of a column the row does not have.
    pub(super) fn text(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        for piece in pieces(text) {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Column(name) => {
                    let value = self.0.get(name).ok_or_else(|| {
                        format!(
                            "there is no host map with a column `{name}`; for the text {{{name}}} write {{{{{name}}}}}"
                        )
                    })?;
                    filled.push_str(value);
                }
            }
        }
        Ok(filled)
    }
}

/// A TOML value as JSON.
///
/// # Errors
/// A date or a number that JSON does not have.
pub(super) fn json(value: &toml::Value) -> Result<serde_json::Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(*number)
            .ok_or_else(|| format!("{number} is not a number in JSON"))?
            .into(),
        toml::Value::Datetime(time) => {
            return Err(format!("JSON has no times; put {time} in quotes"));
        }
        toml::Value::Array(values) => {
            let values: Result<Vec<_>, _> = values.iter().map(json).collect();
            values?.into()
        }
        toml::Value::Table(table) => {
            let mut object = serde_json::Map::new();
            for (key, value) in table {
                object.insert(key.clone(), json(value)?);
            }
            object.into()
        }
    })
}

/// The columns a value names.
pub(super) fn columns_of(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Column(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// Every string in a TOML value.
pub(super) fn strings_of(value: &mut toml::Value) -> Vec<&mut String> {
    match value {
        toml::Value::String(text) => vec![text],
        toml::Value::Array(values) => values.iter_mut().flat_map(strings_of).collect(),
        toml::Value::Table(table) => table
            .iter_mut()
            .flat_map(|(_, value)| strings_of(value))
            .collect(),
        _ => Vec::new(),
    }
}

/// Cuts a value at its columns. `{{name}}` is the text `{name}`; a brace that is no column's is
/// text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some((name, after)) = rest.strip_prefix("{{").and_then(|inner| name(inner, "}}")) {
            // The inner pair of braces is the text that is meant.
            let shown = rest.get(1..name.len() + 3).unwrap_or_default();
            rest = after;
            return Some(Piece::Text(shown));
        }
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| name(inner, "}")) {
            rest = after;
            return Some(Piece::Column(name));
        }
        let skip = rest.chars().next().map_or(1, char::len_utf8);
        let next = rest.get(skip..).and_then(|later| later.find('{'));
        let (piece, after) = rest.split_at(next.map_or(rest.len(), |at| at + skip));
        rest = after;
        Some(Piece::Text(piece))
    })
}

/// The name of a column that `text` begins with, and what follows its closing braces.
fn name<'t>(text: &'t str, closing: &str) -> Option<(&'t str, &'t str)> {
    let (name, _) = text.split_once('}')?;
    let mut letters = name.chars();
    let first = letters.next()?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !(first.is_ascii_alphabetic() || first == '_') || !letters.all(fits) {
        return None;
    }
    let after = text.get(name.len()..)?.strip_prefix(closing)?;
    Some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_in_and_other_braces_are_text() {
        let row = BTreeMap::from([
            ("name".to_owned(), "esx1".to_owned()),
            ("vlan-id".to_owned(), "7".to_owned()),
        ]);
        let cases = [
            ("{name}", Ok("esx1")),
            ("{name}.lab {vlan-id}{name}", Ok("esx1.lab 7esx1")),
            ("{{name}}", Ok("{name}")),
            ("{}{ name }{", Ok("{}{ name }{")),
            ("{\"a\": {\"b\": 1}}", Ok("{\"a\": {\"b\": 1}}")),
            ("é{name}é", Ok("éesx1é")),
            ("{{{name}}}", Ok("{{name}}")),
            ("{other}", Err(())),
        ];
        for (text, expected) in cases {
            let filled = Fill::new(&row).text(text).map_err(drop);
            assert_eq!(filled, expected.map(str::to_owned), "{text}");
        }
    }
}
