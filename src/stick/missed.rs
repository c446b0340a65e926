//! What looks like a bank and is none for ESXi's loader.

use super::{Cure, Slot, Stick, numbers};
use crate::bank::{Bank, Probed};
use crate::fat::Volume;
use crate::medium::ReadAt;
use crate::partition::{Partition, PartitionTable, PartitionType, Role};
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

/// A volume that should be a bank by its mark and its place, and that ESXi's loader passes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissedBank {
    /// Number of the partition.
    pub partition: u32,
    /// What keeps the loader from seeing it.
    pub why: WhyMissed,
}

/// Why the loader passes over a volume that carries VMware's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyMissed {
    /// It has no boot.cfg, as after an upgrade that was cut.
    NoBootCfg,
    /// Its boot sector tells of one copy of the FAT, so that its directory is looked for in another place.
    OneFat,
}

impl fmt::Display for WhyMissed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the volume carries VMware's mark and is where a bank belongs, but ")?;
        f.write_str(match self {
            WhyMissed::NoBootCfg => "it has no boot.cfg: the loader passes over it",
            WhyMissed::OneFat => {
                "its boot sector tells of one copy of the FAT, and ESXi makes two: the loader finds no boot.cfg and passes over it"
            }
        })
    }
}

impl Stick<'_, '_> {
    /// The volumes that are where a bank belongs and carry VMware's mark, and are none.
    pub fn missed_banks(&self) -> Vec<MissedBank> {
        let others = self.table().bank_candidates();
        let others = others.filter(|it| self.bank_on(it.number).is_none());
        let marked =
            others.filter(|it| self.is_marked(it.number) && self.is_where_a_bank_belongs(it));
        let missed = marked.filter_map(|partition| {
            let range = partition.byte_range(self.table().sector_size)?;
            let volume = Volume::open(self.medium(), range, self.table().sector_size).ok()?;
            Some(MissedBank {
                partition: partition.number,
                why: match volume.geometry().fat_ranges().len() {
                    1 => WhyMissed::OneFat,
                    _ => WhyMissed::NoBootCfg,
                },
            })
        });
        missed.collect()
    }

    /// Whether a partition is one of a bank by the usual layouts: number 5 or 6, or the size of a bank.
    fn is_where_a_bank_belongs(&self, partition: &Partition) -> bool {
        let sectors = |it: &Partition| it.last_lba.0.saturating_sub(it.first_lba.0);
        let of_slot = |slot: &Slot<'_>| self.table().partition(slot.partition);
        // Where there are two banks, the others are not missed.
        let twin = match self.slots() {
            // Where one has a usual number the other has the other.
            [only] if !is_usual(only.partition) => {
                of_slot(only).is_some_and(|bank| sectors(bank) == sectors(partition))
            }
            _ => false,
        };
        partition.role() == Role::Fat && (is_usual(partition.number) || twin)
    }
}

/// Whether every layout since 5.0 has a bank at this number.
pub(super) fn is_usual(partition: u32) -> bool {
    matches!(partition, 5 | 6)
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
