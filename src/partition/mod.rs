//! GPT and MBR partition tables, read into one list as ESXi's own loader numbers them.
//!
//! Which table counts, which entries are believed and how they are numbered follows the
//! loader's published source; where it would find no bank, the table is an error that says
//! so. Nothing here writes, repairs, or falls back to a backup table. What a partition holds
//! is not looked at, apart from the sector size in a FAT boot sector when an MBR is read
//! without being told the sector size.

mod check;
mod detect;
mod error;
mod extent;
mod fault;
mod gpt;
mod mbr;
mod other;
#[cfg(test)]
mod tests;
mod types;

pub use error::{GptFault, PartitionFault, TableError, TableWarning};
#[cfg(test)]
pub use extent::disk_with_gpt;
pub use extent::{EXTENT_HEAD, extent};
pub use fault::{BackupOverlap, Cut, TableFault};
pub use other::{OtherTable, Restore, other_table};
pub use types::{Guid, Partition, PartitionType, Role};

use crate::medium::ReadAt;

/// Which kind of partition table a medium has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// GUID partition table.
    Gpt,
    /// Master boot record, with or without logical partitions.
    Mbr,
}

impl TableKind {
    /// The word used in JSON output (`table`).
    pub fn as_str(self) -> &'static str {
        match self {
            TableKind::Gpt => "gpt",
            TableKind::Mbr => "mbr",
        }
    }
}

/// Which table of a medium is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TableChoice {
    /// The one that ESXi's loader uses.
    #[default]
    Loader,
    /// The primary GPT, whatever the MBR says.
    Gpt,
    /// The backup GPT at the end of the medium.
    Backup,
}

/// The partitions of a medium.
///
/// Every partition that may hold a bank shares no sector with another partition or with the table
/// itself, and lies wholly on the medium unless `faults` names it; of the others `warnings` says
/// what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionTable {
    /// GPT or MBR.
    pub kind: TableKind,
    /// Logical sector size in bytes, 512 or 4096: given, or detected.
    pub sector_size: u32,
    /// Partitions in use, in number order. The extended partition itself is not among them.
    pub partitions: Vec<Partition>,
    /// What is odd about the table but harmless to the banks.
    pub warnings: Vec<TableWarning>,
    /// What lies past the end of the medium: it cannot be read, and nothing can be written.
    pub faults: Vec<TableFault>,
    /// A partition that may hold a bank and covers the backup GPT: nothing can be written.
    pub backup_overlap: Option<BackupOverlap>,
    /// Which of the medium's tables this is.
    pub source: TableChoice,
}

impl PartitionTable {
    /// Reads the partition table of a whole disk or raw disk image.
    ///
    /// `sector_size` is the logical sector size in bytes; it is detected when absent (a GPT
    /// header at 512 or 4096, else the FAT boot sectors of an MBR's partitions).
    ///
    /// # Errors
    /// [`TableError`]: the medium cannot be read, is not a whole raw disk, its table
    /// contradicts itself or the medium, or its sector size cannot be told for certain.
    pub fn read(
        medium: &dyn ReadAt,
        sector_size: Option<u32>,
    ) -> Result<PartitionTable, TableError> {
        Self::read_as(medium, sector_size, TableChoice::Loader)
    }

    /// The same with a table that may not be the one ESXi's loader uses. Nothing can be written to
    /// a medium that was read so ([`PartitionTable::writable`]).
    ///
    /// # Errors
    /// As [`PartitionTable::read`].
    pub fn read_as(
        medium: &dyn ReadAt,
        sector_size: Option<u32>,
        choice: TableChoice,
    ) -> Result<PartitionTable, TableError> {
        if let Some(size) = sector_size
            && !detect::SECTOR_SIZES.contains(&size)
        {
            return Err(TableError::SectorSizeUnsupported { size });
        }
        let head = read_head(medium)?;
        detect::refuse_other_formats(&head)?;
        if medium.size() < 512 {
            let size = medium.size();
            return Err(TableError::SmallerThanASector { size });
        }
        let [first, ..] = mbr::entries(&head);
        let mut table = match choice {
            TableChoice::Loader if !first.is_protective() => read_mbr(medium, sector_size, &head)?,
            TableChoice::Loader | TableChoice::Gpt => read_gpt(medium, sector_size, &head)?,
            TableChoice::Backup => read_backup(medium, sector_size)?,
        };
        // Where the MBR leads to the GPT, it is the loader's.
        table.source = match choice {
            TableChoice::Gpt if first.is_protective() => TableChoice::Loader,
            choice => choice,
        };
        let partial = medium.size() % u64::from(table.sector_size);
        if partial != 0 {
            let bytes = partial;
            table.warnings.push(TableWarning::PartialSector { bytes });
        }
        Ok(table)
    }

    /// The partition of that number.
    pub fn partition(&self, number: u32) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.number == number)
    }

    /// The partitions in which ESXi's own loader looks for a bank, in number order.
    pub fn bank_candidates(&self) -> impl Iterator<Item = &Partition> {
        self.partitions
            .iter()
            .filter(|partition| partition.may_hold_bank())
    }
}

fn read_gpt(
    medium: &dyn ReadAt,
    given: Option<u32>,
    sector0: &[u8],
) -> Result<PartitionTable, TableError> {
    let (sector_size, warning) = match given {
        Some(size) => (size, None),
        None => detect::gpt_sector_size(medium)?,
    };
    let gpt = match gpt::read_table(medium, sector_size) {
        Err(TableError::Gpt(fault @ GptFault::Signature { offset })) => {
            let other = detect::wrong_gpt_sector_size(medium, sector_size)?;
            let is_told_of = mbr::entries(sector0).into_iter().any(mbr::Entry::is_gpt);
            return Err(match other {
                Some(other) => other,
                None if is_told_of => fault.into(),
                None => TableError::NoGpt { offset },
            });
        }
        other => other?,
    };
    let sectors = medium.size() / u64::from(sector_size);
    let backup = gpt::backup_sectors(medium, sector_size, gpt.alternate)?;
    let backup_overlap = BackupOverlap::find(&gpt.partitions, &backup);
    let mut warnings = Vec::from_iter(warning);
    let [first, others @ ..] = mbr::entries(sector0);
    if first.is_protective() && others.iter().any(|entry| entry.type_byte != 0) {
        warnings.push(TableWarning::HybridMbr);
    }
    let checked = check::check(&gpt.partitions, sectors, sector_size, &gpt.table)?;
    warnings.extend(checked.warnings);
    Ok(PartitionTable {
        kind: TableKind::Gpt,
        sector_size,
        partitions: gpt.partitions,
        warnings,
        faults: checked.faults,
        backup_overlap,
        source: TableChoice::Gpt,
    })
}

fn read_backup(medium: &dyn ReadAt, given: Option<u32>) -> Result<PartitionTable, TableError> {
    let (sector_size, gpt) = match given {
        Some(size) => (size, gpt::read_backup(medium, size)?),
        None => match detect::SECTOR_SIZES.map(|size| (size, gpt::read_backup(medium, size))) {
            [(_, Ok(_)), (_, Ok(_))] => return Err(TableError::SectorSizeAmbiguous),
            [(_, Err(_)), (size, Ok(gpt))] | [(size, Ok(gpt)), _] => (size, gpt),
            [(_, Err(error)), _] => return Err(error),
        },
    };
    let sectors = medium.size() / u64::from(sector_size);
    let checked = check::check(&gpt.partitions, sectors, sector_size, &gpt.table)?;
    Ok(PartitionTable {
        kind: TableKind::Gpt,
        sector_size,
        partitions: gpt.partitions,
        warnings: checked.warnings,
        faults: checked.faults,
        // One that covers the table itself is an error already.
        backup_overlap: None,
        source: TableChoice::Backup,
    })
}

fn read_mbr(
    medium: &dyn ReadAt,
    given: Option<u32>,
    sector0: &[u8],
) -> Result<PartitionTable, TableError> {
    let entries = mbr::entries(sector0);
    if !mbr::has_signature(sector0) || !mbr::plausible(&entries) {
        return Err(detect::no_table(medium, sector0));
    }
    let (sector_size, mbr) = match given {
        Some(size) => (size, mbr::read_table(medium, size, sector0)),
        None => detect::read_mbr(medium, sector0)?,
    };
    if let Some(error) = mbr.error {
        return Err(error);
    }
    let mut warnings = mbr.warnings;
    let has_candidate = mbr.partitions.iter().any(Partition::may_hold_bank);
    let gpt_entry = (1..).zip(entries).find(|(_, entry)| entry.is_gpt());
    if let Some((slot, entry)) = gpt_entry
        && !has_candidate
    {
        return Err(TableError::NotProtective {
            slot,
            flags: entry.flags,
            start_lba: entry.start,
        });
    }
    if gpt::has_valid_header(medium, sector_size)? {
        warnings.push(TableWarning::GptIgnored);
    }
    let sectors = medium.size() / u64::from(sector_size);
    let checked = check::check(&mbr.partitions, sectors, sector_size, &mbr.table)?;
    warnings.extend(checked.warnings);
    let mut faults = Vec::from_iter(mbr.cut);
    faults.extend(checked.faults);
    Ok(PartitionTable {
        kind: TableKind::Mbr,
        sector_size,
        partitions: mbr.partitions,
        warnings,
        faults,
        backup_overlap: None,
        source: TableChoice::Loader,
    })
}

/// Sector 0 and what follows it, enough to see both places of a GPT header and of a FAT
/// volume's second sector; less where the medium is shorter.
fn read_head(medium: &dyn ReadAt) -> Result<Vec<u8>, TableError> {
    const HEAD: usize = 8192;
    let length = usize::try_from(medium.size()).map_or(HEAD, |size| size.min(HEAD));
    if length == 0 {
        return Err(TableError::Empty);
    }
    read(medium, 0, length)
}

/// `length` bytes of the medium from `offset` on. Callers bound `length`.
fn read(medium: &dyn ReadAt, offset: u64, length: usize) -> Result<Vec<u8>, TableError> {
    medium
        .read_vec(offset, length)
        .map_err(|source| TableError::Read {
            offset,
            length,
            source,
        })
}
