//! Secrets that are told by what they look like, wherever they stand: private keys, password
//! hashes as `crypt` writes them, recovery keys, passwords in addresses, `name=value` with a name
//! that says so, `"name": value` in a piece of JSON.

use super::names::{Veil, is_secret_name, says_nothing, veil_of};
use super::{HIDDEN, json};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::ops::Range;

/// How a block of PEM begins, and how it ends.
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END";
const DASHES: &str = "-----";
const PRIVATE: &str = "PRIVATE KEY";

/// Digits of a group of a recovery key, and how many groups are no accident.
const GROUP: usize = 6;
const GROUPS: usize = 4;

/// Longest name that is looked at, in characters: a text made of one must not take time.
const LONGEST_NAME: usize = 256;

/// Shortest salt and hash behind `$6$` that are no accident.
const SHORTEST_HASH: usize = 6;

/// Adds the places in `text` that are secret; `offset` is added to each of them.
pub(super) fn find(text: &str, offset: usize, places: &mut Vec<Range<usize>>) {
    let mut found = Vec::new();
    private_keys(text, &mut found);
    hashes(text, &mut found);
    recovery_keys(text, &mut found);
    addresses(text, &mut found);
    pairs(text, &mut found);
    places.extend(
        found
            .into_iter()
            .map(|place| place.start + offset..place.end + offset),
    );
}

/// The places in a text in JSON that are secret: by their form, by the names they stand under, the
/// first of which says `veil`, and by the host's `schema`. `None` where it is no JSON.
pub(super) fn in_json(veil: Veil, text: &str, schema: Option<&Value>) -> Option<json::Found> {
    json::find(veil, text, schema, find)
}

/// Whether a file holds a private key.
pub(super) fn holds_private_key(content: &[u8]) -> bool {
    // As far as the dashes: the words alone may stand in any text.
    let mark = b"PRIVATE KEY-----";
    content.windows(mark.len()).any(|window| window == mark)
}

/// Adds a range as the lines it has, blank ones left out.
pub(super) fn lines(text: &str, range: Range<usize>, places: &mut Vec<Range<usize>>) {
    let mut at = range.start;
    let part = text.get(range).unwrap_or_default();
    for line in part.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if !content.trim().is_empty() {
            places.push(at..at + content.len());
        }
        at += line.len();
    }
}

fn private_keys(text: &str, places: &mut Vec<Range<usize>>) {
    let mut done = 0;
    for (at, _) in text.match_indices(BEGIN) {
        if at < done {
            continue;
        }
        let label = at + BEGIN.len();
        let rest = &text[label..];
        let Some(close) = rest.find(DASHES) else {
            continue;
        };
        if !rest[..close].contains(PRIVATE) {
            continue;
        }
        let start = label + close + DASHES.len();
        let end = text[start..]
            .find(END)
            .map_or(text.len(), |end| start + end);
        lines(text, start..end, places);
        done = end;
    }
}

/// `$6$salt$hash`, `$2b$12$...`, `$argon2id$...`.
fn hashes(text: &str, places: &mut Vec<Range<usize>>) {
    let mut end = 0;
    for (at, _) in text.match_indices('$') {
        if at < end {
            continue;
        }
        let rest = &text[at + 1..];
        let Some(id) = rest.find('$') else { return };
        let kind = &rest[..id];
        let is_kind = (1..=16).contains(&id)
            && kind
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !is_kind {
            continue;
        }
        let is_of_hash = |b: &u8| b.is_ascii_alphanumeric() || b"./$=,+-".contains(b);
        let length = rest[id + 1..].bytes().take_while(|b| is_of_hash(b)).count();
        if length >= SHORTEST_HASH {
            end = at + 1 + id + 1 + length;
            places.push(at..end);
        }
    }
}

fn recovery_keys(text: &str, places: &mut Vec<Range<usize>>) {
    let is_of_key = |b: u8| b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|b| is_of_key(**b)).count();
        let run = &text[at..at + length];
        let groups = || run.trim_matches('-').split('-');
        if length > GROUP * GROUPS && groups().all(|group| group.len() == GROUP) {
            places.push(at..at + length);
        }
        let rest = bytes[at + length..].iter();
        at += length + rest.take_while(|b| !is_of_key(**b)).count();
    }
}

/// `https://user:password@host/`.
fn addresses(text: &str, places: &mut Vec<Range<usize>>) {
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || "/\"'<>\\".contains(c));
        let authority = &rest[..end.unwrap_or(rest.len())];
        if let Some(host) = authority.rfind('@')
            && let Some(colon) = authority[..host].find(':')
        {
            places.push(start + colon + 1..start + host);
        }
    }
}

/// `name=value`, `name="value"` and, as a piece of JSON has them, `"name": "value"` and `"name": 1`:
/// what follows a name that says so, up to the next blank or the closing quote.
fn pairs(text: &str, places: &mut Vec<Range<usize>>) {
    let is_of_name = |c: &char| c.is_alphanumeric() || "_-./[]".contains(*c);
    let mut done = 0;
    for (at, sign) in text.match_indices(['=', ':']) {
        let is_json = sign == ":";
        let blank_before = text[..at].trim_end_matches(' ');
        if at < done || (is_json && !blank_before.ends_with('"')) {
            continue;
        }
        let before = blank_before.trim_end_matches([' ', '"', '\'', '\\']);
        let length: usize = before
            .chars()
            .rev()
            .take(LONGEST_NAME)
            .take_while(is_of_name)
            .map(char::len_utf8)
            .sum();
        let name = &before[before.len() - length..];
        if is_bare_key(name) || !is_secret_name(name) {
            continue;
        }
        let nested = is_json.then(|| nested_at(name, text, at + 1)).flatten();
        if let Some((found, end)) = nested {
            places.extend(found);
            done = end;
            continue;
        }
        let Some(place) = value_at(text, at + 1, is_json) else {
            continue;
        };
        let value = &text[place.clone()];
        if !value.is_empty() && !says_nothing(value) && value != HIDDEN {
            done = place.end;
            places.push(place);
        }
    }
}

/// What is secret in the list or object that begins at `at`, and where that ends; `None` where there is
/// no whole one.
fn nested_at(name: &str, text: &str, at: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let rest = text[at..].trim_start_matches(' ');
    let begin = text.len() - rest.len();
    if !rest.starts_with(['[', '{']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let length = values.byte_offset();
    let found = in_json(veil_of(name), &rest[..length], None)?;
    let places = found.places.into_iter().chain(found.bare);
    let places = places.map(|place| place.start + begin..place.end + begin);
    Some((places.collect(), begin + length))
}

/// Where the value is that begins at `at`, behind the sign; `None` where there is none.
fn value_at(text: &str, at: usize, is_json: bool) -> Option<Range<usize>> {
    let unspaced = text[at..].trim_start_matches([' ', '\\']);
    let begin = text.len() - unspaced.len();
    let quote = unspaced.chars().next();
    let quote = quote.filter(|c| matches!(c, '"' | '\''));
    let start = match quote {
        Some(_) => begin + 1,
        None if is_json => begin,
        None if text[at..].starts_with(' ') => return None,
        None => at,
    };
    let rest = &text[start..];
    let line = || rest.find('\n').unwrap_or(rest.len());
    let ends = |c: char| {
        c.is_whitespace()
            || matches!(c, '"' | '\'' | '<' | '&' | ';' | '`' | '\\')
            || (is_json && matches!(c, ',' | '}' | ']'))
    };
    let length = match quote {
        Some(quote) => rest.find([quote, '\n']),
        // A part of a list or an object, as far as it can reach on its line.
        None if is_json && rest.starts_with(['[', '{']) => {
            let last = rest[..line()].rfind([']', '}']);
            last.map(|last| last + 1)
        }
        None => rest.find(ends),
    };
    let value = &rest[..length.unwrap_or_else(line)];
    let value = value.trim_end_matches(['\r', '\\']);
    Some(start..start + value.len())
}

/// `KEY = "VALUE"` is how a line is described, and holds no key.
fn is_bare_key(name: &str) -> bool {
    ["key", "keys"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word))
}
