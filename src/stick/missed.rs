//! What looks like a bank and is none for ESXi's loader.

use super::{Cure, numbers};
use crate::bank::{Bank, Probed};
use crate::medium::ReadAt;
use crate::partition::{PartitionTable, PartitionType, Role};
use std::fmt;

/// A bank in a partition of a type in which ESXi's loader looks for none, as an editor of partitions gives it to
/// new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherType {
    /// Number of the partition.
    pub partition: u32,
    /// Its type.
    pub is: PartitionType,
}

impl OtherType {
    /// What lets the loader find them; `None` where there are none.
    pub fn cure(all: &[OtherType]) -> Option<Cure> {
        let first = all.first()?;
        Some(Cure::GiveType {
            partitions: all.iter().map(|it| it.partition).collect(),
            kind: first.is.table(),
        })
    }
}

impl fmt::Display for OtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OtherType { partition, is } = self;
        write!(
            f,
            "partition {partition} holds a bank, but its type {is} is none in which ESXi's loader looks for one"
        )
    }
}

/// Finds banks in partitions of another type.
pub(super) fn of_other_types(medium: &dyn ReadAt, table: &PartitionTable) -> Vec<OtherType> {
    let mut found = Vec::new();
    // VMware's own types are given for what is in them.
    let others = table.partitions.iter();
    for partition in others.filter(|partition| partition.role() == Role::Other) {
        let Some(range) = partition.byte_range(table.sector_size) else {
            continue;
        };
        let probed = Bank::probe(medium, range, table.sector_size);
        if let Ok(Probed::Bank(_)) = probed {
            found.push(OtherType {
                partition: partition.number,
                is: partition.partition_type,
            });
        }
    }
    found
}

/// What is to be said of a volume that lacks VMware's mark.
pub(super) fn without_mark(partition: u32) -> String {
    format!(
        "partition {partition} has a boot.cfg but lacks VMware's mark, so ESXi's loader does not see it as a bank; it is left alone"
    )
}

/// Why there may be no bank: what was met instead.
pub(super) fn absence_in_words(table: &PartitionTable, marked: &[u32], unmarked: &[u32]) -> String {
    let candidates: Vec<u32> = table
        .bank_candidates()
        .map(|partition| partition.number)
        .collect();
    if candidates.is_empty() {
        return "no partition has a type that can hold one".to_owned();
    }
    let without: Vec<u32> = candidates
        .iter()
        .copied()
        .filter(|n| !marked.contains(n) && !unmarked.contains(n))
        .collect();
    let mut parts = Vec::new();
    if !unmarked.is_empty() {
        let unmarked = numbers(unmarked.iter().copied());
        parts.push(format!(
            "partition {unmarked}: has a boot.cfg, but not VMware's mark, without which ESXi's loader sees no bank"
        ));
    }
    if !marked.is_empty() {
        let marked = numbers(marked.iter().copied());
        parts.push(format!(
            "partition {marked}: has VMware's mark, but no boot.cfg"
        ));
    }
    if !without.is_empty() {
        let without = numbers(without.into_iter());
        parts.push(format!("partition {without}: not a volume made by VMware"));
    }
    parts.join("; ")
}
