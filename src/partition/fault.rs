//! What keeps a medium from being changed although its table can be read: an image cut off, or a
//! partition over the backup GPT.
//!
//! What is there can be read. Nothing is written to such a medium: [`PartitionTable::writable`] is
//! the one place that decides this.

use super::{Partition, PartitionFault, PartitionTable, TableChoice, TableError};
use crate::error::counted;
use crate::medium::Lba;
use std::fmt;
use std::ops::Range;

/// A part of the table that leads past the end of the medium.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// A partition that may hold a bank does not lie wholly on the medium.
    #[error("partition {number} {fault}")]
    Partition {
        /// Partition number.
        number: u32,
        /// What is wrong with it.
        fault: PartitionFault,
    },
    /// The chain of logical partitions leads past the end of the medium: those behind it are not
    /// known.
    #[error(
        "the chain of logical partitions leads to sector {lba}, but the medium has only {sectors} sectors"
    )]
    ChainCut {
        /// Sector the chain leads to.
        lba: Lba,
        /// Sectors the medium has.
        sectors: u64,
    },
}

impl TableFault {
    /// Number of the partition it is about.
    pub fn partition(&self) -> Option<u32> {
        match self {
            TableFault::Partition { number, .. } => Some(*number),
            TableFault::ChainCut { .. } => None,
        }
    }
}

impl From<TableFault> for TableError {
    fn from(fault: TableFault) -> Self {
        match fault {
            TableFault::Partition { number, fault } => TableError::Partition { number, fault },
            TableFault::ChainCut { lba, sectors } => TableError::EbrPastEnd { lba, sectors },
        }
    }
}

/// A partition that may hold a bank covers sectors of the backup GPT. The loader reads the bank, so
/// it may boot; but a file that grows in it could take the place of the backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "partition {number} (sectors {first_lba} to {last_lba}) covers the backup GPT (sectors {} to {})",
    backup.start,
    backup.end.0.saturating_sub(1)
)]
#[non_exhaustive]
pub struct BackupOverlap {
    /// Partition number.
    pub number: u32,
    /// Its first sector.
    pub first_lba: Lba,
    /// Its last sector.
    pub last_lba: Lba,
    /// The sectors of the backup GPT that it covers, or some of them: of the entries or the header.
    pub backup: Range<Lba>,
}

impl BackupOverlap {
    /// The first of `partitions` that may hold a bank and shares a sector with `backup`, the ranges
    /// of sectors a backup GPT lies in.
    pub(super) fn find(partitions: &[Partition], backup: &[Range<Lba>]) -> Option<Self> {
        let candidates = partitions.iter().filter(|it| it.may_hold_bank());
        candidates.into_iter().find_map(|partition| {
            let covered = |part: &&Range<Lba>| {
                partition.first_lba < part.end && part.start <= partition.last_lba
            };
            Some(BackupOverlap {
                number: partition.number,
                first_lba: partition.first_lba,
                last_lba: partition.last_lba,
                backup: backup.iter().find(covered)?.clone(),
            })
        })
    }
}

/// Where a medium ends, and what its table says lies behind that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// Whole sectors the medium has.
    pub sectors: u64,
    /// Bytes in a sector.
    pub sector_size: u32,
    /// Partitions that begin on the medium and end behind it, and how many bytes they lack.
    pub partly: Vec<(u32, u64)>,
    /// Partitions of which nothing is there.
    pub wholly: Vec<u32>,
    /// Whether there may be more partitions, whose records are missing too.
    pub more: bool,
}

impl fmt::Display for Cut {
    /// As one sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.sectors.saturating_mul(self.sector_size.into());
        write!(
            f,
            "the medium is cut off: it ends at byte {end} (sector {})",
            self.sectors
        )?;
        for (number, bytes) in &self.partly {
            let bytes = counted(bytes, "byte");
            write!(f, "; the last {bytes} of partition {number} are missing")?;
        }
        match self.wholly.as_slice() {
            [] => {}
            [one] => write!(f, "; partition {one} is missing as a whole")?,
            many => {
                let many: Vec<String> = many.iter().map(ToString::to_string).collect();
                let many = many.join(", ");
                write!(f, "; partitions {many} are missing as a whole")?;
            }
        }
        if self.more {
            f.write_str("; there may be more logical partitions, whose records are missing")?;
        }
        Ok(())
    }
}

impl PartitionTable {
    /// Whether anything may be written to a medium with this table: every partition that may hold
    /// a bank is whole and covers no backup GPT, and the table is the one that ESXi's loader uses.
    ///
    /// # Errors
    /// The first thing that speaks against it.
    pub fn writable(&self) -> Result<(), TableError> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone().into());
        }
        if let Some(overlap) = &self.backup_overlap {
            return Err(overlap.clone().into());
        }
        match self.source {
            TableChoice::Loader => Ok(()),
            choice => Err(TableError::NotTheLoaders { choice }),
        }
    }

    /// Where the medium is cut off, if a partition that may hold a bank is concerned.
    pub fn cut(&self, medium_size: u64) -> Option<Cut> {
        if self.faults.is_empty() {
            return None;
        }
        let sectors = medium_size.checked_div(self.sector_size.into())?;
        let mut cut = Cut {
            sectors,
            sector_size: self.sector_size,
            partly: Vec::new(),
            wholly: Vec::new(),
            more: self
                .faults
                .iter()
                .any(|fault| matches!(fault, TableFault::ChainCut { .. })),
        };
        for partition in self.partitions.iter().filter(|it| it.last_lba.0 >= sectors) {
            if partition.first_lba.0 >= sectors {
                cut.wholly.push(partition.number);
            } else {
                let missing = partition.last_lba.0.saturating_sub(sectors);
                let missing = missing.saturating_add(1);
                let bytes = missing.saturating_mul(self.sector_size.into());
                cut.partly.push((partition.number, bytes));
            }
        }
        Some(cut)
    }

    /// What is wrong with a partition that may hold a bank.
    pub fn fault_of(&self, partition: u32) -> Option<&TableFault> {
        self.faults
            .iter()
            .find(|fault| fault.partition() == Some(partition))
    }
}
