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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_never_asked_of_the_medium_wherever_a_read_begins() {
        let medium = vec![0; 60];
        let (first, second) = ([1; 10], [2; 5]);
        let head = KnownHead {
            medium: &medium,
            parts: vec![(10, &first), (30, &second)],
        };
        let mut whole = medium.clone();
        whole[10..20].copy_from_slice(&first);
        whole[30..35].copy_from_slice(&second);
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut read = vec![9; to - from];
                head.read_at(&mut read, from as u64).unwrap();
                assert_eq!(read, whole[from..to]);
                assert_eq!(head.read_vec(from as u64, to - from).unwrap(), read);
            }
        }
        assert!(head.read_vec(50, 11).is_err());
    }
}
