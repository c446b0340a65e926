//! Secrets in text files: configuration by lines, XML and JSON.

use super::forms;
use super::names::{Veil, is_secret_name, is_secret_path, says_nothing};
use std::ops::Range;

/// Words of a line without `=` or `:` that may still be a setting: a name, a kind and a value.
const MOST_WORDS: usize = 3;

/// Elements of XML inside each other that are told apart.
const MOST_OPEN: usize = 256;

/// The places that are secret in the content of the file at `path`.
pub(super) fn find(path: &str, text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    if is_secret_path(path) {
        forms::lines(text, 0..text.len(), &mut places);
        return places;
    }
    if text.trim_start().starts_with(['{', '['])
        && let Some(found) = forms::in_json(Veil::Open, text, None)
    {
        return [found.places, found.bare].concat();
    }
    forms::find(text, 0, &mut places);
    settings(text, &mut places);
    if text.contains("</") {
        elements(text, &mut places);
    }
    places
}

/// Lines of the form `NAME = VALUE`, `NAME: VALUE` and `NAME VALUE`, and what is indented below a
/// name without a value.
fn settings(text: &str, places: &mut Vec<Range<usize>>) {
    let mut at = 0;
    // How far the line is indented whose value is in those below it.
    let mut block: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let content = line.trim_end();
        let bare = content.trim_start();
        let indent = content.len() - bare.len();
        if bare.is_empty() {
            continue;
        }
        if let Some(above) = block {
            if indent > above || bare.starts_with("- ") {
                places.push(start + indent..start + content.len());
                continue;
            }
            block = None;
        }
        match setting(content) {
            Some(value) if value.is_empty() => block = Some(indent),
            Some(value) => places.push(start + value.start..start + value.end),
            None => {}
        }
    }
}

/// Where the value of a line is whose name says that it is secret.
fn setting(line: &str) -> Option<Range<usize>> {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '#' | ';' | '!');
    let begin = line.len() - line.trim_start_matches(is_mark).len();
    let is_comment = !line[..begin].trim().is_empty();
    let rest = &line[begin..];
    let separator = if rest.starts_with('/') {
        rest.find('=')?
    } else {
        rest.find(|c: char| matches!(c, '=' | ':') || c.is_whitespace())?
    };
    let name = rest[..separator].trim().trim_matches(['"', '\'']);
    if name.contains(['<', '>']) || !is_secret_name(name) {
        return None;
    }
    let behind = rest[separator..].trim_start();
    let has_sign = behind.starts_with(['=', ':']);
    let words = rest.split_whitespace().count();
    if !has_sign && (is_comment || words > MOST_WORDS) {
        return None;
    }
    let value = behind.trim_start_matches(['=', ':']).trim_start();
    let value_at = line.len() - value.len();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let range = match quote {
        Some(quote) => {
            let last = value.rfind(quote).filter(|last| *last > 0);
            value_at + 1..value_at + last.unwrap_or(value.len())
        }
        None => value_at..value_at + value.trim_end_matches([',', ';']).len(),
    };
    (!says_nothing(line.get(range.clone())?)).then_some(range)
}

/// What stands between the tags of an element whose name, or that of one around it, says so.
fn elements(text: &str, places: &mut Vec<Range<usize>>) {
    let mut open: Vec<(&str, bool)> = Vec::new();
    let mut at = 0;
    while let Some(less) = text[at..].find('<') {
        let tag_at = at + less;
        let Some(close) = text[tag_at..].find('>') else {
            return;
        };
        let is_secret = open.last().is_some_and(|(_, secret)| *secret);
        if is_secret && !says_nothing(text[at..tag_at].trim()) {
            forms::lines(text, at..tag_at, places);
        }
        let tag = &text[tag_at + 1..tag_at + close];
        at = tag_at + close + 1;
        let name = tag.trim_start_matches('/');
        let name = name.split(|c: char| c.is_whitespace() || c == '/').next();
        let name = name.unwrap_or_default();
        if tag.starts_with('/') {
            if let Some(depth) = open.iter().rposition(|(opened, _)| *opened == name) {
                open.truncate(depth);
            }
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) && open.len() < MOST_OPEN {
            open.push((name, is_secret || is_secret_name(name)));
        }
    }
}
