//! A table that is whole where the one ESXi's loader uses is not.
//!
//! The loader reads a GPT only behind its protective MBR entry, and never the backup. Who has to get
//! at the data, or to restore the table, needs both. Reading them is asked for by name
//! ([`TableChoice`]); a plan is never made from one.

use super::{PartitionTable, TableChoice, TableError, mbr, read_head};
use crate::medium::ReadAt;
use std::fmt;

/// A whole table that the loader does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherTable {
    /// Which one.
    pub choice: TableChoice,
    /// How the table of the loader is restored from it.
    pub restore: Option<Restore>,
}

/// What restores the table that the loader uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restore {
    /// The protective MBR is written anew. `sgdisk` does that only where it finds no entries, so they are
    /// cleared first; the boot code before them stays.
    ProtectiveMbr,
    /// The primary header and its entries are written anew from the backup.
    PrimaryGpt,
}

impl Restore {
    /// The commands, for the medium of that name as a shell takes it.
    pub fn commands(self, medium: &str) -> String {
        match self {
            Restore::ProtectiveMbr => format!(
                "dd if=/dev/zero of={medium} bs=1 seek=446 count=66 conv=notrunc && sgdisk -e {medium}"
            ),
            Restore::PrimaryGpt => format!("sgdisk -e {medium}"),
        }
    }
}

impl fmt::Display for OtherTable {
    /// What was found, as the end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.choice {
            TableChoice::Backup => "the backup GPT at the end of the medium is whole",
            _ => "a whole GPT is behind it",
        })
    }
}

/// Looks for a whole table besides the one the loader uses. What cannot be read is none.
pub fn other_table(medium: &dyn ReadAt, sector_size: Option<u32>) -> Option<OtherTable> {
    let head = read_head(medium).ok()?;
    let [first, ..] = mbr::entries(&head);
    let protective = first.is_protective();
    let (table, restore) = match PartitionTable::read_as(medium, sector_size, TableChoice::Gpt) {
        Ok(table) if !protective => (table, Some(Restore::ProtectiveMbr)),
        // A checksum that is right means that what is wrong was written so, and nothing is broken.
        Err(TableError::Gpt(_) | TableError::NoGpt { .. }) => {
            let table = PartitionTable::read_as(medium, sector_size, TableChoice::Backup).ok()?;
            (table, protective.then_some(Restore::PrimaryGpt))
        }
        _ => return None,
    };
    if table.bank_candidates().next().is_none() || !table.faults.is_empty() {
        return None;
    }
    Some(OtherTable {
        choice: table.source,
        // sgdisk takes every image file for one with sectors of 512 bytes.
        restore: restore.filter(|_| table.sector_size == 512),
    })
}
