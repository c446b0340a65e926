//! One line of esx.conf: what it is, and where its key and value lie.

use std::ops::Range;

use crate::ownership::split_virtual_function;

/// The longest key or value ESXi 6.7's parser takes, in bytes.
pub(super) const MAX_FIELD: usize = 8191;

/// A line of the exact form; byte ranges into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) whole: Range<usize>,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Why a line is remarkable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoteKind {
    /// Not of the form `KEY = "VALUE"`.
    Unparsed,
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// A `"` inside the value, where ESXi's parser ends it.
    StrayQuote,
    /// A key or value of more than 8191 bytes.
    TooLong,
    /// Speaks of passthrough for a device, or may name an owner that passes one through, but is not an owner
    /// line ESXi is known to read.
    OddOwner,
    /// Several lines give one device different owners.
    DuplicateOwner,
    /// Passes a device through whose address is none when read as decimal.
    IgnoredOwner,
}

impl NoteKind {
    pub(super) fn concerns_an_owner(self) -> bool {
        matches!(
            self,
            NoteKind::OddOwner | NoteKind::DuplicateOwner | NoteKind::IgnoredOwner
        )
    }

    /// Whether such a line passes no device through: it is kept, and that is all.
    pub(crate) fn is_only_kept(self) -> bool {
        !self.concerns_an_owner()
    }

    /// Why it is not of the exact form: ends the sentence "line N names KEY but ...".
    pub(super) fn why_odd(self) -> &'static str {
        match self {
            NoteKind::NotUtf8 => "is not UTF-8 text",
            NoteKind::StrayQuote => "has a stray quote in its value",
            NoteKind::TooLong => "has a key or value of more than 8191 bytes",
            _ => "is not of the form KEY = \"VALUE\"",
        }
    }

    /// A fragment that ends the sentence "line N ...".
    pub fn as_str(self) -> &'static str {
        match self {
            NoteKind::Unparsed => "is not of the form KEY = \"VALUE\" and is kept as it is",
            NoteKind::NotUtf8 => "is not UTF-8 text and is kept as it is",
            NoteKind::StrayQuote => "has a stray quote in its value and is kept as it is",
            NoteKind::TooLong => "has a key or value of more than 8191 bytes and is kept as it is",
            NoteKind::OddOwner => {
                "looks like a passed-through device but is not in the exact form; \
                 it is not known how ESXi reads it, and it is kept as it is"
            }
            NoteKind::DuplicateOwner => {
                "sets an owner, but another line with the same key sets a different one"
            }
            NoteKind::IgnoredOwner => {
                "passes a device through, but the host ignores this line: \
                 keys are decimal, and this one is no decimal address"
            }
        }
    }
}

/// What one line is; ranges count from its first byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// Nothing, or a comment.
    Blank,
    /// Of the exact form.
    Entry {
        key: Range<usize>,
        value: Range<usize>,
    },
    /// Anything else, with its key where one can be told.
    Odd {
        kind: NoteKind,
        key: Option<&'a str>,
    },
}

/// Parses one line, its ending included.
pub(super) fn parse(line: &[u8]) -> Parsed<'_> {
    let whole = trimmed(line, 0..line.len());
    let bytes = line.get(whole.clone()).unwrap_or_default();
    if matches!(bytes.first(), None | Some(b'#')) {
        return Parsed::Blank;
    }
    let text = std::str::from_utf8(bytes).ok();
    let equals = memchr::memchr(b'=', bytes);
    let key = equals.and_then(|equals| key_before(bytes, text, equals));
    let parts = match (text, equals) {
        (None, _) => Err(NoteKind::NotUtf8),
        (Some(_), None) => Err(NoteKind::Unparsed),
        (Some(_), Some(equals)) => parts(bytes, equals),
    };
    let shift = |part: Range<usize>| {
        let at = |offset: usize| offset.saturating_add(whole.start);
        at(part.start)..at(part.end)
    };
    match parts {
        Ok((key_range, value)) if key.is_some() => Parsed::Entry {
            key: shift(key_range),
            value: shift(value),
        },
        Ok(_) => odd(line, NoteKind::Unparsed, key),
        Err(kind) => odd(line, kind, key),
    }
}

fn odd<'a>(line: &[u8], kind: NoteKind, key: Option<&'a str>) -> Parsed<'a> {
    let speaks_of_passthrough =
        contains_ignoring_case(line, b"/device/") && contains_ignoring_case(line, b"passthru");
    Parsed::Odd {
        kind: if speaks_of_passthrough || may_pass_through(line) {
            NoteKind::OddOwner
        } else {
            kind
        },
        key,
    }
}

/// Whether a line that is not of the form has an owner's key, and what is behind it may pass the device through.
fn may_pass_through(line: &[u8]) -> bool {
    const DEVICE: &[u8] = b"/device/";
    let ends_key = |b: &u8| matches!(b, b'=' | b'"' | b' ' | b'\t' | b'\r' | b'\n');
    let mut rest = line;
    while let Some(at) = rest
        .windows(DEVICE.len())
        .position(|w| w.eq_ignore_ascii_case(DEVICE))
    {
        let from = rest.get(at..).unwrap_or_default();
        let end = from.iter().position(ends_key).unwrap_or(from.len());
        let Some((key, behind)) = from.split_at_checked(end) else {
            return false;
        };
        let key = String::from_utf8_lossy(key).to_ascii_lowercase();
        if let Some(place) = key.strip_suffix("/owner")
            && (split_virtual_function(place).1 || !is_clearly_not_passthru(behind))
        {
            return true;
        }
        rest = behind;
    }
    false
}

/// Whether what is behind the key of a function's owner, and does not speak of passthrough, names another owner
/// however it is read: one that has its end on this line, or begins like `vmkernel`. Any other may go on in
/// the next line. Of a virtual function every text but `vmkernel` passes it through, so nothing is clear there.
fn is_clearly_not_passthru(behind: &[u8]) -> bool {
    let value = behind.trim_ascii_start();
    let value = value.strip_prefix(b"=").unwrap_or(value);
    let value = value.trim_ascii_start();
    let inner = value.strip_prefix(b"\"");
    let is_closed = inner.is_some_and(|inner| memchr::memchr(b'"', inner).is_some());
    is_closed || inner.unwrap_or(value).starts_with(b"vmkernel")
}

/// The key in front of the first `=`, where there is one. `text` is all of the line as text, where
/// it is that.
fn key_before<'a>(bytes: &'a [u8], text: Option<&'a str>, equals: usize) -> Option<&'a str> {
    let range = trimmed(bytes, 0..equals);
    let key = match text {
        Some(text) => text.get(range)?,
        None => std::str::from_utf8(bytes.get(range)?).ok()?,
    };
    (key.starts_with('/') && memchr::memchr(b'"', key.as_bytes()).is_none()).then_some(key)
}

/// Where key and value lie in a line of text, once all of it has been found to be of the form.
fn parts(bytes: &[u8], equals: usize) -> Result<(Range<usize>, Range<usize>), NoteKind> {
    if memchr::memchr(0, bytes).is_some() {
        return Err(NoteKind::Unparsed);
    }
    let key = trimmed(bytes, 0..equals);
    let quoted = trimmed(bytes, equals.saturating_add(1)..bytes.len());
    let value = match bytes.get(quoted.clone()) {
        Some([b'"', inner @ .., b'"']) => {
            let start = quoted.start.saturating_add(1);
            if memchr::memchr(b'"', inner).is_some() {
                return Err(NoteKind::StrayQuote);
            }
            start..start.saturating_add(inner.len())
        }
        _ => return Err(NoteKind::Unparsed),
    };
    if key.len() > MAX_FIELD || value.len() > MAX_FIELD {
        return Err(NoteKind::TooLong);
    }
    Ok((key, value))
}

/// `range` without the blanks and line ends at both its ends.
fn trimmed(line: &[u8], range: Range<usize>) -> Range<usize> {
    let Some(bytes) = line.get(range.clone()) else {
        return 0..0;
    };
    let is_text = |b: &u8| !matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    match (
        bytes.iter().position(is_text),
        bytes.iter().rposition(is_text),
    ) {
        (Some(first), Some(last)) => {
            let at = |offset: usize| range.start.saturating_add(offset);
            at(first)..at(last).saturating_add(1)
        }
        _ => range.start..range.start,
    }
}

/// Whether an entry speaks of a passed-through device without being an owner line ESXi is
/// known to read: another case, blanks in the value, another depth of path.
pub(super) fn is_nearly_an_owner(line: &[u8], key: &Range<usize>, value: &Range<usize>) -> bool {
    let (Some(key), Some(value)) = (line.get(key.clone()), line.get(value.clone())) else {
        return false;
    };
    if !contains_ignoring_case(value, b"passthru") {
        return false;
    }
    match device_key(std::str::from_utf8(key).unwrap_or_default()) {
        // Of a virtual function any such value means passed through.
        Some((written, "owner")) => value != b"passthru" && !split_virtual_function(written).1,
        Some((_, leaf)) => leaf.eq_ignore_ascii_case("owner"),
        None => {
            let lower = key.to_ascii_lowercase();
            lower.starts_with(b"/device/") && lower.ends_with(b"/owner")
        }
    }
}

/// Splits `/device/ADDRESS/LEAF`.
pub(super) fn device_key(key: &str) -> Option<(&str, &str)> {
    let (address, leaf) = key.strip_prefix("/device/")?.split_once('/')?;
    let sound = !address.is_empty()
        && !leaf.is_empty()
        && !leaf.contains('/')
        && !key.contains([' ', '\t']);
    sound.then_some((address, leaf))
}

fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|w| w.eq_ignore_ascii_case(word))
}
