//! The tokens of a JSON text by where they stand in it.
//!
//! The text is first checked as a whole, by [`check`]; what walks it here may therefore rely on
//! sound JSON, and still never panics on other text.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::ops::Range;

/// Checks that a text is JSON as a whole, no deeper than can be walked. Nothing of it is kept: values take
/// many times as much memory as their text.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Sound>(text).map(drop)
}

/// Any value, read to its last byte.
struct Sound;

impl<'de> Deserialize<'de> for Sound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Sound)
    }
}

impl<'de> Visitor<'de> for Sound {
    type Value = Sound;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Sound, E> {
        Ok(Sound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Sound, A::Error> {
        while let Some(Sound) = items.next_element()? {}
        Ok(Sound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sound, A::Error> {
        while let Some((Sound, Sound)) = members.next_entry()? {}
        Ok(Sound)
    }
}

/// The tokens of a text, from its beginning.
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Tokens {
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    /// The next token: a string, a punctuation mark, or a run of anything else.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        while matches!(self.bytes.get(self.at)?, b' ' | b'\t' | b'\n' | b'\r') {
            self.step();
        }
        let start = self.at;
        let first = *self.bytes.get(start)?;
        self.step();
        match first {
            b'"' => self.finish_string(),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {}
            _ => {
                while let Some(byte) = self.bytes.get(self.at) {
                    if b" \t\r\n{}[],:\"".contains(byte) {
                        break;
                    }
                    self.step();
                }
            }
        }
        Some(start..self.at)
    }

    /// The next value whole, with everything in its brackets.
    pub(crate) fn value(&mut self) -> Option<Range<usize>> {
        let first = self.next()?;
        let mut depth = self.opens(&first);
        let mut end = first.end;
        while depth > 0 {
            let token = self.next()?;
            depth = match self.bytes.get(token.start) {
                Some(b'}' | b']') => depth.saturating_sub(1),
                _ => depth.saturating_add(self.opens(&token)),
            };
            end = token.end;
        }
        Some(first.start..end)
    }

    fn opens(&self, token: &Range<usize>) -> usize {
        usize::from(matches!(self.bytes.get(token.start), Some(b'{' | b'[')))
    }

    fn finish_string(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            self.step();
            match byte {
                b'"' => return,
                b'\\' => self.step(),
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1).min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_json_is_none_for_the_check_either() {
        for text in [
            "",
            "{",
            r#"{"a":1}}"#,
            r#"{"a":1,}"#,
            r#""\ud83d""#,
            "01",
            "1e",
            "nul",
            "[1 2]",
            "{1:2}",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check(&"[".repeat(100_000)).is_err());
        for text in [
            " [ ] ",
            "1e400",
            "-0.10",
            r#"{"a":[{"b":null}, true,"\u00e9"]}"#,
        ] {
            check(text).unwrap();
        }
    }

    proptest! {
        #[test]
        fn the_check_says_what_a_json_library_says(text in r#"[{}\[\]:,"\\a0-9u.eE+ -]{0,24}"#) {
            let value = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert_eq!(check(&text).is_ok(), value.is_ok());
        }
    }
}
