//! The one reader of fixed-width little-endian words, and of the marks and line endings of texts.
//!
//! Each word reader returns `None` where the field does not lie wholly inside the bytes, so that a
//! short buffer is an error the caller names and never a panic.

use bytes::Bytes;

/// A text without the byte order mark that editors and spreadsheets of Windows put in front of UTF-8.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// How the lines of a text end, by the first of them.
pub(crate) fn line_ending(text: &[u8]) -> &'static str {
    match text.split_inclusive(|&byte| byte == b'\n').next() {
        Some(line) if line.ends_with(b"\r\n") => "\r\n",
        _ => "\n",
    }
}

/// Bytes in hexadecimal, two lower-case digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parts of `len` bytes each of one piece of memory, whose length is a multiple of that.
pub(crate) fn in_parts(bytes: Bytes, len: usize) -> impl Iterator<Item = Bytes> {
    let starts = (0..bytes.len()).step_by(len);
    starts.map(move |start| bytes.slice(start..start + len))
}

/// The two bytes at `offset` as a little-endian number.
pub(crate) fn le16(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// The four bytes at `offset` as a little-endian number.
pub(crate) fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// The eight bytes at `offset` as a little-endian number.
pub(crate) fn le64(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// The `N` bytes at `offset`.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}
