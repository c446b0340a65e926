//! The key of an encrypted state.

use std::fmt;
use zeroize::Zeroizing;

/// An AES-256 key, wiped from memory when dropped and never shown.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(super) fn new(bytes: Zeroizing<[u8; 32]>) -> Key {
        Key(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
