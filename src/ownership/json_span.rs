//! Finds one member of a JSON object by its place in the text, so that its value can be replaced
//! and every other byte kept.
//!
//! A member is one of the top level, or is named by a path from there.

use crate::json::{self, Tokens};
use std::ops::Range;

/// Why a text is no object whose member can be edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SpanError {
    /// Not JSON.
    NotJson(String),
    /// JSON, but not an object.
    NotAnObject,
    /// The member occurs more than once.
    Duplicate,
    /// The member's value is not a string.
    NotAString,
}

impl SpanError {
    /// A fragment that says what was met about the member `name`.
    pub(super) fn describe(&self, name: &str) -> String {
        match self {
            SpanError::NotJson(why) => format!("is not JSON: {why}"),
            SpanError::NotAnObject => "is JSON but not an object".to_owned(),
            SpanError::Duplicate => format!("has `{name}` more than once"),
            SpanError::NotAString => format!("has a `{name}` that is not a string"),
        }
    }
}

/// A member whose value is a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StringMember {
    /// The value with escapes resolved.
    pub(super) value: String,
    /// Where the value stands in the text, its quotes included.
    pub(super) span: Range<usize>,
}

/// The string member `name` of the object `text`, if it has one.
pub(super) fn string_member(text: &str, name: &str) -> Result<Option<StringMember>, SpanError> {
    let Some(span) = span(text, name)? else {
        return Ok(None);
    };
    let value = unquoted(text, &span).ok_or(SpanError::NotAString)?;
    Ok(Some(StringMember { value, span }))
}

/// `text` with the string member `name` set to `value`, which must need no escapes: its value
/// replaced where it has one, else the member put at the end of the object.
pub(super) fn with_string_member(text: &str, name: &str, value: &str) -> Result<String, SpanError> {
    let span = string_member(text, name)?.map(|member| member.span);
    with_value(text, name, span, &format!("\"{value}\""))
}

/// The value at `path`, each name a member of the one before, as it stands in the text. `None` where
/// there is none, also because something on the way is not an object.
///
/// # Errors
/// What is wrong with the text, as the end of a sentence.
pub(crate) fn value_at<'t>(text: &'t str, path: &[&str]) -> Result<Option<&'t str>, String> {
    let [name, rest @ ..] = path else {
        return Ok(Some(text));
    };
    match span(text, name) {
        Ok(span) => match span.and_then(|span| text.get(span)) {
            Some(value) => value_at(value, rest),
            None => Ok(None),
        },
        Err(SpanError::NotAnObject) => Ok(None),
        Err(error) => Err(error.describe(name)),
    }
}

/// `text` with the value at `path` set to this JSON, every other byte kept. Objects that are not
/// there are made; names must need no escapes.
///
/// # Errors
/// What is wrong with the text, as the end of a sentence.
pub(crate) fn with_value_at(text: &str, path: &[&str], json: &str) -> Result<String, String> {
    let [name, rest @ ..] = path else {
        return Ok(json.to_owned());
    };
    let wrong = |error: SpanError| error.describe(name);
    let span = span(text, name).map_err(wrong)?;
    let old = span.clone().and_then(|span| text.get(span));
    let new = with_value_at(old.unwrap_or("{}"), rest, json)?;
    with_value(text, name, span, &new).map_err(wrong)
}

/// `text` without the value at `path`, every other byte kept but for one comma; `None` where it holds none.
///
/// # Errors
/// What is wrong with the text, as the end of a sentence.
pub(crate) fn without_value_at(text: &str, path: &[&str]) -> Result<Option<String>, String> {
    let [name, rest @ ..] = path else {
        return Ok(None);
    };
    if value_at(text, &[name])?.is_none() {
        return Ok(None);
    }
    let wrong = |error: SpanError| error.describe(name);
    if rest.is_empty() {
        return without(text, name).map_err(wrong);
    }
    let Some(span) = span(text, name).map_err(wrong)? else {
        return Ok(None);
    };
    let old = text.get(span.clone()).unwrap_or_default();
    let Some(new) = without_value_at(old, rest)? else {
        return Ok(None);
    };
    with_value(text, name, Some(span), &new)
        .map(Some)
        .map_err(wrong)
}

/// The elements of a sound JSON array as they stand in the text; none where it is not an array.
pub(crate) fn elements(text: &str) -> Vec<&str> {
    let mut tokens = Tokens::of(text);
    let mut found = Vec::new();
    if tokens.next().and_then(|first| text.get(first)) != Some("[") {
        return found;
    }
    while let Some(element) = tokens.value().and_then(|span| text.get(span)) {
        if element == "]" {
            break;
        }
        found.push(element);
        tokens.next(); // the comma, or the closing bracket
    }
    found
}

/// Where the value of the member `name` stands, if the object has it.
fn span(text: &str, name: &str) -> Result<Option<Range<usize>>, SpanError> {
    let mut found = None;
    for (key, span) in members(text)? {
        if !is_string(text, &key, name) {
            continue;
        }
        if found.is_some() {
            return Err(SpanError::Duplicate);
        }
        found = Some(span);
    }
    Ok(found)
}

/// `text` with this value of the member `name`: at `span`, or with the member at the end.
fn with_value(
    text: &str,
    name: &str,
    span: Option<Range<usize>>,
    json: &str,
) -> Result<String, SpanError> {
    let mut edited = text.to_owned();
    match span {
        Some(span) => edited.replace_range(span, json),
        None => {
            let at = text.rfind('}').ok_or(SpanError::NotAnObject)?;
            let lead = if members(text)?.is_empty() { "" } else { "," };
            edited.insert_str(at, &format!("{lead}\"{name}\":{json}"));
        }
    }
    Ok(edited)
}

/// `text` without the member `name`; `None` where it has none.
fn without(text: &str, name: &str) -> Result<Option<String>, SpanError> {
    let members = members(text)?;
    let is_it = |(key, _): &Member| is_string(text, key, name);
    let Some(index) = members.iter().position(is_it) else {
        return Ok(None);
    };
    if members.iter().filter(|member| is_it(member)).count() > 1 {
        return Err(SpanError::Duplicate);
    }
    let Some((key, value)) = members.get(index) else {
        return Ok(None);
    };
    let before = index.checked_sub(1).and_then(|index| members.get(index));
    let after = members.get(index.saturating_add(1));
    let range = match (before, after) {
        (_, Some((next, _))) => key.start..next.start,
        (Some((_, last)), None) => last.end..value.end,
        (None, None) => key.start..value.end,
    };
    let mut edited = text.to_owned();
    edited.replace_range(range, "");
    Ok(Some(edited))
}

type Member = (Range<usize>, Range<usize>);

/// Key and value of every member of the top level, as ranges of `text`.
fn members(text: &str) -> Result<Vec<Member>, SpanError> {
    json::check(text).map_err(|error| SpanError::NotJson(error.to_string()))?;
    let mut tokens = Tokens::of(text);
    if tokens.next().and_then(|first| text.get(first)) != Some("{") {
        return Err(SpanError::NotAnObject);
    }
    let mut found = Vec::new();
    while let Some(key) = tokens.next() {
        if text.as_bytes().get(key.start) != Some(&b'"') {
            break; // the closing brace
        }
        tokens.next(); // the colon
        let Some(value) = tokens.value() else { break };
        found.push((key, value));
        tokens.next(); // the comma, or the closing brace
    }
    Ok(found)
}

/// Whether the string at `span` is this one, its escapes resolved.
fn is_string(text: &str, span: &Range<usize>, wanted: &str) -> bool {
    match text.get(span.clone()) {
        Some(json) if json.contains('\\') => unquoted(text, span).as_deref() == Some(wanted),
        Some(json) => json.strip_prefix('"').and_then(|it| it.strip_suffix('"')) == Some(wanted),
        None => false,
    }
}

/// The string at `span`, its escapes resolved; `None` when it is no string.
fn unquoted(text: &str, span: &Range<usize>) -> Option<String> {
    serde_json::from_str(text.get(span.clone())?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_value_of_the_top_level_member_changes() {
        let cases = [
            (
                r#"{"sbdf":"0000:00:1a.0","owner":"OWNER_PASSTHRU"}"#,
                r#"{"sbdf":"0000:00:1a.0","owner":"NEW"}"#,
            ),
            (
                "{ \"owner\" :\t\"x\" , \"max_vfs\" : 1.50e3 }\n",
                "{ \"owner\" :\t\"NEW\" , \"max_vfs\" : 1.50e3 }\n",
            ),
            (
                r#"{"a":{"owner":"no"},"b":["owner",{"owner":"no"}],"owner":"","c":"\"owner\":\"no\""}"#,
                r#"{"a":{"owner":"no"},"b":["owner",{"owner":"no"}],"owner":"NEW","c":"\"owner\":\"no\""}"#,
            ),
            (
                r#"{"\u006fwner":"OWNER\u005fX"}"#,
                r#"{"\u006fwner":"NEW"}"#,
            ),
            (r#"{"a":"\\","owner":"b\\"}"#, r#"{"a":"\\","owner":"NEW"}"#),
            ("{}", r#"{"owner":"NEW"}"#),
            ("{ }", r#"{ "owner":"NEW"}"#),
            (r#"{"sbdf":"}"}"#, r#"{"sbdf":"}","owner":"NEW"}"#),
        ];
        for (before, after) in cases {
            assert_eq!(with_string_member(before, "owner", "NEW").unwrap(), after);
        }
    }

    #[test]
    fn a_member_is_taken_out_with_its_comma() {
        let cases = [
            (
                r#"{"device":"vmk0","mac":"x"}"#,
                Some(r#"{"device":"vmk0"}"#),
            ),
            (
                r#"{"mac":"x","device":"vmk0"}"#,
                Some(r#"{"device":"vmk0"}"#),
            ),
            (
                r#"{"a":{"mac":1},"mac":[2,{}],"b":3}"#,
                Some(r#"{"a":{"mac":1},"b":3}"#),
            ),
            (r#"{ "mac" : "x" }"#, Some("{  }")),
            (r#"{"a":{"mac":1}}"#, None),
        ];
        for (before, after) in cases {
            assert_eq!(
                without(before, "mac").unwrap().as_deref(),
                after,
                "{before}"
            );
        }
        let twice = without(r#"{"mac":1,"mac":2}"#, "mac");
        assert_eq!(twice.unwrap_err(), SpanError::Duplicate);
    }

    #[test]
    fn a_value_below_others_changes_alone() {
        let path = ["a", "b"];
        let cases = [
            (
                r#"{ "n":18446744073709551616, "a" : {"c":1e2,"b":[1, 2],"c":3 },"n":1}"#,
                Some("[1, 2]"),
                r#"{ "n":18446744073709551616, "a" : {"c":1e2,"b":"x","c":3 },"n":1}"#,
            ),
            (r#"{"b":1,"a":{}}"#, None, r#"{"b":1,"a":{"b":"x"}}"#),
            (r#"{"b":1}"#, None, r#"{"b":1,"a":{"b":"x"}}"#),
        ];
        for (before, value, after) in cases {
            assert_eq!(value_at(before, &path), Ok(value));
            assert_eq!(with_value_at(before, &path, r#""x""#).unwrap(), after);
        }
        for other in ["[1]", r#"{"a":null}"#] {
            assert_eq!(value_at(other, &path), Ok(None));
            let error = with_value_at(other, &path, "1").unwrap_err();
            assert_eq!(error, "is JSON but not an object");
        }
        for wrong in ["", r#"{"a":{"b":1},"a":{}}"#, r#"{"a":{"b":1,"b":1}}"#] {
            value_at(wrong, &path).unwrap_err();
            with_value_at(wrong, &path, "1").unwrap_err();
        }
    }

    #[test]
    fn elements_are_cut_out_whole() {
        let text = r#" [ {"a":"]"} ,[1,[]], "," ,2] "#;
        assert_eq!(elements(text), [r#"{"a":"]"}"#, "[1,[]]", r#"",""#, "2"]);
        for none in ["[]", "[ ]", "", "[", r#"{"a":[1]}"#, "null"] {
            assert!(elements(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn escapes_in_key_and_value_are_resolved() {
        let member = string_member(r#"{"\u006fwner":"OWNER\u005fX"}"#, "owner").unwrap();
        assert_eq!(member.unwrap().value, "OWNER_X");
    }

    #[test]
    fn what_cannot_be_edited_safely_is_named() {
        let error = |text| string_member(text, "owner").unwrap_err();
        assert_eq!(error(r#"{"owner":"a","owner":"b"}"#), SpanError::Duplicate);
        assert_eq!(
            error(r#"{"owner":"a","\u006Fwner":"a"}"#),
            SpanError::Duplicate
        );
        assert_eq!(error(r#"{"owner":null}"#), SpanError::NotAString);
        assert_eq!(error(r#"{"owner":{"owner":"a"}}"#), SpanError::NotAString);
        assert_eq!(error("[1]"), SpanError::NotAnObject);
        assert_eq!(error("null"), SpanError::NotAnObject);
        for text in ["", "owner", "{", r#"{"a":1}}"#, r#"{"a":1,}"#, r#"{'a':1}"#] {
            assert!(matches!(error(text), SpanError::NotJson(_)), "{text}");
        }
        assert!(matches!(error(&"[".repeat(100_000)), SpanError::NotJson(_)));
    }

    proptest! {
        #[test]
        fn setting_a_member_gives_what_a_json_library_would(
            keys in proptest::collection::hash_map("[a-z\"\\\\é]{0,6}", "[ -~]{0,12}", 0..6),
            old in proptest::option::of("[ -~]{0,12}"),
            pretty: bool,
        ) {
            let mut object: serde_json::Map<String, serde_json::Value> =
                keys.into_iter().map(|(k, v)| (k, v.into())).collect();
            object.remove("owner");
            if let Some(old) = old {
                object.insert("owner".into(), old.into());
            }
            let text = if pretty {
                serde_json::to_string_pretty(&object)
            } else {
                serde_json::to_string(&object)
            }.unwrap();
            let edited = with_string_member(&text, "owner", "NEW").unwrap();
            object.insert("owner".into(), "NEW".into());
            let parsed: serde_json::Value = serde_json::from_str(&edited).unwrap();
            prop_assert_eq!(parsed, serde_json::Value::Object(object));
        }

        #[test]
        fn no_text_makes_the_walk_fail(text in "[{}\\[\\]:,\"\\\\a ]{0,40}") {
            let _ = with_string_member(&text, "owner", "NEW");
            let _ = with_value_at(&text, &["a", "a"], "1");
            let _ = elements(&text);
        }
    }
}
