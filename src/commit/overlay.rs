//! A medium with a write set laid over it: what it will read as once the steps are done.
//!
//! Everything that reads a medium reads an overlay the same way, so the result of a plan is
//! judged by the code that would read it back. There is no way to write through it.

use super::WriteSet;
use crate::medium::{Lba, ReadAt, read_into_zeros};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// A medium seen through changed sectors held in memory.
pub struct Overlay<'m> {
    medium: &'m dyn ReadAt,
    sector_size: u32,
    sectors: BTreeMap<Lba, Bytes>,
}

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("sector_size", &self.sector_size)
            .field("sectors", &self.sectors.keys())
            .finish_non_exhaustive()
    }
}

impl<'m> Overlay<'m> {
    /// The medium as it reads after every step of `set`.
    pub fn new(medium: &'m dyn ReadAt, set: &WriteSet) -> Self {
        let sectors = set
            .net_changes()
            .into_iter()
            .map(|(lba, (_, new))| (lba, new.clone()))
            .collect();
        Self::from_sectors(medium, set.sector_size(), sectors)
    }

    pub(super) fn from_sectors(
        medium: &'m dyn ReadAt,
        sector_size: u32,
        sectors: BTreeMap<Lba, Bytes>,
    ) -> Self {
        Overlay {
            medium,
            sector_size,
            sectors,
        }
    }
}

impl ReadAt for Overlay<'_> {
    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.covers(offset, buf.len()) {
            self.medium.read_at(buf, offset)?;
        }
        self.lay_over(buf, offset);
        Ok(())
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // What is changed wholly is not asked of the medium: it may be past reading there.
        if self.covers(offset, len) {
            return read_into_zeros(self, offset, len);
        }
        let mut bytes = self.medium.read_vec(offset, len)?;
        self.lay_over(&mut bytes, offset);
        Ok(bytes)
    }
}

impl Overlay<'_> {
    /// Whether every sector of a range is changed.
    fn covers(&self, offset: u64, len: usize) -> bool {
        let end = offset.saturating_add(len as u64);
        let touched = Lba::covering(offset..end, self.sector_size);
        let changed = self.sectors.range(touched.clone()).count();
        changed as u64 == Lba::count(&touched) && end <= self.size()
    }

    /// Puts the changed bytes over what is in `buf`, which begins at byte `offset`.
    fn lay_over(&self, buf: &mut [u8], offset: u64) {
        let end = offset.saturating_add(buf.len() as u64);
        let touched = Lba::covering(offset..end, self.sector_size);
        for (&lba, sector) in self.sectors.range(touched) {
            let Some(start) = lba.offset(self.sector_size) else {
                continue;
            };
            let from = start.max(offset);
            let to = (start + sector.len() as u64).min(end);
            let (Ok(source), Ok(target), Ok(len)) = (
                usize::try_from(from - start),
                usize::try_from(from - offset),
                usize::try_from(to.saturating_sub(from)),
            ) else {
                continue;
            };
            buf[target..target + len].copy_from_slice(&sector[source..source + len]);
        }
    }
}
