//! The head of a volume, boot sector, FATs and root directory, served from memory.

use crate::medium::{ReadAt, read_into_zeros};
use std::fmt;
use std::io;

/// A medium of which the head of one volume is served from memory.
pub struct KnownHead<'v> {
    pub(super) medium: &'v dyn ReadAt,
    /// Where in the medium the known bytes are, in bytes, and the bytes.
    pub(super) parts: Vec<(u64, &'v [u8])>,
}

impl fmt::Debug for KnownHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHead").finish_non_exhaustive()
    }
}

impl ReadAt for KnownHead<'_> {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut rest = buf;
        let mut at = offset;
        while !rest.is_empty() {
            let (known, len) = self.known_from(at);
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            match known.and_then(|known| known.get(..len)) {
                Some(known) => now.copy_from_slice(known),
                None => self.medium.read_at(now, at)?,
            }
            at = at.saturating_add(len as u64);
            rest = later;
        }
        Ok(())
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let (known, there) = self.known_from(offset);
        if let Some(known) = known.and_then(|known| known.get(..len)) {
            return Ok(known.to_vec());
        }
        if known.is_none() && there >= len as u64 {
            return self.medium.read_vec(offset, len);
        }
        read_into_zeros(self, offset, len)
    }
}

impl KnownHead<'_> {
    /// The known bytes from `at` on, or `None` and how many bytes of the medium come before
    /// the next known ones. The number is never 0.
    fn known_from(&self, at: u64) -> (Option<&[u8]>, u64) {
        let mut unknown = u64::MAX;
        for (start, part) in &self.parts {
            match at.checked_sub(*start) {
                Some(within) => {
                    let within = usize::try_from(within).unwrap_or(usize::MAX);
                    if let Some(known) = part.get(within..).filter(|known| !known.is_empty()) {
                        return (Some(known), known.len() as u64);
                    }
                }
                None => unknown = unknown.min(start - at),
            }
        }
        (None, unknown)
    }
}
