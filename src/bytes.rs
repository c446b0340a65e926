//! The one reader of fixed-width little-endian words.
//!
//! Each returns `None` where the field does not lie wholly inside the bytes, so that a
//! short buffer is an error the caller names and never a panic.

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
