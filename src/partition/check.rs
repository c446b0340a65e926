//! Entries held against the medium, the table's own sectors and each other.
//!
//! A partition that may hold a bank has to be right, for it may be written to; where it only reaches
//! past the end of the medium, the others can be read. What is
//! wrong with any other is a warning: copies of just the first gigabyte of a stick are
//! common, and what they cut off is the core dump partition or the datastore.

use super::{Partition, PartitionFault, TableError, TableFault, TableWarning};
use crate::medium::Lba;
use std::ops::Range;

/// What speaks against entries, but does not keep the others from being read.
pub(super) struct Checked {
    pub(super) warnings: Vec<TableWarning>,
    pub(super) faults: Vec<TableFault>,
}

/// `sectors` is the number of whole sectors of the medium, `table` the ranges of sectors the
/// partition table itself lies in.
pub(super) fn check(
    partitions: &[Partition],
    sectors: u64,
    sector_size: u32,
    table: &[Range<Lba>],
) -> Result<Checked, TableError> {
    let mut warnings = Vec::new();
    let mut faults = Vec::new();
    for partition in partitions {
        let fault = fault_of(partition, partitions, sectors, sector_size, table);
        let number = partition.number;
        match fault {
            Some(fault @ PartitionFault::PastEnd { .. }) if partition.may_hold_bank() => {
                faults.push(TableFault::Partition { number, fault });
            }
            Some(fault) if partition.may_hold_bank() => {
                // An end that is too large by mistake is the reason, and not what it then covers.
                if let Some(first) = faults.into_iter().next() {
                    return Err(first.into());
                }
                return Err(TableError::Partition { number, fault });
            }
            Some(fault) => warnings.push(TableWarning::Partition { number, fault }),
            None => {}
        }
    }
    Ok(Checked { warnings, faults })
}

fn fault_of(
    partition: &Partition,
    all: &[Partition],
    sectors: u64,
    sector_size: u32,
    table: &[Range<Lba>],
) -> Option<PartitionFault> {
    let &Partition {
        first_lba,
        last_lba,
        ..
    } = partition;
    if first_lba > last_lba {
        return Some(PartitionFault::EndsBeforeStart {
            first_lba,
            last_lba,
        });
    }
    if let Some(part) = table
        .iter()
        .find(|part| first_lba < part.end && part.start <= last_lba)
    {
        return Some(PartitionFault::CoversTable {
            first_lba,
            last_lba,
            lba: part.start.max(first_lba),
        });
    }
    if last_lba.0 >= sectors {
        let missing = (last_lba.0 - sectors.max(first_lba.0)).saturating_add(1);
        return Some(PartitionFault::PastEnd {
            first_lba,
            last_lba,
            sectors,
            missing: missing.saturating_mul(u64::from(sector_size)),
        });
    }
    all.iter()
        .find(|other| {
            other.number != partition.number
                && other.first_lba <= last_lba
                && first_lba <= other.last_lba
        })
        .map(|other| PartitionFault::Overlaps {
            first_lba,
            last_lba,
            other: other.number,
        })
}
