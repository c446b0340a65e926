//! Text made safe to show, and words made safe to run.

use std::borrow::Cow;

/// A word of a command that is printed to be run: quoted where a shell would read it otherwise.
pub fn quoted(word: &str) -> Cow<'_, str> {
    // Only a NUL cannot be quoted, and none is in the name of a file.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// The last gate before a terminal, for names of files above all: lets through line breaks and what
/// [`styled`](super::styled) makes, and shows every other control character as an escape.
pub(super) fn tame(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let style = rest.strip_prefix("\u{1b}[").and_then(|style| {
            let end = style.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            style[end..].starts_with('m').then_some(2 + end + 1)
        });
        let len = style.unwrap_or(character.len_utf8());
        let (now, later) = rest.split_at(len);
        if style.is_some() || character == '\n' {
            safe.push_str(now);
        } else {
            safe.push_str(&shown(now));
        }
        rest = later;
    }
    safe
}

/// Text from a medium made safe to show: control characters, which could drive a terminal, and
/// marks that make text read in another order than it is written become visible escapes.
pub fn shown(text: &str) -> String {
    let reorders = |character| matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || reorders(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The ending of a noun there are that many of.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A size in the unit a person would use: `250 MiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{bytes} bytes"),
        _ => bytesize::ByteSize::b(bytes).display().iec().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_of_a_command_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("a.img"), "a.img");
        assert_eq!(quoted("my stick.img"), "'my stick.img'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
