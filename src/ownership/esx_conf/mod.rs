//! esx.conf: the text file ESXi 3.5 to 7.0 U1 keeps its configuration in, passthrough included; later
//! hosts still have one.
//!
//! The format is `KEY = "VALUE"`, one line each, as ESXi 6.7's own parser reads it: no header, no
//! includes, no escapes, so a value cannot hold a `"`; `#` begins a comment where a key may
//! begin; key and value are at most 8191 bytes; order has no meaning. That the last of several
//! lines with one key wins is inferred, so an edit makes all of them agree.
//!
//! Every byte is kept except the values that are set. A line that is not of the exact form is kept,
//! reported as a [`Note`] and never written. Blanks around the `=` and at both ends of a line are
//! taken as ESXi's own lines with different spacing; that a host reads them so is inferred.

mod devices;
mod edit;
mod line;

use std::fmt;
use std::ops::Range;

use super::OwnershipError;
use crate::pci::PciAddress;
pub use line::NoteKind;
use line::{Line, MAX_FIELD, Parsed};

/// Larger than any host writes (10 to 40 KB is usual) by a factor of hundreds.
const MAX_SIZE: usize = 16 << 20;
/// More notes than this are counted, not kept; those on owners up to twice as many.
const MAX_NOTES: usize = 1000;
/// Characters of a line that a note shows.
const NOTE_TEXT: usize = 160;

/// An esx.conf as parsed. Edits return a new one and leave this as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EsxConf {
    content: Content,
    lines: Vec<Line>,
    odd: Vec<OddLine>,
    notes: Vec<Note>,
    notes_left_out: usize,
}

/// The bytes of the file, looked through once for whether they are text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => Content::Bytes(error.into_bytes()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }

    /// The text of a range that the parser found to be UTF-8.
    fn text(&self, range: &Range<usize>) -> &str {
        match self {
            Content::Text(text) => text.get(range.clone()).unwrap_or_default(),
            Content::Bytes(bytes) => {
                let text = bytes.get(range.clone()).map(std::str::from_utf8);
                text.and_then(Result::ok).unwrap_or_default()
            }
        }
    }
}

/// One key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The whole key, `/system/uuid`.
    pub key: &'a str,
    /// The text between the quotes.
    pub value: &'a str,
    /// Line number, from 1.
    pub line: usize,
}

/// Something about a line that a person should know. The line is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Note {
    /// Line number, from 1.
    pub line: usize,
    /// What is remarkable.
    pub kind: NoteKind,
    /// The PCI function that the line names, whatever it says of it; `None` where that cannot be told.
    pub address: Option<PciAddress>,
    /// The beginning of the line, with bytes that are not UTF-8 replaced.
    pub text: String,
}

/// The PCI function that a line names.
fn address_in(line: &[u8]) -> Option<PciAddress> {
    const DEVICE: &[u8] = b"/device/";
    let begins = line.windows(DEVICE.len()).position(|it| it == DEVICE)?;
    let behind = line.get(begins + DEVICE.len()..)?;
    let name = behind.split(|&byte| byte == b'/').next()?;
    PciAddress::from_key(std::str::from_utf8(name).ok()?)
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.kind.as_str();
        write!(f, "line {} {what}: {}", self.line, self.text.trim_end())
    }
}

/// A line that is not of the exact form but begins with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OddLine {
    number: usize,
    key: String,
    kind: NoteKind,
}

impl OddLine {
    /// Whether it may pass a device through.
    fn is_doubtful(&self) -> bool {
        self.kind == NoteKind::OddOwner
    }

    /// Why nothing is done with its key.
    fn refused(&self) -> OwnershipError {
        OwnershipError::OddLine {
            key: shortened(&self.key),
            line: self.number,
            why: self.kind.why_odd(),
        }
    }
}

impl EsxConf {
    /// Parses the file. No content of a line is an error; see [`EsxConf::notes`].
    ///
    /// # Errors
    /// [`OwnershipError::ConfTooLarge`] above 16 MiB.
    pub fn parse(bytes: Vec<u8>) -> Result<EsxConf, OwnershipError> {
        if bytes.len() > MAX_SIZE {
            return Err(OwnershipError::ConfTooLarge {
                size: bytes.len(),
                limit: MAX_SIZE,
            });
        }
        let mut conf = EsxConf {
            content: Content::Bytes(Vec::new()),
            lines: Vec::new(),
            odd: Vec::new(),
            notes: Vec::new(),
            notes_left_out: 0,
        };
        let mut start = 0;
        for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            conf.take_line(index.saturating_add(1), start, line);
            start = start.saturating_add(line.len());
        }
        conf.content = Content::of(bytes);
        conf.note_owners();
        Ok(conf)
    }

    fn take_line(&mut self, number: usize, start: usize, line: &[u8]) {
        match line::parse(line) {
            Parsed::Blank => {}
            Parsed::Entry { key, value } => {
                if line::is_nearly_an_owner(line, &key, &value) {
                    self.note(number, NoteKind::OddOwner, line);
                }
                let shift =
                    |r: Range<usize>| r.start.saturating_add(start)..r.end.saturating_add(start);
                self.lines.push(Line {
                    number,
                    whole: start..start.saturating_add(line.len()),
                    key: shift(key),
                    value: shift(value),
                });
            }
            Parsed::Odd { kind, key } => {
                self.note(number, kind, line);
                if let Some(key) = key {
                    self.odd.push(OddLine {
                        kind,
                        number,
                        key: key.to_owned(),
                    });
                }
            }
        }
    }

    fn note(&mut self, line: usize, kind: NoteKind, text: &[u8]) {
        // Notes on owners have as much room again: a flood of others must not hide them.
        let most = if kind.concerns_an_owner() {
            2 * MAX_NOTES
        } else {
            MAX_NOTES
        };
        if self.notes.len() >= most {
            self.notes_left_out = self.notes_left_out.saturating_add(1);
            return;
        }
        let address = address_in(text);
        let shown = text.get(..text.len().min(4 * NOTE_TEXT)).unwrap_or(text);
        let text = String::from_utf8_lossy(shown);
        self.notes.push(Note {
            line,
            kind,
            address,
            text: text.trim_end().chars().take(NOTE_TEXT).collect(),
        });
    }

    /// The file as it is to be written.
    pub fn as_bytes(&self) -> &[u8] {
        self.content.as_bytes()
    }

    /// Consumes the parsed file and returns its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.content {
            Content::Text(text) => text.into_bytes(),
            Content::Bytes(bytes) => bytes,
        }
    }

    /// Lines a person should know of, in the order of the file, duplicate owners last.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How many notes were left out because there are very many.
    pub fn notes_left_out(&self) -> usize {
        self.notes_left_out
    }

    /// Every line of the exact form, in the order of the file, duplicates included.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.lines.iter().map(|line| Entry {
            key: self.text(&line.key),
            value: self.text(&line.value),
            line: line.number,
        })
    }

    /// The value of `key`: the last line's, where several have it.
    pub fn get(&self, key: &str) -> Option<&str> {
        let last = self.lines_with(key).last()?;
        Some(self.text(&last.value))
    }

    /// Whether a line that is not of the exact form begins with `key`.
    pub(crate) fn has_odd_line(&self, key: &str) -> bool {
        self.check_exact(key).is_err()
    }

    /// Refuses a key with which a line begins that is not of the exact form.
    ///
    /// # Errors
    /// [`OwnershipError::OddLine`].
    pub fn check_exact(&self, key: &str) -> Result<(), OwnershipError> {
        let mut odd = self.odd.iter().filter(|odd| odd.key == key);
        odd.next().map_or(Ok(()), |odd| Err(odd.refused()))
    }

    fn lines_with<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines
            .iter()
            .filter(move |line| self.slice(&line.key) == key.as_bytes())
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.as_bytes().get(range.clone()).unwrap_or_default()
    }

    fn text(&self, range: &Range<usize>) -> &str {
        self.content.text(range)
    }
}

fn check_key(key: &str) -> Result<(), OwnershipError> {
    let why = if !key.starts_with('/') {
        "it does not begin with `/`"
    } else if key.len() > MAX_FIELD {
        "it is longer than 8191 bytes"
    } else if key.split('/').skip(1).any(str::is_empty) {
        "a part of it is empty"
    } else if key
        .chars()
        .any(|c| c == '"' || c == '=' || c.is_whitespace() || c.is_control())
    {
        "it holds a space, a control character, `\"` or `=`"
    } else {
        return Ok(());
    };
    Err(OwnershipError::BadKey {
        key: shortened(key),
        why,
    })
}

fn check_value(key: &str, value: &str) -> Result<(), OwnershipError> {
    let why = if value.contains('"') {
        "it holds a `\"`, which esx.conf cannot hold"
    } else if value.contains(['\n', '\r', '\0']) {
        "it holds a line break or a NUL"
    } else if value.len() > MAX_FIELD {
        "it is longer than 8191 bytes"
    } else {
        return Ok(());
    };
    Err(OwnershipError::BadValue {
        key: shortened(key),
        why,
    })
}

/// A key for a message, which may have come from anywhere.
fn shortened(key: &str) -> String {
    key.chars().take(NOTE_TEXT).collect()
}

#[cfg(test)]
mod tests;
