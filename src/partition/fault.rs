//! What keeps part of a medium from being read although its table is sound: an image cut off.
//!
//! The rest can be read. Nothing is written to such a medium: [`PartitionTable::writable`] is the
//! one place that decides this.

use super::{PartitionFault, PartitionTable, TableChoice, TableError};
use crate::error::counted;
use crate::medium::Lba;
use std::fmt;

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
    /// a bank is whole, and the table is the one that ESXi's loader uses.
    ///
    /// # Errors
    /// The first thing that speaks against it.
    pub fn writable(&self) -> Result<(), TableError> {
        if let Some(fault) = self.faults.first() {
            return Err(fault.clone().into());
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
