//! The first copy of a FAT, read where it is asked.

use super::undecided::{Undecided, read};
use crate::medium::ReadAt;
use std::collections::HashMap;

/// Bytes that are read together: a page.
const PAGE: u64 = 4096;

/// The first copy of a FAT.
pub(super) struct FatCopy<'m> {
    medium: &'m dyn ReadAt,
    /// Byte position on the medium.
    start: Option<u64>,
    sector: u64,
    /// 16 bits an entry, not 12.
    wide: bool,
    /// Sectors by their position in the FAT.
    sectors: HashMap<u64, Vec<u8>>,
}

impl<'m> FatCopy<'m> {
    pub(super) fn new(medium: &'m dyn ReadAt, start: Option<u64>, sector: u64, wide: bool) -> Self {
        FatCopy {
            medium,
            start,
            sector,
            wide,
            sectors: HashMap::new(),
        }
    }

    /// What follows `cluster`; callers bound its number.
    pub(super) fn entry(&mut self, cluster: u64) -> Result<u16, Undecided> {
        let offset = if self.wide {
            cluster * 2
        } else {
            cluster + cluster / 2
        };
        let word = u16::from_le_bytes([self.byte(offset)?, self.byte(offset + 1)?]);
        Ok(match (self.wide, cluster % 2) {
            (true, _) => word,
            (false, 0) => word & 0xfff,
            (false, _) => word >> 4,
        })
    }

    /// Whether an entry ends a chain.
    pub(super) fn is_end(&self, entry: u16) -> bool {
        entry >= if self.wide { 0xfff8 } else { 0xff8 }
    }

    fn byte(&mut self, offset: u64) -> Result<u8, Undecided> {
        let number = offset / self.sector;
        if !self.sectors.contains_key(&number) {
            self.fetch(number)?;
        }
        let within = usize::try_from(offset % self.sector).unwrap_or_default();
        let sector = self.sectors.get(&number);
        let byte = sector.and_then(|sector| sector.get(within));
        Ok(byte.copied().unwrap_or_default())
    }

    /// Reads the page around a sector, or, where that fails, the sector alone.
    fn fetch(&mut self, number: u64) -> Result<(), Undecided> {
        let together = (PAGE / self.sector).max(1);
        let first = number - number % together;
        let at = |sector: u64| self.start?.checked_add(sector * self.sector);
        let page = read(self.medium, at(first), together * self.sector);
        let (first, bytes) = match page {
            Ok(bytes) => (first, bytes),
            Err(_) => (number, read(self.medium, at(number), self.sector)?),
        };
        let len = usize::try_from(self.sector).unwrap_or(usize::MAX);
        for (number, sector) in (first..).zip(bytes.chunks(len)) {
            self.sectors.insert(number, sector.to_vec());
        }
        Ok(())
    }
}
