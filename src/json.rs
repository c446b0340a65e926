//! The tokens of a JSON text by where they stand in it.
//!
//! The text is first checked as a whole by `serde_json`; what walks it here may therefore rely on
//! sound JSON, and still never panics on other text.

use std::ops::Range;

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
