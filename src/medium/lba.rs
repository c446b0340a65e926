//! Sector numbers, and where on a medium they are.
//!
//! A number of a sector and a position in bytes are both counts from the start of a medium;
//! only one of them is a [`Lba`], and what turns one into the other is in this file.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Number of a logical sector of a medium, counted from 0: its logical block address.
///
/// Any number is one; whether a medium has such a sector is for others to say.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Lba(pub u64);

impl Lba {
    /// The sector that holds byte `offset` of a medium with sectors of `sector_size` bytes. Of
    /// sectors without any bytes it is the last one there could be.
    pub fn holding(offset: u64, sector_size: u32) -> Lba {
        Lba(offset
            .checked_div(u64::from(sector_size))
            .unwrap_or(u64::MAX))
    }

    /// The sector that begins at byte `offset`; `None` where none does.
    pub fn beginning_at(offset: u64, sector_size: u32) -> Option<Lba> {
        let lba = Lba::holding(offset, sector_size);
        (lba.offset(sector_size) == Some(offset)).then_some(lba)
    }

    /// The sectors that hold the bytes of `range`.
    pub fn covering(range: Range<u64>, sector_size: u32) -> Range<Lba> {
        let first = Lba::holding(range.start, sector_size);
        match range.end.checked_sub(1) {
            Some(last) if last >= range.start => {
                first..Lba::holding(last, sector_size).saturating_add(1)
            }
            _ => first..first,
        }
    }

    /// Position of the sector's first byte; `None` past what 64 bits can count.
    pub fn offset(self, sector_size: u32) -> Option<u64> {
        self.0.checked_mul(u64::from(sector_size))
    }

    /// The sector `sectors` further on; `None` past what 64 bits can count.
    pub fn checked_add(self, sectors: u64) -> Option<Lba> {
        self.0.checked_add(sectors).map(Lba)
    }

    /// The sector `sectors` further on, or the last one 64 bits can count.
    pub fn saturating_add(self, sectors: u64) -> Lba {
        Lba(self.0.saturating_add(sectors))
    }

    /// Each sector of a range, in order.
    pub fn each(range: Range<Lba>) -> impl Iterator<Item = Lba> {
        (range.start.0..range.end.0).map(Lba)
    }

    /// How many sectors a range has.
    pub fn count(range: &Range<Lba>) -> u64 {
        range.end.0.saturating_sub(range.start.0)
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_bytes_is_covered_by_every_sector_it_touches_and_no_other() {
        for (bytes, first, end) in [
            (0..512, 0, 1),
            (511..513, 0, 2),
            (512..1024, 1, 2),
            (700..700, 1, 1),
            (u64::MAX - 1..u64::MAX, u64::MAX / 512, u64::MAX / 512 + 1),
        ] {
            let covered = Lba::covering(bytes.clone(), 512);
            assert_eq!(covered, Lba(first)..Lba(end), "{bytes:?}");
            assert_eq!(Lba::count(&covered), end - first);
            assert_eq!(Lba::each(covered).count() as u64, end - first);
        }
    }

    #[test]
    fn only_a_multiple_of_the_sector_size_is_where_a_sector_begins() {
        assert_eq!(Lba::beginning_at(8192, 4096), Some(Lba(2)));
        assert_eq!(Lba::beginning_at(8191, 4096), None);
        assert_eq!(Lba::holding(8191, 4096), Lba(1));
    }

    #[test]
    fn what_64_bits_cannot_count_is_no_position() {
        assert_eq!(Lba(3).offset(512), Some(1536));
        assert_eq!(Lba(u64::MAX).offset(512), None);
        assert_eq!(Lba(u64::MAX).checked_add(1), None);
        assert_eq!(Lba::beginning_at(1, 0), None);
    }

    #[test]
    fn it_is_written_and_read_as_a_bare_number() {
        assert_eq!(serde_json::to_string(&Lba(7)).unwrap(), "7");
        assert_eq!(serde_json::from_str::<Lba>("7").unwrap(), Lba(7));
        assert_eq!(format!("{:>3}", Lba(7)), "  7");
    }
}
