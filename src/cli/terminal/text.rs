//! Text made safe to show, and words made safe to run.

use serde::de::IgnoredAny;
use serde_json::ser::{CompactFormatter, Formatter};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A word of a command that is printed to be run: quoted where a shell would read it otherwise.
/// What could forge a line or drive a terminal is written as bash, zsh and POSIX 2024 read it,
/// `$'a\nb'`.
pub fn quoted(word: &str) -> Cow<'_, str> {
    if !word.chars().any(is_hidden) {
        // Only a NUL cannot be quoted, and none is in the name of a file.
        return shlex::try_quote(word).unwrap_or(Cow::Borrowed(word));
    }
    Cow::Owned(escaped(word.as_bytes()))
}

/// The name of a file of this machine, made safe to show.
pub fn name(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// Whether a character is not what it looks like: control characters, which could drive a terminal
/// or begin a line, and marks that make text read in another order than it is written.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Writes JSON in which every hidden character is an escape, so that a line of it can be looked at
/// on a terminal. What a reader makes of it is the same.
#[derive(Default)]
pub(super) struct SafeJson(CompactFormatter);

impl Formatter for SafeJson {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (plain, hidden) = rest.split_at(at);
            self.0.write_string_fragment(writer, plain)?;
            // None of them is above U+FFFF.
            write!(writer, "\\u{:04x}", u32::from(character))?;
            rest = hidden.split_at(character.len_utf8()).1;
        }
        self.0.write_string_fragment(writer, rest)
    }
}

/// JSON that means the same, in one line and without a hidden character: those in its strings are
/// escapes, those between its tokens blanks. `None` where the text is no JSON.
pub fn safe_json(json: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // In a string they would be escapes already.
            '\n' | '\r' | '\t' => safe.push(' '),
            // None of them is above U+FFFF.
            hidden if is_hidden(hidden) => {
                let _ = write!(safe, "\\u{:04x}", u32::from(hidden));
            }
            plain => safe.push(plain),
        }
    }
    Some(safe)
}

/// A path in a command that is printed to be run: none is taken for an option, and one that cannot be
/// shown as it is, because it is not UTF-8 or would drive a terminal, is written in escapes that
/// shells know.
pub fn quoted_path(path: &Path) -> String {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    if bytes.starts_with(b"-") {
        bytes.splice(..0, *b"./");
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => quoted(text).into_owned(),
        Err(_) => escaped(&bytes),
    }
}

/// Bytes as a word in `$'...'`.
fn escaped(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    // Octal digits end by themselves, unlike hexadecimal ones.
    let octal = |word: &mut String, bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("\\{byte:03o}"));
        word.extend(digits);
    };
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | '\'' => word.extend(['\\', character]),
                hidden if is_hidden(hidden) => {
                    octal(&mut word, hidden.encode_utf8(&mut [0; 4]).as_bytes());
                }
                plain => word.push(plain),
            }
        }
        octal(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
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
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
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
    use super::{SafeJson, quoted, quoted_path, safe_json};
    use serde::Serialize as _;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::process::Command;

    /// A shell that knows `$'...'` reads every path as the one that was meant.
    #[test]
    fn a_path_of_any_bytes_is_read_by_a_shell_as_it_is() {
        let paths: [&[u8]; 6] = [
            b"/dev/sdb",
            b"-rf",
            b"it's a stick.img",
            b"\xff\xfe'\\7.img",
            b"a\nb\x1b[2J.img",
            "\u{202e}gmi.kcits".as_bytes(),
        ];
        for path in paths {
            let word = quoted_path(Path::new(OsStr::from_bytes(path)));
            assert!(
                word.chars().all(|c| c.is_ascii_graphic() || c == ' '),
                "{word}"
            );
            let line = format!("printf %s {word}");
            let said = Command::new("bash").args(["-c", &line]).output().unwrap();
            let expected = [
                if path[0] == b'-' {
                    b"./".as_slice()
                } else {
                    b""
                },
                path,
            ];
            assert_eq!(said.stdout, expected.concat(), "{word}");
        }
    }

    #[test]
    fn json_that_is_shown_means_the_same_and_hides_nothing() {
        let json = "{\n\t\"na\u{2028}me\": [\"a\u{7f}\u{85}\\n\u{202e}é\", 18446744073709551616],\r\n\"b\":1.10 }";
        let safe = safe_json(json).unwrap();
        assert_eq!(
            safe,
            r#"{  "na\u2028me": ["a\u007f\u0085\n\u202eé", 18446744073709551616],  "b":1.10 }"#
        );
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&safe), value(json));
        for text in [
            "",
            "{",
            "a\u{1b}",
            "\"a\u{1b}\"",
            "\"a\n\"",
            "1\u{7f}",
            "1 2",
        ] {
            assert_eq!(safe_json(text), None, "{text:?}");
        }
    }

    #[test]
    fn json_hides_nothing_and_reads_back_the_same() {
        let text = "a\u{85}b\u{202e}c\u{2028}\u{7f}d\n\u{1b}\"é\u{10ffff}";
        let mut bytes = Vec::new();
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, SafeJson::default());
        text.serialize(&mut writer).unwrap();
        let written = String::from_utf8(bytes).unwrap();
        assert_eq!(
            written,
            "\"a\\u0085b\\u202ec\\u2028\\u007fd\\n\\u001b\\\"é\u{10ffff}\""
        );
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

    #[test]
    fn a_word_with_a_line_break_stays_on_one_line() {
        assert_eq!(quoted("a\nb'\\"), r"$'a\012b\'\\'");
        assert_eq!(quoted("\u{202e}x"), r"$'\342\200\256x'");
    }

    #[test]
    fn a_word_of_a_command_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("a.img"), "a.img");
        assert_eq!(quoted("my stick.img"), "'my stick.img'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
