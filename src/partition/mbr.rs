//! The master boot record and the chain of logical partitions, as ESXi's own loader reads them.
//!
//! Primaries are 1 to 4. The first extended partition (05, 0f, 85) holds a chain of extended
//! boot records: entry 1 is the logical partition, relative to its own record; entry 2 leads
//! to the next record, relative to the extended partition. Every record takes a number from 5
//! upwards, also one whose entry 1 is empty. Cylinder, head and sector fields are not read.

use super::{Partition, PartitionType, TableError, TableFault, TableWarning, read};
use crate::bytes::le32;
use crate::medium::{Lba, ReadAt};
use std::ops::Range;

const ENTRIES_AT: usize = 446;
const ENTRY_SIZE: usize = 16;
const SIGNATURE_AT: usize = 510;
/// Far more than any layout has; the ones VMware makes have four.
const MAX_LOGICALS: u32 = 128;
const GPT_PROTECTIVE: u8 = 0xEE;

/// One of the four entries of a boot record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) flags: u8,
    pub(super) type_byte: u8,
    pub(super) start: Lba,
    pub(super) sectors: u32,
}

impl Entry {
    fn in_use(self) -> bool {
        self.type_byte != 0 && self.sectors != 0
    }

    /// The last of its sectors, where `first` is the first one; in use, it has at least one.
    fn last_after(self, first: Lba) -> Lba {
        first.saturating_add(u64::from(self.sectors).saturating_sub(1))
    }

    /// The first sector behind it; `None` where it is not in use.
    pub(super) fn end(self) -> Option<u64> {
        let end = self.start.0.saturating_add(u64::from(self.sectors));
        self.in_use().then_some(end)
    }

    /// The error where ESXi's loader would read it, and a length is all that it lacks.
    fn check_length(self, number: u32) -> Result<(), TableError> {
        let type_byte = self.type_byte;
        let is_read = self.is_extended() || PartitionType::Mbr(type_byte).may_hold_bank();
        if is_read && self.sectors == 0 {
            Err(TableError::WithoutLength { number, type_byte })
        } else {
            Ok(())
        }
    }

    fn is_extended(self) -> bool {
        matches!(self.type_byte, 0x05 | 0x0F | 0x85)
    }

    /// Whether this, as entry 1, makes ESXi's loader read the GPT.
    pub(super) fn is_protective(self) -> bool {
        self.is_gpt() && self.start == Lba(1) && self.flags == 0
    }

    pub(super) fn is_gpt(self) -> bool {
        self.type_byte == GPT_PROTECTIVE
    }
}

/// The four entries of a boot record; empty ones where `sector` is too short.
pub(super) fn entries(sector: &[u8]) -> [Entry; 4] {
    [0, 1, 2, 3].map(|slot| {
        let at = ENTRIES_AT + slot * ENTRY_SIZE;
        let byte = |offset: usize| sector.get(at + offset).copied().unwrap_or(0);
        Entry {
            flags: byte(0),
            type_byte: byte(4),
            start: Lba(le32(sector, at + 8).unwrap_or(0).into()),
            sectors: le32(sector, at + 12).unwrap_or(0),
        }
    })
}

/// Whether a boot record ends in 55 aa.
pub(super) fn has_signature(sector: &[u8]) -> bool {
    sector.get(SIGNATURE_AT..SIGNATURE_AT + 2) == Some(&[0x55, 0xAA])
}

/// Whether at least one entry is such that a partitioning tool can have made it. The loader
/// does not look at flags; but where every entry in use has odd ones, what stands there is
/// the boot code of an unpartitioned volume.
pub(super) fn plausible(entries: &[Entry; 4]) -> bool {
    entries
        .iter()
        .any(|entry| entry.in_use() && matches!(entry.flags, 0 | 0x80))
}

/// As much of the table as could be read, and what ended it early.
pub(super) struct Mbr {
    pub(super) partitions: Vec<Partition>,
    /// Sectors of the MBR and of every extended boot record.
    pub(super) table: Vec<Range<Lba>>,
    pub(super) warnings: Vec<TableWarning>,
    pub(super) error: Option<TableError>,
    /// Where the chain of logicals leads past the end of the medium.
    pub(super) cut: Option<TableFault>,
}

/// Reads primaries from `sector0` and logicals from the medium.
pub(super) fn read_table(medium: &dyn ReadAt, sector_size: u32, sector0: &[u8]) -> Mbr {
    let mut mbr = Mbr {
        partitions: Vec::new(),
        table: std::iter::once(Lba(0)..Lba(1)).collect(),
        warnings: Vec::new(),
        error: None,
        cut: None,
    };
    let mut extended = None;
    for (slot, entry) in (1..).zip(entries(sector0)) {
        if !entry.in_use() {
            mbr.error = mbr.error.or(entry.check_length(slot).err());
            continue;
        }
        if !matches!(entry.flags, 0 | 0x80) {
            let flags = entry.flags;
            mbr.warnings.push(TableWarning::MbrFlags { slot, flags });
        }
        if !entry.is_extended() {
            mbr.partitions.push(partition(slot, entry, Lba(0)));
        } else if extended.is_none() {
            extended = Some(entry);
        } else {
            mbr.warnings.push(TableWarning::SecondExtended { slot });
        }
    }
    if let Some(extended) = extended {
        let walked = walk(medium, sector_size, extended, &mut mbr);
        mbr.error = mbr.error.or(walked.err());
    }
    mbr
}

/// Follows the chain of extended boot records.
fn walk(
    medium: &dyn ReadAt,
    sector_size: u32,
    extended: Entry,
    mbr: &mut Mbr,
) -> Result<(), TableError> {
    let sectors = medium.size() / u64::from(sector_size);
    let first_lba = extended.start;
    let last_lba = extended.last_after(first_lba);
    let mut lba = first_lba;
    for number in 5..5 + MAX_LOGICALS {
        if !(first_lba..=last_lba).contains(&lba) {
            return Err(TableError::EbrOutsideExtended {
                lba,
                first_lba,
                last_lba,
            });
        }
        if mbr.table.contains(&one(lba)) {
            return Err(TableError::EbrLoop { lba });
        }
        if lba.0 >= sectors {
            mbr.cut = Some(TableFault::ChainCut { lba, sectors });
            return Ok(());
        }
        let past_end = TableError::EbrPastEnd { lba, sectors };
        let offset = lba.offset(sector_size).ok_or(past_end)?;
        let sector = read(medium, offset, sector_size as usize)?;
        if !has_signature(&sector) {
            return Err(TableError::EbrSignature { lba });
        }
        mbr.table.push(one(lba));
        let [logical, next, ..] = entries(&sector);
        logical.check_length(number)?;
        if logical.is_extended() {
            return Err(TableError::NestedExtended { lba });
        }
        if logical.in_use() {
            let logical = partition(number, logical, lba);
            if logical.first_lba < first_lba || logical.last_lba > last_lba {
                return Err(TableError::LogicalOutsideExtended {
                    number,
                    first_lba: logical.first_lba,
                    last_lba: logical.last_lba,
                    extended_first: first_lba,
                    extended_last: last_lba,
                });
            }
            mbr.partitions.push(logical);
        } else if next.start != Lba(0) {
            mbr.warnings.push(TableWarning::EmptyLogical { number });
        }
        if next.start == Lba(0) {
            return Ok(());
        }
        lba = first_lba.saturating_add(next.start.0);
    }
    Err(TableError::EbrChainTooLong {
        limit: MAX_LOGICALS,
    })
}

/// The range of a single sector.
fn one(lba: Lba) -> Range<Lba> {
    lba..lba.saturating_add(1)
}

/// `entry` is in use, so its length is at least one sector.
fn partition(number: u32, entry: Entry, relative_to: Lba) -> Partition {
    let first_lba = relative_to.saturating_add(entry.start.0);
    Partition {
        number,
        partition_type: PartitionType::Mbr(entry.type_byte),
        name: String::new(),
        first_lba,
        last_lba: entry.last_after(first_lba),
        boot_flag: entry.flags == 0x80,
    }
}
